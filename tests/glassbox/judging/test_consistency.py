"""Which words of two paraphrases belong together, and how alike their scores are."""

import math

import pytest
import torch
from scipy import stats

import glassbox as gb
from glassbox.errors import InputError
from glassbox.judging.consistency import aligned_words, consistency


def attribution(words, scores, spans=None):
    spans = spans or [(word.strip(), place, place + 1) for place, word in enumerate(words)]
    return gb.Attribution(words, torch.tensor(scores), "rollout", 1, "b", 0, "logit", 0.0, spans)


def test_words_belong_together_by_what_they_are():
    first = attribution(["<|start|>", "The", " king", " saw", " the", " Queen", "."], [9.0, 1, 2, 3, 4, 5, 6])
    second = attribution(
        ["[CLS]", " Queen", ",", " by", " the", " king", " seen", " the"], [0.0, 10, 20, 30, 40, 50, 60, 70]
    )
    # Case and marks do not matter; the first "the" goes with the first, the second with the second.
    assert aligned_words(first, second) == [("the", 1, 40), ("king", 2, 50), ("the", 4, 70), ("queen", 5, 10)]
    assert aligned_words(second, first) == [("queen", 10, 5), ("the", 40, 1), ("king", 50, 2), ("the", 70, 4)]
    assert consistency(first, second) == pytest.approx(stats.spearmanr([1, 2, 4, 5], [40, 50, 70, 10])[0])


def test_words_are_compared_whatever_tokens_they_are_cut_into():
    first = attribution(
        ["un", "seen", " tower", " is"], [1.0, 2, 7, 5], [("unseen", 0, 2), ("tower", 2, 3), ("is", 3, 4)]
    )
    second = attribution(
        ["unseen", " tow", "er", " is"], [0.1, 0.2, 0.4, 0.3], [("unseen", 0, 1), ("tower", 1, 3), ("is", 3, 4)]
    )
    pairs = aligned_words(first, second)
    assert [word for word, _, _ in pairs] == ["unseen", "tower", "is"]
    assert [score for _, score, _ in pairs] == [3, 7, 5]
    assert consistency(first, second) == 1
    assert consistency(first, first) == 1


def test_scores_without_an_order():
    first = attribution(["a", " b", " c"], [1.0, 1, 1])
    assert math.isnan(consistency(first, attribution(["a", " b", " c"], [1.0, 2, 3])))


def test_too_few_words():
    with pytest.raises(InputError, match=r"share too few words \('a', 'c'\); allowed: three or more"):
        consistency(attribution(["a", " b", " c"], [1.0, 2, 3]), attribution(["c", " a", " d"], [1.0, 2, 3]))
    with pytest.raises(InputError, match=r"too few words \(none\)"):
        consistency(attribution(["a"], [1.0]), attribution(["[a]"], [1.0]))


def test_on_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    first = gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout")
    second = gb.explain(model, tokenizer, "It is known that the Eiffel Tower stands in the city of", method="rollout")
    words = [word for word, _, _ in aligned_words(first, second)]
    assert words == ["the", "eiffel", "tower", "is", "in", "the", "city", "of"]
    assert -1 <= consistency(first, second) <= 1
