"""A form is the schema of a payload; reading one gives the arguments of a command, or says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import marshmallow
from marshmallow import ValidationError

from messaging.dialects.fields import Field
from messaging.domain.errors import InvalidFormat

Arguments = dict[str, Any]


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
        self._steps = tuple(_step(name, field) for name, field in self.parts.items())

    def load_valid(self, payload: dict[str, Any]) -> Arguments | None:
        """What `load` gives, several times as fast; None where that would complain."""
        arguments: Arguments = {}
        get = payload.get
        try:
            for name, key, others, required, read_value in self._steps:
                value = get(key)
                if value is None:
                    for other in others:
                        if (value := get(other)) is not None:
                            break
                if value is not None:
                    arguments[name] = read_value(value)
                elif required:
                    return None
        except (ValueError, ValidationError):
            return None
        return arguments

    @staticmethod
    def spelling(attribute: str) -> str:
        """How an attribute is called in this family of dialects: camelCase."""
        first, *others = attribute.split("_")
        return first + "".join(word.capitalize() for word in others)

    def on_bind_field(self, field_name: str, field_obj: marshmallow.fields.Field[Any]) -> None:
        """Derive the key on the wire, unless the field has one of its own."""
        field_obj.data_key = field_obj.data_key or self.spelling(field_name)


def _step(name: str, field: Field[Any]) -> tuple[str, str, tuple[str, ...], bool, Callable[[object], Any]]:
    """How one value is read: as what, from which key, else from which others, whether it must be there."""
    key = field.data_key or name
    others = tuple(other for other in field.SPELLINGS if other != key)
    return name, key, others, field.required, field.read


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
