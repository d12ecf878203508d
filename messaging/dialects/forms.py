"""A form is the schema of a payload; reading one gives the arguments of a command, or says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import marshmallow
from marshmallow import ValidationError

from messaging.dialects.fields import Field
from messaging.domain.errors import InvalidFormat

Arguments = dict[str, Any]
_Reader = tuple[str, Callable[[object], Any]]
"""The argument that a value becomes, and how it is read."""


class Schema(marshmallow.Schema):
    """The schema of a JSON object. Attributes are called as in the command, keys as on the wire.

    Unknown keys are ignored. Build each schema once: building takes several times as long as reading.
    """

    class Meta:
        unknown = marshmallow.EXCLUDE

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, Field[Any]] = {
            name: field for name, field in self.load_fields.items() if isinstance(field, Field)
        }
        self.needs_nothing = not any(field.required for field in self.parts.values())
        self.names = tuple(
            (name, self.spelling(name), field.names) for name, field in self.parts.items() if field.names
        )
        self._readers: dict[str, _Reader] = {
            field.data_key or name: (name, field.read) for name, field in self.parts.items()
        }
        self._before_other = dict(_other_keys(self._readers, self.parts))
        self._required = tuple(name for name, field in self.parts.items() if field.required)

    def load_valid(self, payload: dict[str, Any]) -> Arguments | None:
        """What `load` gives, several times as fast; None where that would complain."""
        arguments: Arguments = {}
        try:
            for key, value in payload.items():
                if value is None:
                    continue
                reader = self._readers.get(key)
                if reader is None and (reader := self._reader_of_other(key, payload)) is None:
                    continue
                name, read_value = reader
                arguments[name] = read_value(value)
        except (ValueError, ValidationError):
            return None
        for name in self._required:
            if name not in arguments:
                return None
        return arguments

    def _reader_of_other(self, key: str, payload: dict[str, Any]) -> _Reader | None:
        """How a value is read whose key is another one of a part's, where those before it have none."""
        before = self._before_other.get(key)
        if before is None or any(payload.get(each) is not None for each in before):
            return None
        return self._readers[before[0]]

    @staticmethod
    def spelling(attribute: str) -> str:
        """How an attribute is called in this family of dialects: camelCase."""
        first, *others = attribute.split("_")
        return first + "".join(word.capitalize() for word in others)

    def on_bind_field(self, field_name: str, field_obj: marshmallow.fields.Field[Any]) -> None:
        """Derive the key on the wire, unless the field has one of its own."""
        field_obj.data_key = field_obj.data_key or self.spelling(field_name)


def _other_keys(
    readers: Mapping[str, _Reader], parts: Mapping[str, Field[Any]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The other keys of parts; with each, the part's own key and those that come before it as well."""
    for key, (name, _) in readers.items():
        before = [key]
        for other in parts[name].SPELLINGS:
            if other != key:
                yield other, tuple(before)
                before.append(other)


def read(schema: Schema, payload: object) -> tuple[Arguments, InvalidFormat | None]:
    """The arguments that a payload holds; with an error, those that could be read all the same."""
    if payload is None and schema.needs_nothing:
        payload = {}
    if not isinstance(payload, dict):
        return {}, InvalidFormat("The payload must be an object.")
    if (arguments := schema.load_valid(payload)) is not None:
        return arguments, None
    try:
        return schema.load(payload), None
    except ValidationError as error:
        valid = error.valid_data if isinstance(error.valid_data, dict) else {}
        return valid, _refusal(error.messages)


def from_texts(schema: Schema, texts: Mapping[str, str]) -> dict[str, object]:
    """What a URL's query or path says, as JSON values. An empty value says nothing."""
    return {
        key: field.from_text(texts[key])
        for field in schema.parts.values()
        if (key := field.data_key) is not None and texts.get(key)
    }


def _refusal(messages: Any) -> InvalidFormat:
    """The first complaint, with the path to it: `attachments.0.url must be a URL.`"""
    path = []
    while isinstance(messages, dict):
        key, messages = next(iter(messages.items()))
        path.append(str(key))
    field = ".".join(path)
    phrase = messages[0] if isinstance(messages, list) else messages
    return InvalidFormat(f"{field} {phrase}.", field=field)
