"""The fields that payloads are made of, for all dialects: how each is read, and how documents describe it.

Schemas are marshmallow's. They check form (types, ids, lengths) and nothing that a setting decides. That
JSON is strict (no NaN, no lone surrogates, bounded integers and depth) is seen to at the transport's edge.
A field's complaint is a phrase that goes on from its name, and never repeats what the client wrote.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

import marshmallow
from marshmallow import ValidationError, missing

from messaging.domain import ids
from messaging.domain.commands import DEFAULT_PAGE, MAX_PAGE
from messaging.domain.emoji import MAX_CODE_POINTS, is_emoji

MAX_CLIENT_ID_CHARACTERS = 64
MAX_NAME_CHARACTERS = 200
MAX_CURSOR_CHARACTERS = 1_024
MAX_DAYS = 36_500

T = TypeVar("T")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WHOLE_TEXT = re.compile(r"-?[0-9]{1,16}")
_FLAG_TEXT = {"true": True, "1": True, "false": False, "0": False}


class Field(marshmallow.fields.Field[T], Generic[T]):
    """One value of a payload. Where it is optional, `null` says the same as leaving it out."""

    default_error_messages = {  # noqa: RUF012, marshmallow's own attribute, which it copies
        "required": "is missing",
        "null": "must not be null",
    }
    document: Mapping[str, Any]
    """The value as a JSON Schema."""
    names: ClassVar[Literal["", "id", "text"]] = ""
    """Whether the value names something (a conversation, a message), by an id or in the client's own words:
    refusals repeat what was named."""
    SPELLINGS: ClassVar[tuple[str, ...]] = ()
    """Keys under which the value is looked for where its own has none."""

    def read(self, value: object) -> T:
        """What a JSON value stands for. Raises ValueError with a phrase that says what is wrong."""
        raise NotImplementedError

    def from_text(self, text: str) -> object:
        """The JSON value that `text` in a URL's query stands for."""
        return text

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        """The value read, or the default. Raises ValidationError."""
        if (value is missing or value is None) and data is not None and self.SPELLINGS:
            given = (data.get(spelling) for spelling in self.SPELLINGS)
            value = next((v for v in given if v is not None), value)
        if value is None and not self.required:
            value = missing
        return super().deserialize(value, attr, data, **kwargs)

    def _deserialize(self, value: Any, *_: object, **__: object) -> T:
        try:
            return self.read(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


# --- what names something ----------------------------------------------------------------------------


class Id(Field[str]):
    """An id that the host application chose."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "maxLength": ids.MAX_ID_CHARACTERS,
        "minLength": 1,
        "description": "No control characters, no `/`, no white space at the ends.",
    }
    names = "id"


class UserId(Id):
    """A user."""

    def read(self, value: object) -> str:
        """The id as a string."""
        return ids.user_id(value)


class ConversationId(Id):
    """A conversation of any kind."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "minLength": 1,
        "description": "Of a group or room: as any id. Of a direct conversation: `dm:` and both user ids.",
    }

    def read(self, value: object) -> str:
        """The id as a string."""
        return ids.conversation_id(value)


class ChosenConversationId(Id):
    """An id under which a conversation may be made."""

    def read(self, value: object) -> str:
        """The id as a string."""
        return ids.chosen_conversation_id(value)


class MessageId(Field[int]):
    """A message."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "description": "A 53-bit integer, as a number or in decimal.",
    }
    names = "id"

    def read(self, value: object) -> int:
        """The id as an integer."""
        return ids.message_id(value)


class ClientMessageId(Field[str]):
    """The sender's own name for a message, in camelCase or snake_case whatever the dialect."""

    document: Mapping[str, Any] = {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": MAX_CLIENT_ID_CHARACTERS,
        "description": "Sent again, nothing is stored twice. Also accepted in the other spelling "
        "(`clientMessageId`, `client_message_id`).",
    }
    names = "text"
    SPELLINGS = ("clientMessageId", "client_message_id")

    def read(self, value: object) -> str:
        """The name as a string."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("must be a string")
        text = str(value)
        if not 1 <= len(text) <= MAX_CLIENT_ID_CHARACTERS:
            raise ValueError(f"must have 1 to {MAX_CLIENT_ID_CHARACTERS} characters")
        return text


# --- plain values ------------------------------------------------------------------------------------


class Content(Field[str]):
    """What a message says. How long it may be is a setting; with attachments it may be empty."""

    document: Mapping[str, Any] = {"type": "string", "description": "Stored as sent; clients escape it."}

    def read(self, value: object) -> str:
        """The text, as it is."""
        return _string(value)


class EmojiText(Field[str]):
    """One emoji."""

    document: Mapping[str, Any] = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_CODE_POINTS,
        "description": "One emoji.",
    }

    def read(self, value: object) -> str:
        """The text, as it is."""
        text = _string(value)
        if not is_emoji(text):
            raise ValueError("must be one emoji")
        return text


class Text(Field[str]):
    """A line of text: a name, a token, a position in a list. White space alone is no text."""

    def __init__(self, longest: int | None = MAX_NAME_CHARACTERS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest
        self.document = {"type": "string", "minLength": 1} | ({"maxLength": longest} if longest else {})

    def read(self, value: object) -> str:
        """The text, as it is."""
        text = _string(value)
        if not text.strip():
            raise ValueError("must not be empty")
        if self.longest is not None and len(text) > self.longest:
            raise ValueError(f"must have at most {self.longest} characters")
        if _CONTROL.search(text):
            raise ValueError("must not contain control characters")
        return text


class Paragraph(Text):
    """A few lines of text."""

    def read(self, value: object) -> str:
        """The text, as it is."""
        super().read(value.replace("\n", " ") if isinstance(value, str) else value)
        return _string(value)


class JsonObject(Field[str]):
    """Any JSON object, as its text. That it is strict JSON was seen to at the edge."""

    def __init__(self, most_bytes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.most_bytes = most_bytes
        self.document = {"type": "object", "description": f"At most {most_bytes:,} bytes as JSON."}

    def read(self, value: object) -> str:
        """The object's text."""
        if not isinstance(value, dict):
            raise ValueError("must be an object")
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode("utf-8", "replace")) > self.most_bytes:
            raise ValueError(f"must have at most {self.most_bytes:,} bytes as JSON")
        return text


class Whole(Field[int]):
    """An integer from 0 to the largest that JavaScript keeps."""

    document: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": ids.MAX_INTEGER}

    def from_text(self, text: str) -> object:
        """The integer in decimal."""
        return int(text) if _WHOLE_TEXT.fullmatch(text) else text

    def read(self, value: object) -> int:
        """The integer. Neither a bool nor 1.0 is one."""
        number = _integer(value)
        if not 0 <= number <= ids.MAX_INTEGER:
            raise ValueError("must be an integer from 0 to 2^53 - 1")
        return number


class Limit(Whole):
    """How many: clamped to what one page can have, never refused for its size."""

    def __init__(self, default: int = DEFAULT_PAGE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.document = {
            "type": "integer",
            "default": default,
            "description": f"Clamped to 1 to {MAX_PAGE}.",
        }

    def read(self, value: object) -> int:
        """The number within its bounds."""
        return min(max(_integer(value), 1), MAX_PAGE)


class Days(Whole):
    """After how many days messages are removed."""

    document: Mapping[str, Any] = {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_DAYS,
        "description": "0: as RETENTION_DAYS says.",
    }

    def read(self, value: object) -> int:
        """The number."""
        if (number := super().read(value)) > MAX_DAYS:
            raise ValueError(f"must be an integer from 0 to {MAX_DAYS}")
        return number


class Seconds(Field[float]):
    """A length of time."""

    document: Mapping[str, Any] = {"type": "number", "minimum": 0}

    def read(self, value: object) -> float:
        """The number as it is."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        if not 0 <= value <= ids.MAX_INTEGER or not math.isfinite(value):
            raise ValueError("must be a number of seconds, 0 or more")
        return value


class Flag(Field[bool]):
    """Yes or no."""

    document: Mapping[str, Any] = {"type": "boolean"}

    def from_text(self, text: str) -> object:
        """`true`, `1`, `false` or `0`."""
        return _FLAG_TEXT.get(text, text)

    def read(self, value: object) -> bool:
        """The value itself; 0 and 1 are numbers."""
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value


E = TypeVar("E", bound=StrEnum)


class Choice(Field[E]):
    """One of a few words."""

    def __init__(self, words: Iterable[E], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = {word.value: word for word in words}
        self.document = {"type": "string", "enum": list(self.words)}

    def read(self, value: object) -> E:
        """The member of the enumeration."""
        word = self.words.get(value) if isinstance(value, str) else None
        if word is None:
            raise ValueError("must be one of " + ", ".join(self.words))
        return word


class Many(Field[tuple[T, ...]]):
    """A list of one kind of value."""

    def __init__(self, item: Field[T], *, at_most: int, at_least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item, self.at_least, self.at_most = item, at_least, at_most
        self.document = {"type": "array", "items": item.document, "maxItems": at_most}
        if at_least:
            self.document["minItems"] = at_least

    def read(self, value: object) -> tuple[T, ...]:
        """The values, in their order."""
        if not isinstance(value, list):
            raise ValueError("must be a list")
        if not self.at_least <= len(value) <= self.at_most:
            raise ValueError(f"must have {self.at_least} to {self.at_most} items")
        return each(value, lambda _, item: self.item.read(item))


def each(items: list[Any], read: Callable[[int, object], T]) -> tuple[T, ...]:
    """All items read. Raises ValidationError with the place of the first that cannot be."""
    done: list[T] = []
    for index, item in enumerate(items):
        try:
            done.append(read(index, item))
        except ValueError as error:
            raise ValidationError({index: [str(error)]}) from None
        except ValidationError as error:
            raise ValidationError({index: error.messages}) from None
    return tuple(done)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")
    return value
