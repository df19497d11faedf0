"""Consistency: does the same content, said in other words, get the same explanation?

Two texts that mean the same and get the same answer should be explained by the same words. Words are aligned by what
they are: the first "Paris" of one text to the first "Paris" of the other, whatever stands between. Over the aligned
words,

    consistency = Spearman's ρ (their scores in one text, their scores in the other).

A word's score is the sum over its tokens, so texts may be cut into tokens differently. Special tokens are no words of
the text and are left out. The idea is in Ding and Koehn 2021, "Evaluating Saliency Methods for Neural Language Models".

What it cannot tell you: whether the explanation is right; a method that always points at the first word is consistent.
And a model may truly use the words differently in the two texts. Over a few words a correlation is mostly noise: take
the mean over many paraphrases (`glassbox.statistics`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.judging.rank_agreement import spearman

SPECIAL = re.compile(r"<.*>|\[.*\]")  # as in <|start|> and [CLS]


def consistency(first: Attribution, second: Attribution) -> float:
    """How alike are the scores of the words that two paraphrases share? Spearman's ρ, -1 to 1.

    NaN where the shared words all have one score in a text. Raises InputError for fewer than three shared words.
    """
    pairs = aligned_words(first, second)
    if len(pairs) < 3:
        shared = ", ".join(repr(word) for word, _, _ in pairs) or "none"
        raise InputError(f"the texts share too few words ({shared}); allowed: three or more")
    _, ours, theirs = zip(*pairs, strict=True)
    return spearman(torch.tensor(ours), torch.tensor(theirs))


def aligned_words(first: Attribution, second: Attribution) -> list[tuple[str, float, float]]:
    """(word, its score in the first text, its score in the second) for the words of both, in the first's order.

    A word is read without its case and the marks around it. Where it occurs several times, the first occurrences
    belong together, then the second ones.
    """
    theirs = dict(_occurrences(second))
    return [(word, score, theirs[word, time]) for (word, time), score in _occurrences(first) if (word, time) in theirs]


def _occurrences(attribution: Attribution) -> Iterator[tuple[tuple[str, int], float]]:
    """((word, how often it came before), score) for each word."""
    seen: dict[str, int] = {}
    by_word = attribution.words()
    for token, score in zip(by_word.tokens, by_word.scores.tolist(), strict=True):
        word = token.lower().strip(".,;:!?\"'()")
        if not any(letter.isalnum() for letter in word) or SPECIAL.fullmatch(token):
            continue
        time = seen[word] = seen.get(word, -1) + 1
        yield (word, time), score
