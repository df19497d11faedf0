"""Does an explanation in words say what the attribution says?

A sentence about a model sounds right long before it is right, whoever wrote it. What can be checked without reading it
is which words of the text it names: those that it puts in quotation marks. They are held against the words that the
attribution puts in front:

    named        are both in the explanation and in front
    missed       are in front, and the explanation does not name them
    unsupported  are named, and the attribution does not put them in front, or they are not in the text at all

What it can't tell you: whether the reasons given are the model's, or even whether they make sense. An explanation that
passes names the right words, no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassbox.attribution import Attribution
from glassbox.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUOTED = re.compile(r"[\"“”„«»]([^\"“”„«»]{1,200})[\"“”„«»]")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Wording:
    """Which words an explanation names, in lower case, each in the order of its first use."""

    named: tuple[str, ...]
    missed: tuple[str, ...]
    unsupported: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether it names all words in front and no others."""
        return not self.missed and not self.unsupported

    def __str__(self) -> str:
        if self.holds:
            return f"The explanation names the words that the attribution names: {', '.join(self.named)}."
        parts = [("It leaves out", self.missed), ("It names without support", self.unsupported)]
        said = [f"{what}: {', '.join(words)}." for what, words in parts if words]
        return " ".join(["The explanation does not match the attribution.", *said])


def wording(explanation: str, important: Sequence[str], *, allowed: Sequence[str] = ()) -> Wording:
    """Hold an explanation against the important words; `allowed` may be named besides, such as the answer itself."""
    if not isinstance(explanation, str):
        raise InputError(f"the explanation is a {type(explanation).__name__}; allowed: a string")
    quoted = [word for passage in QUOTED.findall(explanation) for word in words_of(passage)]
    front = [word for entry in important for word in words_of(entry)]
    besides = {word for entry in allowed for word in words_of(entry)}
    if not front:
        raise InputError(f"the important words are {list(important)!r}; allowed: one word or more")
    return Wording(
        named=_once(word for word in quoted if word in front),
        missed=_once(word for word in front if word not in quoted),
        unsupported=_once(word for word in quoted if word not in front and word not in besides),
    )


def important_words(
    attribution: Attribution, tokenizer: PreTrainedTokenizerBase | None = None, share: float = 0.5
) -> list[str]:
    """The fewest words that hold `share` of all absolute scores, the largest first.

    Neither punctuation counts nor, if the tokenizer is passed, tokens that it adds by itself.
    """
    if not 0 < share <= 1:
        raise InputError(f"share is {share!r}; allowed: above 0, up to 1")
    added = set() if tokenizer is None else set(tokenizer.all_special_tokens)
    by_word = attribution.words()
    scores = by_word.scores.abs().tolist()
    scored = [pair for pair in zip(by_word.tokens, scores, strict=True) if words_of(pair[0]) and pair[0] not in added]
    scored.sort(key=lambda pair: -pair[1])
    goal, held, front = share * sum(score for _, score in scored), 0.0, []
    for word, score in scored:
        if held >= goal:
            break
        front.append(word)
        held += score
    return front


def words_of(passage: str) -> list[str]:
    """The words of a passage in lower case, without punctuation."""
    return [word.lower() for word in WORD.findall(passage)]


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
