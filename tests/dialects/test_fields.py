"""Fields take what the contract lists, give it to commands in the domain's terms, and say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.dialects import camel
from messaging.dialects.attachments import Attachments
from messaging.dialects.fields import Field, Limit
from messaging.dialects.forms import from_texts, read
from messaging.domain.models import Attachment

SEND = camel.Send()


def sent(**payload: object) -> dict[str, Any]:
    arguments, error = read(SEND, {"conversationId": "1", **payload})
    assert error is None
    return arguments


def attached(*values: object) -> tuple[Attachment, ...]:
    files: tuple[Attachment, ...] = sent(attachments=list(values))["attachments"]
    return files


def refused(**payload: object) -> tuple[str, object]:
    _, error = read(SEND, {"conversationId": "1", **payload})
    assert error is not None
    return error.message, error.details["field"]


@pytest.mark.parametrize("given", ["42", 42])
def test_an_id_is_a_string_or_an_integer(given: object) -> None:
    assert sent(conversationId=given, replyTo=given) == {"conversation_id": "42", "reply_to": 42}


def test_a_direct_conversation_is_named_by_its_id() -> None:
    assert sent(conversationId="dm:a%3Ab:c")["conversation_id"] == "dm:a%3Ab:c"


def test_null_says_the_same_as_leaving_an_optional_field_out() -> None:
    nothing = dict.fromkeys(("content", "attachments", "replyTo", "clientMessageId", "client_message_id"))
    assert sent(**nothing) == {"conversation_id": "1"}


def test_content_is_kept_as_it_was_sent() -> None:
    assert sent(content=" <b>\n\u00a0é ")["content"] == " <b>\n\u00a0é "


@pytest.mark.parametrize("key", ["clientMessageId", "client_message_id"])
@pytest.mark.parametrize(("given", "kept"), [("a", "a"), ("x" * 64, "x" * 64), (17, "17")])
def test_a_client_message_id_is_taken_in_both_spellings(key: str, given: object, kept: str) -> None:
    assert sent(**{key: given})["client_message_id"] == kept


def test_of_two_client_message_ids_the_camel_case_one_counts() -> None:
    assert sent(clientMessageId="a", client_message_id="b")["client_message_id"] == "a"
    assert sent(clientMessageId=None, client_message_id="b")["client_message_id"] == "b"


@pytest.mark.parametrize(("given", "kept"), [(1, 1), (200, 200), (0, 1), (-5, 1), (201, 200), (10**15, 200)])
def test_a_limit_is_clamped(given: int, kept: int) -> None:
    assert Limit().read(given) == kept


def test_after_zero_counts() -> None:
    arguments, error = read(camel.Join(), {"conversationId": "1", "after": 0})
    assert (arguments["after"], error) == (0, None)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/document.pdf", "document.pdf"),
        ("HTTP://example.com/a/b.png?size=2#top", "b.png"),
        ("https://example.com/folder/", "folder"),
        ("https://example.com", "example.com"),
        ("https://example.com?x=/y", "example.com"),
        ("https://[::1/a", "https://[::1/a"),
        ("/uploads/42", "42"),
        ("/", "/"),
        ("/r%C3%A9sum%C3%A9.pdf", "r%C3%A9sum%C3%A9.pdf"),
    ],
)
def test_a_file_is_called_after_its_url_when_nobody_named_it(url: str, name: str) -> None:
    for given in (url, {"url": url}, {"url": url, "fileName": None}):
        assert attached(given) == (Attachment(id="0", url=url, file_name=name, file_size=0),)


def test_what_is_said_of_a_file_is_kept() -> None:
    given = {
        "id": 7,
        "url": "/a.ogg",
        "fileName": "Voix.ogg",
        "fileSize": 12,
        "mimeType": "audio/ogg",
        "duration": 1.5,
        "other": 1,
    }
    assert attached("/b", given) == (
        Attachment(id="0", url="/b", file_name="b"),
        Attachment(
            id="7", url="/a.ogg", file_name="Voix.ogg", file_size=12, mime_type="audio/ogg", duration=1.5
        ),
    )


def test_ten_attachments_are_taken() -> None:
    assert [file.id for file in attached(*["/a"] * 10)] == [str(n) for n in range(10)]


@pytest.mark.parametrize(
    ("payload", "message", "field"),
    [
        ({"conversationId": None}, "conversationId must not be null.", "conversationId"),
        ({"content": 5}, "content must be a string.", "content"),
        ({"attachments": "x"}, "attachments must be a list.", "attachments"),
        ({"attachments": ["/a", 5]}, "attachments.1 must be a URL or an object.", "attachments.1"),
        ({"attachments": [{}]}, "attachments.0.url is missing.", "attachments.0.url"),
        (
            {"attachments": [{"url": "x"}]},
            "attachments.0.url must begin with https://, http:// or a single /.",
            "attachments.0.url",
        ),
        ({"client_message_id": ""}, "clientMessageId must have 1 to 64 characters.", "clientMessageId"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_wrong(
    payload: dict[str, object], message: str, field: str
) -> None:
    assert refused(**payload) == (message, field)


def test_what_could_be_read_beside_a_mistake_is_known() -> None:
    arguments, error = read(SEND, {"conversationId": 7, "clientMessageId": "a", "content": []})
    assert error is not None
    assert arguments == {"conversation_id": "7", "client_message_id": "a"}


def test_text_of_a_query_becomes_json_by_what_its_field_is() -> None:
    given = {"limit": "10", "archived": "true", "next": "5", "other": "x"}
    assert from_texts(camel.Listing(), given) == {"limit": 10, "archived": True, "next": "5"}
    assert from_texts(camel.Listing(), {"limit": "ten", "archived": "maybe", "next": ""}) == {
        "limit": "ten",
        "archived": "maybe",
    }


def test_every_field_says_what_it_takes() -> None:
    fields: list[Field[Any]] = [*SEND.parts.values(), Attachments(), Limit()]
    assert all("type" in field.document for field in fields)
