"""No sequence of frames on any protocol raises inside the server, closes a connection that should stay, or
leaves something behind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from messaging.dialects import DIALECTS
from tests.fuzz.budget import examples
from tests.fuzz.steps import USERS, Connect, Step, connects, steps
from tests.fuzz.town import town


@examples(120)
@given(
    first=st.lists(connects, min_size=2, max_size=6),
    then=st.lists(steps, min_size=5, max_size=40),
)
async def test_no_sequence_of_frames_raises_or_sends_away_or_leaves_anything_behind(
    first: list[Connect], then: list[Step]
) -> None:
    async with town() as made:
        for step in (*first, *then):
            await made.take(step)


@examples(50)
@given(then=st.lists(steps, min_size=20, max_size=60))
async def test_one_of_each_protocol_together_stand_whatever_each_of_them_does(then: list[Step]) -> None:
    async with town() as made:
        for number, dialect in enumerate(DIALECTS):
            user_id = USERS[number % len(USERS)]
            await made.take(Connect(user_id, dialect, f"own {number}", None, None))
        for step in then:
            await made.take(step)
