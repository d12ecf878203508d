"""The examples of docs/protocols.md tell a genuine delivery from any other."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from messaging.webhooks.payload import Telling, headers, key_of
from tests.servers import ROOT

SECRETS = ("a secret that host and service share", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = '{"content":"ä€😀"}'


def example(language: str) -> str:
    """The code of a language in the section on webhooks."""
    section = (ROOT / "docs" / "protocols.md").read_text().partition("\n# Webhooks\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def sent(secret: str, **changes: str) -> dict[str, str]:
    """The headers of a delivery of BODY, some of them changed on the way."""
    telling = Telling(id="message_7", type="message.created", body=BODY.encode())
    return headers(telling, key_of(secret), datetime.now(UTC)) | changes


def cases() -> list[tuple[str, dict[str, str], bool]]:
    """Secrets, headers, and whether they are genuine."""
    good = [(secret, sent(secret), True) for secret in SECRETS]
    secret = SECRETS[0]
    bad = [
        (SECRETS[1], sent(secret), False),
        (secret, sent(secret, **{"webhook-id": "message_8"}), False),
        (secret, sent(secret, **{"webhook-timestamp": "1614265330"}), False),
        (secret, sent(secret, **{"webhook-signature": "v1,"}), False),
    ]
    return good + bad


def test_the_example_in_python_works() -> None:
    namespace: dict[str, Any] = {}
    exec(example("python"), namespace)  # noqa: S102
    for secret, given, genuine in cases():
        assert namespace["is_genuine"](secret, given, BODY.encode()) is genuine


def test_the_example_for_node_works(node: str) -> None:
    script = example("js") + (
        "const cases = JSON.parse(process.argv[1]);"
        "console.log(JSON.stringify(cases.map(([s, h, b]) => isGenuine(s, h, Buffer.from(b)))));"
    )
    given = json.dumps([[secret, found, BODY] for secret, found, _ in cases()])
    done = subprocess.run([node, "-e", script, given], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [genuine for _, _, genuine in cases()]


@pytest.mark.parametrize("type_", ["created", "edited", "deleted", "reported"])
def test_every_event_is_described(type_: str) -> None:
    assert f"`message.{type_}`" in (ROOT / "docs" / "protocols.md").read_text()
