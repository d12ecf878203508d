"""Words: what a text is found by, the same in every store.

Letters and digits in a row are a word, without regard to case and accents. Chinese and Japanese are written
without spaces, so each of their characters is a word. Pure, and without a table of any language: what is
stored was cut by the same function as what is looked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

MAX_WORD_CHARACTERS = 64
"""What of a longer word is stored and looked for."""
MAX_WORDS = 32
"""How many words a query may have."""

_IDEOGRAPHS = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Vowel signs of the scripts of South and South-East Asia are marks, without which other words would be left.
_SIGNS = (
    "\u0900-\u0963\u0971-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ece"
    "\u0f71-\u0fbc\u102b-\u109d\u17b4-\u17d3"
)
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|(?:[^\W_{_IDEOGRAPHS}]|[{_SIGNS}])+")
_ASCII = "".join(each.lower() if each.isalnum() else " " for each in map(chr, range(128))).encode().ljust(256)
"""What becomes of each byte of a text that has no others: the same words, a tenth of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for: all of `words`, and one that begins with `prefix`."""

    words: tuple[str, ...] = ()
    prefix: str

    def fits(self, words: Collection[str]) -> bool:
        """Whether a text with these words is found."""
        return all(word in words for word in self.words) and any(
            word.startswith(self.prefix) for word in words
        )


def words_of(text: str) -> list[str]:
    """The different words of a text, in the order in which they first occur."""
    return list(dict.fromkeys(_cut(text)))


def query_of(text: str) -> Query | None:
    """What somebody looks for who writes this; None for a text without a word, or with too many."""
    words = _cut(text)
    if not 1 <= len(words) <= MAX_WORDS:
        return None
    *others, prefix = words
    return Query(words=tuple(dict.fromkeys(others)), prefix=prefix)


def _cut(text: str) -> list[str]:
    """The words of a text in their order."""
    if text.isascii():
        words = text.encode().translate(_ASCII).decode().split()
        if len(text) <= MAX_WORD_CHARACTERS:
            return words
    else:
        words = _WORD.findall(_folded(text))
    return [word[:MAX_WORD_CHARACTERS] for word in words]


def _folded(text: str) -> str:
    # Compatibility forms (ﬁ, ①, full width) first; folding may leave accents of its own, as that of İ does.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(each for each in folded if not unicodedata.combining(each))
