"""The OpenAPI document is valid and has every route with all that it takes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from messaging.dialects import openapi
from messaging.dialects.pages import PAGES
from messaging.dialects.rest import Page, Route
from messaging.dialects.routes import ROUTES

DOCUMENT = openapi.document("1.2.3")


def operation(row: Route[Any] | Page) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][row.path][row.method.lower()]
    return found


def test_the_document_is_valid_openapi() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_the_document_is_json() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


def test_the_document_has_every_route_and_no_other() -> None:
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    table: list[Route[Any] | Page] = [*ROUTES, *PAGES]
    assert described == {(row.method, row.path) for row in table}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_variable_of_a_path_is_described(route: Route[Any]) -> None:
    parameters = operation(route).get("parameters", [])
    in_path = {p["name"] for p in parameters if p["in"] == "path" and p["required"]}
    assert in_path == set(re.findall(r"{(\w+)}", route.path))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_body_is_described_and_its_example_fits(route: Route[Any]) -> None:
    described = operation(route)
    assert ("requestBody" in described) == (route.body is not None)
    if route.body is not None:
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        whole = schema | {"components": DOCUMENT["components"]}
        OAS31Validator(whole).validate(route.example)
        names = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        assert set(names) == {field.data_key for field in route.body.parts.values()}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_that_makes_things_says_so(route: Route[Any]) -> None:
    assert ("201" in operation(route)["responses"]) == route.makes


def test_routes_for_services_take_no_cookie() -> None:
    security = DOCUMENT["paths"]["/api/users/{id}"]["put"]["security"]
    assert security == [{"bearer": []}]


def test_making_the_document_twice_gives_the_same() -> None:
    assert openapi.document("1.2.3") == DOCUMENT
