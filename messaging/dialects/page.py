"""The page that shows the documents of REST and of the five protocols to people: pure, from JSON to HTML.

It needs nothing from anywhere else and runs no script: the browser is told to take its one style and
nothing more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from messaging.dialects.answers import Document
from messaging.dialects.page_parts import anchor, chips, code, example, fields, folded, part, text
from messaging.dialects.page_style import STYLE

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Section = tuple[str, str, str, str]
"""Its place, what the contents call it, its HTML, and what the contents have below it, as HTML."""


def page(rest: Document, protocols: Document) -> str:
    """The whole page, from the OpenAPI document and the AsyncAPI document."""
    sections = [_protocol(name, protocols) for name in protocols["channels"]]
    sections += [_rest(rest), _schemas(rest, protocols)]
    contents = "".join(
        f'<li><a href="#{place}">{escape(name)}</a>{below}</li>' for place, name, _, below in sections
    )
    body = "".join(f'<section id="{place}">{html}</section>' for place, _, html, _ in sections)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Messaging: protocols</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>'
        f'<body><nav aria-label="Contents"><ul>{contents}</ul></nav>{_header(protocols["info"])}'
        f"<main>{body}</main>{_footer(protocols['info'])}</body></html>"
    )


def _header(info: Document) -> str:
    described = text(_first_sentence(info["description"]))
    return f"<header><h1>{escape(info['title'])}</h1><p>{described}</p></header>"


def _first_sentence(words: str) -> str:
    return words.partition(". ")[0].rstrip(".") + "."


def _footer(info: Document) -> str:
    links = (("/api/openapi.json", "OpenAPI"), ("/api/asyncapi.json", "AsyncAPI"))
    shown = " · ".join(f'<a href="{to}">{name}</a>' for to, name in links)
    return f"<footer><p>Version {escape(info['version'])} · as JSON: {shown}</p></footer>"


# --- the five protocols ------------------------------------------------------------------------------


def _protocol(name: str, document: Document) -> Section:
    channel, there = document["channels"][name], f"#/channels/{name}"
    found = [one for one in document["operations"].values() if one["channel"]["$ref"] == there]
    commands = [one for one in found if one["action"] == "receive"]
    events = [one for one in found if one["action"] == "send"]
    asked = [(anchor(name, "command", one["title"]), one["title"]) for one in commands]
    told = [(anchor(name, "event", one["title"]), one["title"]) for one in events]
    html = (
        f"<h2>{escape(channel['title'])}</h2><p>{text(channel['summary'])}</p>"
        f"{_connecting(channel, document)}"
        f'<h3>Commands</h3><div class="jump">{chips(asked)}</div>'
        + "".join(_command(place, one, document) for (place, _), one in zip(asked, commands, strict=True))
        + f'<h3>Events</h3><div class="jump">{chips(told)}</div>'
        + "".join(_event(place, one, document) for (place, _), one in zip(told, events, strict=True))
    )
    below = part("Commands", chips(asked, "below")) + part("Events", chips(told, "below"))
    return anchor(name), channel["address"], html, below


def _connecting(channel: Document, document: Document) -> str:
    server = _resolved(channel["servers"][0], document)
    host = server["variables"]["host"]["default"]
    if "pathname" in server:
        shown = f'io("http://{host}{channel["address"]}", {{ auth: {{ token }} }})'
    else:
        shown = f'new WebSocket("ws://{host}{channel["address"]}?token=" + token)'
    ways = [_resolved(way, document) for way in server["security"]]
    tokens = "".join(f"<li>{_way(way)}</li>" for way in ways)
    query = {"type": "object", "properties": channel["bindings"]["ws"]["query"]["properties"]}
    body = f'<p>The token comes in the first of these that is there:</p><ul class="fields">{tokens}</ul>'
    body += part("In the URL", fields(query))
    heading = "Where a token is looked for, and what the URL may say."
    return code(shown) + folded(anchor(channel["title"], "connecting"), "", "Connecting", heading, body)


def _way(way: Document) -> str:
    """One of the places that a token may come in."""
    name = f"<code>{escape(way['name'])}</code>" if "name" in way else ""
    return f"{escape(_PLACES.get(way.get('in', ''), ''))} {name} {text(way.get('description', ''))}"


_PLACES = {"query": "The query's", "cookie": "The cookie"}


def _command(place: str, operation: Document, document: Document) -> str:
    message = _resolved(operation["messages"][0], document)
    replies = [_resolved(reply, document) for reply in operation["reply"]["messages"]]
    answers = "".join(
        f"<p><code>{escape(reply['name'])}</code> {text(reply['summary'])}</p>" + _sample(reply)
        for reply in replies
        if reply["name"] not in _KNOWN
    )
    if not answers:
        answers = "<p>None, where it is carried out; <code>error</code> where it is not.</p>"
    body = part("Example", _sample(message)) + part("Fields", fields(message["payload"]))
    body += part("Answers", answers)
    return folded(place, "in", escape(operation["title"]), operation["summary"], body)


_KNOWN = {"refused", "error"}
"""What any command may be answered with; shown once, as the event `error`."""


def _event(place: str, operation: Document, document: Document) -> str:
    message = _resolved(operation["messages"][0], document)
    body = part("Example", _sample(message)) + part("Fields", fields(message["payload"], sent=True))
    return folded(place, "out", escape(operation["title"]), operation["summary"], body)


def _sample(message: Document) -> str:
    return "".join(example(one["payload"]) for one in message["examples"])


def _resolved(reference: Document, document: Document) -> Document:
    """What is referred to, or the schema itself where it is no reference."""
    if "$ref" not in reference:
        return reference
    found = document
    for step in reference["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


# --- REST --------------------------------------------------------------------------------------------


def _rest(document: Document) -> Section:
    routes = [
        (anchor("rest", operation["operationId"]), f"{method.upper()} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    html = (
        "<h2>REST</h2><p>JSON over HTTP, with <code>Authorization: Bearer &lt;token&gt;</code>. What is "
        f"refused is answered with its status and an {_link('Error')}.</p>"
        + "".join(_route(place, name, operation, document) for place, name, operation in routes)
    )
    return "rest", "REST", html, chips(((place, name) for place, name, _ in routes), "below")


def _link(schema: str) -> str:
    return f'<a href="#{anchor("schema", schema)}">{escape(schema)}</a>'


def _route(place: str, name: str, operation: Document, document: Document) -> str:
    method, _, path = name.partition(" ")
    shown = f'<span class="method">{escape(method)}</span>{escape(path)}'
    parts = f"<p>{text(operation['description'])}</p>"
    parameters = operation.get("parameters", [])
    for where, heading in (("path", "In the path"), ("query", "In the query")):
        parts += part(heading, fields(_parameters([p for p in parameters if p["in"] == where])))
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in content:
            parts += part("Example", example(content["example"]))
        parts += part("Body", fields(_resolved(content["schema"], document)))
    answered = next(iter(operation["responses"].values()))
    for media, content in answered["content"].items():
        answer = fields(content["schema"], sent=True)
        parts += part("Answer", answer if media == "application/json" else f"<p>{escape(media)}</p>")
    return folded(place, "", shown, operation["summary"] + ".", parts)


def _parameters(given: list[Document]) -> Document:
    return {
        "properties": {p["name"]: {"description": p.get("description", "")} | p["schema"] for p in given},
        "required": [p["name"] for p in given if p.get("required")],
        "type": "object",
    }


# --- what they refer to ------------------------------------------------------------------------------


def _schemas(*documents: Document) -> Section:
    found: dict[str, Document] = {}
    for document in documents:
        found |= document["components"]["schemas"]
    shown = {name: found[name] for name in sorted(found) if not name.endswith("Form")}
    links = [(anchor("schema", name), name) for name in shown]
    html = "<h2>Shapes</h2><p>What the protocols and REST refer to by name.</p>" + "".join(
        folded(place, "", escape(name), "", fields(shown[name], sent=True)) for place, name in links
    )
    return "shapes", "Shapes", html, chips(links, "below")
