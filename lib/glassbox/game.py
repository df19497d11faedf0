"""A text as a game: its words are the players, and f of a coalition is the model's answer when only these are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.question import Question
from glassbox.removal import removable, replacement_id, values_without
from glassbox.text import spell
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

Coalitions = Callable[[torch.Tensor], torch.Tensor]  # f: which players are kept (n, players) bool -> (n,)


@dataclass(frozen=True)
class Game:
    """One question to a model as a function of the words that are kept."""

    question: Question
    output: ModelOutput  # the model's, for the whole text
    places: torch.Tensor  # (players,), where in the text each player stands
    how: str
    replacement: int | None
    batch_size: int | None

    @classmethod
    def of(cls, question: Question, how: str, replacement: str | int | None, batch_size: int | None) -> Game:
        """Arguments and errors: as for `glassbox.removal.values_without`."""
        with undisturbed(question.model), torch.no_grad():
            output = question.run()
        places = removable(question).nonzero()[:, 0].cpu()
        if how == "replace":
            replacement = replacement_id(question, replacement)
        return cls(question.settled(output), output, places, how, replacement, batch_size)

    @property
    def players(self) -> int:
        return len(self.places)

    def __call__(self, kept: torch.Tensor) -> torch.Tensor:
        """f of each coalition, (n,), float64; kept: which players it keeps, bool (n, players)."""
        whole = torch.ones(len(kept), self.question.ids.shape[1], dtype=torch.bool)
        whole[:, self.places] = kept  # (n, seq)
        return values_without(self.question, whole, self.how, self.replacement, self.batch_size).double().cpu()

    def answer(self, method: str, scores: torch.Tensor, **details: Any) -> Attribution:
        """The attribution that gives each player its score and all other tokens 0; it says how words were removed."""
        whole = torch.zeros(self.question.ids.shape[1], dtype=scores.dtype)
        whole[self.places] = scores
        if self.how == "replace":
            details["replacement"] = spell(self.question.tokenizer, [self.replacement])[0]
        return self.question.answer(method, whole, self.output, how=self.how, **details)
