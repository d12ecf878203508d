"""How texts are cut into words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.domain.words import MAX_WORD_CHARACTERS, Query, query_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, hello World!", ["hello", "world"]),
        ("L'été à Nîmes", ["l", "ete", "a", "nimes"]),
        ("STRASSE straße", ["strasse"]),
        ("İstanbul ΣΊΣΥΦΟΣ", ["istanbul", "σισυφοσ"]),
        ("snake_case 3.14", ["snake", "case", "3", "14"]),
        ("ﬁn ＡＢＣ ①", ["fin", "abc", "1"]),
        ("東京 タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("हिन्दी", ["हिन" + "दी"]),
        ("مُحَمَّد", ["محمد"]),
        ("!? 👍", []),
        ("x" * 100, ["x" * MAX_WORD_CHARACTERS]),
    ],
)
def test_a_text_is_cut_into_its_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_the_last_word_of_a_query_may_go_on() -> None:
    assert query_of("Bon matin bon") == Query(words=("bon", "matin"), prefix="bon")
    assert query_of("ÉCO") == Query(prefix="eco")
    assert query_of("...") is None


@given(st.text())
def test_every_word_of_a_text_finds_it(text: str) -> None:
    words = words_of(text)
    for word in words:
        assert words_of(word) == [word]  # to cut it again changes nothing
        assert not set(word) & set(' "*_\x00')
    for start in range(0, len(words), 32):
        query = query_of(" ".join(words[start : start + 32]))
        assert query is not None
        assert {*query.words, query.prefix} <= set(words)


@given(st.text(st.characters(codec="ascii")))
def test_a_text_in_ascii_alone_is_cut_as_among_other_letters(text: str) -> None:
    assert words_of(f"{text} 東") == [*words_of(text), "東"]
