"""The tokenizer: byte-level BPE in which each word of the world is one token, and any other text falls into pieces.

Words carry their leading space, years are cut into two tokens of two digits, and a token of its own marks the start
of a text. A word outside the world is built from pieces of the world's words, down to single bytes, so that every text
can be encoded and decoded back.
"""

from __future__ import annotations

import json
import re

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from smallworld import world
from smallworld.families import FAMILIES
from smallworld.language import vocabulary

START = "<|start|>"
PIECES = 200  # learned pieces for words that the world does not know
CUTS = r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s+"


def build(context: int) -> PreTrainedTokenizerFast:
    """The tokenizer of the small world, made from its word list alone: the same on every machine."""
    words = [" " + word for word in vocabulary()] + first_words() + digit_pairs()
    pieces = _train_pieces(words)
    tokens = {START: 0}
    for token in [*pieces["vocab"], *map(_as_bytes, words)]:
        tokens.setdefault(token, len(tokens))

    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=pieces["merges"], ignore_merges=True))
    tokenizer.pre_tokenizer = _cutter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=START,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def first_words() -> list[str]:
    """Words that can begin a text, and so stand without a space."""
    beginnings = [template for family in FAMILIES.values() for template in family.templates]
    beginnings += [*world.NAMES, *world.OPENERS]
    return sorted({match[0] for text in beginnings if (match := re.match(r"\w+", text))})


def digit_pairs() -> list[str]:
    return [space + f"{number:02d}" for number in range(100) for space in ("", " ")]


def _cutter():
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _as_bytes(word: str) -> str:
    """The word in byte-level BPE's own alphabet, which writes a space as a visible letter."""
    return "".join(piece for piece, _ in pre_tokenizers.ByteLevel(False, use_regex=False).pre_tokenize_str(word))


def _train_pieces(words: list[str]) -> dict:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _cutter()
    learner.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=len(alphabet) + PIECES, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(learner.to_str())["model"]
    return {
        "vocab": sorted(model["vocab"], key=model["vocab"].get),
        "merges": [tuple(pair) for pair in model["merges"]],
    }
