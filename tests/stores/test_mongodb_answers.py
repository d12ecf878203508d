"""What the bytes of MongoDB's answer to an insert say."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from messaging.stores.mongodb_append import says_that_all_is_stored

DONE: dict[str, Any] = {"n": 2, "electionId": bson.ObjectId(), "ok": 1.0}
ERROR = {"index": 1, "code": 11000, "errmsg": "E11000 duplicate key"}


def test_an_answer_that_names_the_number_and_no_error_says_that_all_is_stored() -> None:
    assert says_that_all_is_stored(bson.encode(DONE), 2)


@pytest.mark.parametrize(
    "answer",
    [
        DONE | {"n": 1},
        DONE | {"n": 2.0},
        DONE | {"ok": 0.0},
        DONE | {"writeErrors": [ERROR]},
        DONE | {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
        {"ok": 0.0, "code": 10107, "errmsg": "not primary"},
        {},
    ],
)
def test_any_other_answer_has_to_be_read(answer: dict[str, Any]) -> None:
    assert not says_that_all_is_stored(bson.encode(answer), 2)
