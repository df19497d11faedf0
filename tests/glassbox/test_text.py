"""Tokens as they stand in the text, and the words that they make."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from glassbox.errors import InputError
from glassbox.text import single_token, spell, word_spans


@pytest.fixture(scope="module")
def sentence_pieces():
    """Llama's kind: a piece shows its leading space as ▁, which decoding drops at the start."""
    pieces = ["<unk>", "▁the", "▁tow", "er", "▁"]
    tokenizer = Tokenizer(models.WordLevel({piece: number for number, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def words_of(tokenizer, ids):
    return [(word, stop - start) for word, start, stop in word_spans(tokenizer, ids)]


def test_byte_level(tokenizer):
    ids = tokenizer("The unseen Tower")["input_ids"]
    assert spell(tokenizer, ids) == ["The", " un", "seen", " Tower"]
    assert words_of(tokenizer, ids) == [("The", 1), ("unseen", 2), ("Tower", 1)]


def test_letters_of_several_bytes_stay_whole_in_words(tokenizer):
    ids = tokenizer("The é日!")["input_ids"]
    assert words_of(tokenizer, ids) == [("The", 1), ("é日!", len(ids) - 1)]


def test_special_tokens_stand_alone(tokenizer):
    ids = [0, *tokenizer("The Tower")["input_ids"], 0]
    assert spell(tokenizer, ids) == ["<|start|>", "The", " Tower", "<|start|>"]
    assert words_of(tokenizer, ids) == [("<|start|>", 1), ("The", 1), ("Tower", 1), ("<|start|>", 1)]


def test_spaces_and_line_breaks_separate_words(tokenizer):
    ids = tokenizer("The\nThe  is")["input_ids"]
    assert [word for word, _ in words_of(tokenizer, ids)] == ["The", "The", "is"]


def test_word_pieces(word_pieces):
    ids = word_pieces("the unseen tower.")["input_ids"]
    assert spell(word_pieces, ids) == ["the", "un", "##seen", "tower", "."]
    assert words_of(word_pieces, ids) == [("the", 1), ("unseen", 2), ("tower.", 2)]


def test_sentence_pieces(sentence_pieces):
    assert spell(sentence_pieces, [1, 2, 3]) == [" the", " tow", "er"]
    assert words_of(sentence_pieces, [1, 2, 3]) == [("the", 1), ("tower", 2)]


def test_every_token_is_in_one_word(tokenizer):
    ids = [0, *tokenizer("The unseen  Tower\n is, it's \t in é")["input_ids"]]
    spans = word_spans(tokenizer, ids)
    assert [place for _, start, stop in spans for place in range(start, stop)] == list(range(len(ids)))


def test_a_number_that_is_no_token(tokenizer):
    assert spell(tokenizer, [299]) == ["<299>"]


def test_unknown_word_is_not_one_token(word_pieces):
    assert single_token(word_pieces, "tower") == 7
    assert single_token(word_pieces, "[UNK]") == 1
    with pytest.raises(InputError, match=r"target 'zebra' is not one token but 1: '\[UNK\]'"):
        single_token(word_pieces, "zebra")
