"""Tokenizers made here, and random models by name: nothing is fetched, and seeds are fixed."""

import pytest
import torch
from tests.glassbox import architectures
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = [" Paris", " Eiffel", " Tower", "The", " is", " in", " un", "seen", " London"]


@pytest.fixture(autouse=True)
def _same_numbers_each_time():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer():
    """Byte-level: each word of WORDS is one token with its leading space, anything else falls into bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate(["<|start|>", *alphabet])}
    merges = []
    for word in WORDS:
        pieces = list(word.replace(" ", "Ġ"))
        while len(pieces) > 1:
            merges.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
            vocabulary.setdefault(pieces[0], len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|start|>")


@pytest.fixture(scope="session")
def word_pieces():
    """BERT's kind: a word's later pieces start with ##, and what is unknown becomes [UNK]."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##seen", "the", "tower", ".", "good", "bad"]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="session")
def build():
    """A new random model by its name in `architectures`."""
    return architectures.build


@pytest.fixture(scope="session")
def model(build):
    return build("gpt2")


@pytest.fixture(scope="session")
def smallworld_model():
    """The model that ships with the course, and its tokenizer."""
    import glassbox as gb

    return gb.load("smallworld")
