"""The parts that the page of the documents is made of. Everything that is shown is escaped here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from messaging.dialects.answers import Document

_CODE = re.compile(r"`([^`]+)`")
_DEEPEST = 3
_SCHEMAS = "#/components/schemas/"
_MUST = '<span class="must">required</span>'
_MAY = '<span class="may">optional</span>'


def text(words: str) -> str:
    """A sentence; what stands in backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(words))


def anchor(*names: str) -> str:
    """Where something stands on the page."""
    return re.sub(r"[^\w.-]+", "-", "-".join(names)).strip("-").lower()


def code(words: str) -> str:
    """A block that scrolls by itself."""
    return f'<pre tabindex="0"><code>{escape(words)}</code></pre>'


def example(value: object) -> str:
    """A JSON value, on one line where it fits."""
    short = json.dumps(value, ensure_ascii=False)
    return code(short if len(short) <= 40 else json.dumps(value, ensure_ascii=False, indent=2))


def chips(links: Iterable[tuple[str, str]], kind: str = "chips") -> str:
    """Links in a row: where to, and what they are called."""
    found = [f'<li><a href="#{escape(to)}">{escape(name)}</a></li>' for to, name in links]
    return f'<ul class="{kind}">{"".join(found)}</ul>' if found else ""


def folded(place: str, kind: str, name: str, summary: str, body: str) -> str:
    """Something to be opened; `name` is HTML. A link to `place` opens it."""
    heading = f'<code class="name">{name}</code><span>{text(summary)}</span>'
    # A link opens what its place is inside of; the style puts the place at the top, above the heading.
    inner = f'<div class="at" id="{escape(place)}"></div><div class="body">{body}</div>'
    return f'<details class="{kind}"><summary>{heading}</summary>{inner}</details>'


def part(heading: str, body: str) -> str:
    """Something with a small heading; nothing without a body."""
    return f"<h4>{escape(heading)}</h4>{body}" if body else ""


def fields(schema: Document, *, sent: bool = False) -> str:
    """What a value is made of, field by field; of an object in an object, too. Of what the server sends it
    is said what may be missing; of what it takes, what must not."""
    if "oneOf" in schema:
        return "<p>One of:</p>" + "".join(fields(inner, sent=sent) for inner in schema["oneOf"])
    must, may = ("", _MAY) if sent else (_MUST, "")
    rows = [_field(name, inner, must if needed else may) for name, inner, needed in _rows(schema)]
    if rows:
        return f'<ul class="fields">{"".join(rows)}</ul>'
    return f"<p>{kind(schema)}</p>" if "$ref" in schema or schema.get("type") != "object" else ""


def _rows(schema: Document, before: str = "", depth: int = 1) -> Iterator[tuple[str, Document, bool]]:
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield before + name, inner, name in required
        held, mark = (inner["items"], "[]") if "items" in inner else (inner, "")
        if depth < _DEEPEST:
            yield from _choices(held, before + name + mark, depth + 1)


def _choices(schema: Document, name: str, depth: int) -> Iterator[tuple[str, Document, bool]]:
    """What is in a value, or in each of those that it may be."""
    another = False
    for choice in schema.get("oneOf", [schema]):
        if another and "properties" in choice:
            yield name, {"type": "object", "description": "Or this:"}, True
        yield from _rows(choice, f"{name}.", depth)
        another = another or "properties" in choice or "$ref" in choice


def _field(name: str, schema: Document, mark: str) -> str:
    described = f"<p>{text(schema['description'])}</p>" if "description" in schema else ""
    shown = f'<span class="type">{kind(schema)}{escape(_bounds(schema))}</span>'
    return f"<li><code>{escape(name)}</code>{shown}{mark}{described}</li>"


def kind(schema: Document) -> str:
    """What a value is, in a few words."""
    if (place := schema.get("$ref")) is not None:
        name = place.removeprefix(_SCHEMAS)
        return f'<a href="#{anchor("schema", name)}">{escape(name)}</a>'
    if "oneOf" in schema:
        return " or ".join(dict.fromkeys(kind(inner) for inner in schema["oneOf"]))
    if "const" in schema or "enum" in schema:
        words: list[Any] = schema.get("enum") or [schema["const"]]
        return " | ".join(f"<code>{escape(json.dumps(word, ensure_ascii=False))}</code>" for word in words)
    if "items" in schema:
        return f"list of {kind(schema['items'])}"
    types = "time" if schema.get("type") == "string" and "format" in schema else schema.get("type", "any")
    return escape(types if isinstance(types, str) else " or ".join(types))


def _bounds(schema: Mapping[str, Any]) -> str:
    if "maxLength" in schema:
        return f", up to {schema['maxLength']} characters"
    return f", {schema['default']} unless said" if "default" in schema else ""
