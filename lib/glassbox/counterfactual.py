"""Which smallest change of the text makes the model answer otherwise?

Tokens are exchanged, one first and more only if one is not enough, and the model is asked about every text that comes
of it: what is returned was seen on the model, not estimated. Among changes of equal size the most decisive one is
taken, with the largest difference

    logit(best wanted answer) - logit(answer of the whole text)

Which words could stand in a place? Where nothing else is said, those that the model itself finds most probable there,
given what stands before: then the changed text remains one that the model knows.

Wachter, Mittelstadt & Russell 2018, "Counterfactual Explanations without Opening the Black Box", for the idea; Ross,
Marasović & Peters 2021, "Explaining NLP Models via Minimal Contrastive Editing (MiCE)", for texts and a wanted answer.

What it can't tell you: without `wanted`, the change may have made another question of the text, to which another answer
is only natural. There are mostly several smallest changes, and none of them is "the" reason. None found means none
among the choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb
from typing import TYPE_CHECKING

import torch

from glassbox.errors import InputError, ModelError
from glassbox.question import Question
from glassbox.removal import removable
from glassbox.text import single_token, spell
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Change = tuple[int, int]  # (place in the text, the token that comes there)

TEXTS_AT_A_TIME = 64
MOST_TEXTS = 50_000  # some minutes on a laptop for a small model


@dataclass(frozen=True, repr=False)
class Counterfactual:
    """A text that differs in as few tokens as can be, and to which the model gives another answer.

    ids:             the changed text, (seq,).
    changes:         (place, the token that stood there, the token that stands there now), by place.
    answer, instead: the model's answers to the two texts, in words.
    margin:          by how much the logit of the new answer exceeds that of the old one, on the changed text.
    tried:           how many changed texts the model was asked about.
    """

    ids: torch.Tensor
    changes: tuple[tuple[int, str, str], ...]
    answer: str
    instead: str
    margin: float
    tried: int

    def __repr__(self) -> str:
        changes = ", ".join(f"{old!r} -> {new!r} at token {place}" for place, old, new in self.changes)
        return f"{self.answer!r} becomes {self.instead!r} by {changes} ({self.tried} texts tried)"


def counterfactual(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    wanted: Sequence[str | int] | None = None,
    choices: int | Mapping[int, Sequence[str | int]] = 5,
    most: int = 2,
    position: int = -1,
) -> Counterfactual | None:
    """The smallest exchange of tokens after which the model answers otherwise, or None if there is none to be found.

    wanted:   the answers that count, tokens or classes; None for any other than the present one.
    choices:  how many tokens to try in each place, the most probable ones first; or those to try, by place.
    most:     how many tokens may be exchanged.

    The other arguments are those of `glassbox.explain`. Raises InputError for what can't be used, also where the
    search would ask about more than 50,000 texts; ModelError for a model that can't say which tokens are probable in a
    place, unless `choices` says it.
    """
    question = Question.ask(model, tokenizer, text, None, None, position, "logit")
    if not isinstance(most, int) or most < 1:
        raise InputError(f"most is {most!r}; allowed: 1 or more")
    with undisturbed(model), torch.no_grad():
        output = question.run()
        settled = question.settled(output)
        goals = _goals(settled, output, wanted)
        exchanges = _exchanges(question, output, choices)
        count = sum(comb(len(exchanges), size) * _widest(exchanges) ** size for size in range(1, most + 1))
        if count > MOST_TEXTS:
            raise InputError(
                f"up to {count} texts would have to be tried; allowed: {MOST_TEXTS}. Give fewer `choices`, for fewer "
                "places, or a smaller `most`"
            )
        tried = 0
        for size in range(1, most + 1):
            changes = list(_changes(exchanges, size))
            tried += len(changes)
            best = _most_decisive(settled, goals, changes)
            if best is not None:
                return _told(settled, output, *best, tried)
    return None


def _goals(question: Question, output, wanted: Sequence[str | int] | None) -> list[int] | None:
    if wanted is None:
        return None
    if isinstance(wanted, str) or not len(wanted):
        raise InputError(f"wanted is {wanted!r}; allowed: a list of one answer or more, or None")
    goals = [replace(question, target=one).settled(output).target for one in wanted]
    if goals == [question.target]:
        raise InputError(f"{wanted[0]!r} is what the model answers already; allowed: another answer")
    return [goal for goal in goals if goal != question.target]


def _exchanges(question: Question, output, choices: int | Mapping[int, Sequence]) -> dict[int, list[int]]:
    """The tokens to try in each place, without the one that stands there."""
    ids = question.ids[0].tolist()
    if isinstance(choices, Mapping):
        found = {place: [_token(question, one) for one in choices[place]] for place in choices}
        if outside := [place for place in found if not 0 <= place < len(ids)]:
            raise InputError(f"choices are given for place {outside[0]}; allowed: 0 to {len(ids) - 1}")
    else:
        if not isinstance(choices, int) or choices < 1:
            raise InputError(f"choices is {choices!r}; allowed: 1 or more, or tokens by place")
        if question.about_classes(output) or not question.model.can_generate():
            raise ModelError(
                f"{type(question.model).__name__} does not predict a text's next word, so it can't say which words are "
                "probable in a place; pass `choices` as tokens by place"
            )
        words = removable(question).tolist()
        everywhere = question.run(positions=range(len(ids))).logits[0]  # (seq, vocabulary)
        probable = everywhere.topk(choices + 1).indices.tolist()  # (seq, choices + 1)
        found = {
            place: [token for token in probable[place - 1] if token != ids[place]][:choices]
            for place in range(1, question.position + 1)
            if words[place]
        }
    return {place: [token for token in tokens if token != ids[place]] for place, tokens in sorted(found.items())}


def _token(question: Question, one: str | int) -> int:
    if isinstance(one, str):
        return single_token(question.tokenizer, one, "choice")
    vocabulary = question.model.get_input_embeddings().num_embeddings
    if not isinstance(one, int) or not 0 <= one < vocabulary:
        raise InputError(f"choice {one!r} is no token of this model; allowed: 0 to {vocabulary - 1}, or a string")
    return one


def _widest(exchanges: dict[int, list[int]]) -> int:
    return max(map(len, exchanges.values()), default=0)


def _changes(exchanges: dict[int, list[int]], size: int) -> Iterator[tuple[Change, ...]]:
    for places in combinations(exchanges, size):
        for tokens in product(*(exchanges[place] for place in places)):
            yield tuple(zip(places, tokens, strict=True))


def _most_decisive(
    question: Question, goals: list[int] | None, changes: list[tuple[Change, ...]]
) -> tuple[tuple[Change, ...], int, float] | None:
    """Of those changes after which the model gives an answer that counts, the one with the largest margin."""
    found, largest = None, 0.0
    for first in range(0, len(changes), TEXTS_AT_A_TIME):
        batch = changes[first : first + TEXTS_AT_A_TIME]
        ids = torch.stack([_changed(question, change) for change in batch])  # (text, seq)
        changed = replace(question, ids=ids)
        logits = changed.logits(changed.run())  # (text, choices)
        answers = logits.argmax(-1)  # (text,)
        margins = logits.max(-1).values - logits[:, question.target]
        for change, answer, margin in zip(batch, answers.tolist(), margins.tolist(), strict=True):
            counts = answer != question.target if goals is None else answer in goals
            if counts and margin > largest:
                found, largest = (change, answer, margin), margin
    return found


def _changed(question: Question, change: tuple[Change, ...]) -> torch.Tensor:
    ids = question.ids[0].clone()  # (seq,)
    for place, token in change:
        ids[place] = token
    return ids


def _told(
    question: Question, output, change: tuple[Change, ...], answer: int, margin: float, tried: int
) -> Counterfactual:
    before = spell(question.tokenizer, question.ids[0].tolist())
    after = spell(question.tokenizer, [token for _, token in change])
    changes = tuple((place, before[place], new) for (place, _), new in zip(change, after, strict=True))
    name = question.namer(output)
    return Counterfactual(_changed(question, change).cpu(), changes, name(question.target), name(answer), margin, tried)
