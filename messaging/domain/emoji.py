"""What counts as one emoji: a single grapheme of at most 32 code points (Unicode Technical Standard 51).

The standard's pattern for possible emoji, with ranges where it names character properties. The ranges are a
little wider than the properties: they hold what future versions may make emoji.
"""

from __future__ import annotations

import re

MAX_CODE_POINTS = 32

_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_PICTURE = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf"
    "\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_DRESSED = "(?:[\U0001f3fb-\U0001f3ff]|\ufe0f|[\U000e0020-\U000e007e]+\U000e007f)?"
"""A skin colour, the wish to be shown as a picture, or the tags that spell a region's flag."""
_ONE = f"(?:{_FLAG}|{_PICTURE}{_DRESSED})"
_EMOJI = re.compile(f"[0-9#*]\ufe0f?\u20e3|{_ONE}(?:\u200d{_ONE})*")


def is_emoji(text: str) -> bool:
    """Whether a text is one emoji and nothing else."""
    return len(text) <= MAX_CODE_POINTS and _EMOJI.fullmatch(text) is not None
