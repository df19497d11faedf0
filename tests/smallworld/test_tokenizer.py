"""The tokenizer: words of the world are single tokens, years are two, and any text comes back."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import smallworld
from smallworld import tokenizer, training


@pytest.fixture(scope="module")
def words():
    return AutoTokenizer.from_pretrained(training.WEIGHTS)


def test_the_shipped_tokenizer_is_the_one_that_the_word_list_makes(words):
    made = tokenizer.build(training.CONTEXT)
    assert made.get_vocab() == words.get_vocab()
    random = Random(0)
    for family in smallworld.FAMILIES.values():
        text, _ = family.training_text(random, later=True)
        assert made(text) == words(text)


@pytest.mark.parametrize("name", smallworld.FAMILIES)
def test_each_word_is_one_token(name, words):
    random = Random(0)
    for _ in range(200):
        text, _ = smallworld.FAMILIES[name].training_text(random, later=True)
        pieces = words.tokenize(text)
        for piece in pieces:
            assert piece.startswith("Ġ") or not piece.isalpha() or text.startswith(piece), (piece, text)


def test_years_are_two_tokens_of_two_digits(words):
    assert words.tokenize("in 1732 and 1805") == ["in", "Ġ17", "32", "Ġand", "Ġ18", "05"]


def test_a_token_marks_the_start(words):
    ids = words(" Paris")["input_ids"]
    assert ids[0] == words.bos_token_id == 0
    assert words.decode(ids[1:]) == " Paris"
    assert len(words(" Paris", add_special_tokens=False)["input_ids"]) == 1


@given(st.text())
def test_any_text_can_be_encoded_and_decoded_back(text):
    words = tokenizer_once()
    if tokenizer.START not in text:
        assert words.decode(words(text)["input_ids"][1:]) == text


_made = []


def tokenizer_once():
    """Hypothesis and fixtures of a module do not mix, and building takes a second."""
    if not _made:
        _made.append(tokenizer.build(training.CONTEXT))
    return _made[0]


@pytest.mark.parametrize("name", smallworld.FAMILIES)
def test_masks_cover_the_words_of_the_spans(name, words):
    for s in smallworld.sample(name, 30, seed=9):
        pieces = [words.decode([i]) for i in words(s.prompt)["input_ids"]]
        mask = s.mask(words, s.evidence)
        assert len(mask) == len(pieces)
        covered = "".join(piece for piece, inside in zip(pieces, mask, strict=True) if inside).replace(" ", "")
        assert covered == "".join(s.words(s.evidence)).replace(" ", "")


def test_masks_work_for_a_tokenizer_that_cuts_words_into_pieces(words):
    text = "The Louvre Museum"
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(set(text))}, unk_token="T"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    for span, covered in (((4, 10), "Louvre"), ((4, 17), "LouvreMuseum")):  # the space between words is no evidence
        mask = smallworld.token_mask(text, (span,), PreTrainedTokenizerFast(tokenizer_object=letters))
        assert "".join(letter for letter, inside in zip(text, mask, strict=True) if inside) == covered


def test_masks_refuse_spans_outside_the_text_and_slow_tokenizers(words):
    with pytest.raises(ValueError, match=r"span \(0, 9\) does not lie in a text of 5 characters"):
        smallworld.token_mask("Paris", ((0, 9),), words)
    with pytest.raises(ValueError, match="use_fast=True"):
        smallworld.token_mask("Paris", ((0, 5),), object())
