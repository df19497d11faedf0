"""Which words an explanation names, on sentences small enough to check by hand."""

import pytest
import torch

import glassbox as gb
from glassbox.errors import InputError
from glassbox.telling.wording import important_words, wording, words_of


def attribution(words: list[str], scores: list[float]) -> gb.Attribution:
    spans = [(word.strip(), place, place + 1) for place, word in enumerate(words)]
    return gb.Attribution(words, torch.tensor(scores), "lrp", 0, "positive", len(words) - 1, "logit", 1.0, spans)


def test_named_missed_and_unsupported():
    said = wording(
        'It read "Superb" and "weak", and so it said "positive".', ["superb", "despite"], allowed=["positive"]
    )
    assert (said.named, said.missed, said.unsupported) == (("superb",), ("despite",), ("weak",))
    assert not said.holds
    assert str(said) == (
        "The explanation does not match the attribution. It leaves out: despite. It names without support: weak."
    )


def test_an_explanation_that_holds():
    said = wording("Because of “Eiffel” and “Tower”.", ["Tower", "Eiffel"])
    assert said.holds and said.named == ("eiffel", "tower")
    assert str(said) == "The explanation names the words that the attribution names: eiffel, tower."


def test_only_whole_words_in_quotes_count():
    said = wording('The word art counts, and so do "part" and "not superb".', ["art", "superb"])
    assert (said.named, said.missed, said.unsupported) == (("superb",), ("art",), ("part", "not"))


def test_words_are_taken_without_punctuation():
    assert words_of("Entertaining, wasn't it? 42!") == ["entertaining", "wasn't", "it", "42"]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.3, ["b"]), (0.5, ["b", "a"]), (0.75, ["b", "a"]), (0.76, ["b", "a", "c"])]
)
def test_the_fewest_words_that_hold_a_share(share, expected):
    """Absolute scores 0.3, 0.45, 0.25 of 1: the sign does not matter, the start token and the stop do not count."""
    explained = attribution(["<s>", " a", " b", " c", "."], [9.0, 0.3, -0.45, 0.25, 5.0])

    class Tokenizer:
        all_special_tokens = ["<s>"]

    assert important_words(explained, Tokenizer(), share) == expected


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none(share):
    with pytest.raises(InputError, match="above 0, up to 1"):
        important_words(attribution([" a"], [1.0]), share=share)


def test_what_is_refused():
    with pytest.raises(InputError, match="is a list"):
        wording(["superb"], ["superb"])
    with pytest.raises(InputError, match="one word or more"):
        wording("superb", ["..."])
