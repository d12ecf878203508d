"""The OpenAPI 3.1 document of REST, made from the table of routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow.fields import Field as AnyField

from messaging.dialects.answers import SCHEMAS, reference
from messaging.dialects.fields import Field
from messaging.dialects.pages import PAGES
from messaging.dialects.rest import Page, Route, Who
from messaging.dialects.routes import ROUTES

Document = dict[str, Any]

SECURITY_SCHEMES: Mapping[str, Document] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "For downloads only, so that a page can link to them.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "access_token",
        "description": "For GET and HEAD, or from an allowed Origin.",
    },
    "metrics": {"type": "http", "scheme": "bearer", "description": "METRICS_TOKEN."},
}

_IN_QUERY: list[Document] = [{"query": []}]
_REFUSED = {"$ref": "#/components/responses/Refused"}

_SECURITY: Mapping[Who, list[Document]] = {
    Who.ANYBODY: [],
    Who.COOKIE: [{"cookie": []}],
    Who.USER: [{"bearer": []}, {"cookie": []}],
    Who.SERVICE: [{"bearer": []}],
    Who.ADMIN: [{"bearer": []}],
    Who.METRICS: [{"metrics": []}, {"bearer": []}],
}


def document(version: str, routes: Iterable[Route[Any]] = ROUTES, pages: Iterable[Page] = PAGES) -> Document:
    """The whole document, as a JSON object."""
    plugin = _Plugin(schema_name_resolver=lambda schema: f"{type(schema).__name__}Form")
    spec = APISpec(title="Messaging", version=version, openapi_version="3.1.0", plugins=[plugin])
    _add_components(spec)
    for route in routes:
        spec.path(path=route.path, operations={route.method.lower(): _operation(route)})
    for page in pages:
        spec.path(path=page.path, operations={page.method.lower(): _static(page)})
    return spec.to_dict()


class _Converter(OpenAPIConverter):
    def field2property(self, field: AnyField[Any]) -> Document:
        """What a field takes: ours say it themselves."""
        if isinstance(field, Field):
            return dict(field.document)
        return super().field2property(field)


class _Plugin(MarshmallowPlugin):
    Converter = _Converter


def _add_components(spec: APISpec) -> None:
    for name, schema in SCHEMAS.items():
        spec.components.schema(name, schema)
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, dict(scheme))
    refused = {"description": "Why it was refused", "content": _json(reference("Error"))}
    spec.components.response("Refused", refused)


def _operation(route: Route[Any]) -> Document:
    operation = _base(route) | {
        "parameters": [
            {"in": where, "schema": schema}
            for where, schema in (("path", route.place), ("query", route.query))
            if schema is not None
        ],
        "responses": _responses(route),
    }
    if route.body is not None:
        content = {"application/json": {"schema": route.body, "example": route.example}}
        operation["requestBody"] = {"required": not route.body.needs_nothing, "content": content}
    return operation


def _static(page: Page) -> Document:
    answered = {"description": page.summary, "content": {page.media: {"schema": page.answer}}}
    status = "201" if page.takes else "200"
    told = _base(page) | {"responses": {status: answered, "default": _REFUSED}}
    if page.asks:
        told["parameters"] = list(page.asks)
    if page.takes:
        content = {media: {"schema": schema} for media, schema in page.takes.items()}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _base(row: Route[Any] | Page) -> Document:
    return {
        "operationId": row.name,
        "summary": row.summary,
        "description": f"For {row.who.value}.",
        "security": _SECURITY[row.who] + (_IN_QUERY if isinstance(row, Route) and row.download else []),
    }


def _responses(route: Route[Any]) -> Document:
    content = {media: {"schema": route.answer} for media in route.media}
    answered = {"description": route.summary, "content": content}
    statuses = {"200": answered} | ({"201": answered | {"description": "Made"}} if route.makes else {})
    return statuses | {"default": _REFUSED}


def _json(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}
