"""What every method is asked: which text, at which position, and which of the model's outputs is to be explained.

The explained scalar f is the logit, log-probability or probability of one token at one position (for a model with a
classification head: of one class), the difference of two logits, or whatever a function makes of the model's output.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError, ModelError, checked_index
from glassbox.text import encode, single_token, spell, word_spans
from glassbox.trace import edited

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.modeling_outputs import ModelOutput

Target = str | int | Callable[..., torch.Tensor] | None  # a function takes the model's output

READINGS = {
    "logit": lambda logits: logits,
    "logprob": lambda logits: logits.log_softmax(-1),
    "prob": lambda logits: logits.softmax(-1),
}


@dataclass(frozen=True)
class Question:
    """One question to a model. `Question.ask` checks what can be checked before the model runs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase | None
    ids: torch.Tensor  # (1, seq)
    target: Target
    foil: str | int | None
    position: int  # from 0 to seq - 1
    of: str

    @classmethod
    def ask(cls, model, tokenizer, text, target, foil, position, of) -> Question:
        ids = encode(model, tokenizer, text)
        if of not in READINGS:
            raise InputError(f"of={of!r} can't be explained; allowed: {', '.join(map(repr, READINGS))}")
        if of != "logit" and (callable(target) or foil is not None):
            what = "a target that is a function" if callable(target) else "a foil"
            raise InputError(f"of={of!r} does not go with {what}, which settles what is explained; leave of='logit'")
        if callable(target) and foil is not None:
            raise InputError("a foil needs a token or a class as target; a function must subtract its foil itself")
        return cls(model, tokenizer, ids, target, foil, checked_index("position", position, ids.shape[1]), of)

    def run(
        self, *, inputs_embeds: torch.Tensor | None = None, positions: Sequence[int] | None = None, **inputs: Any
    ) -> ModelOutput:
        """The model's output for this text, or for texts of its length with these embeddings (batch, seq, width).

        The embeddings stand in for what the model's own layer makes of the ids, in any precision. The model still reads
        the ids, for some take their positions (RoBERTa) or their last token (GPT-2's classifier) from them.

        positions:  whose logits the output holds, in this order; unless told, those of the question's position alone.
                    The logits of all positions would be the largest tensor by far. A function as target sees all.
        """
        if inputs_embeds is None:
            ids, edits = self.ids, []
        else:
            ids = self.ids.expand(len(inputs_embeds), -1)  # (batch, seq)
            edits = [(self.model.get_input_embeddings(), lambda *called: inputs_embeds.to(called[-1].dtype))]
        kept = torch.tensor([self.position] if positions is None else list(positions), device=ids.device)
        can_keep = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        if can_keep and not callable(self.target):
            inputs["logits_to_keep"] = kept
        with edited(edits):
            # Without a mask, transformers warns wherever the start token doubles as padding.
            output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **inputs)
        logits = getattr(output, "logits", None)
        if logits is not None and logits.ndim == 3 and not (can_keep or callable(self.target)):
            output.logits = logits[:, kept]  # (batch, position, vocabulary)
        return output

    def settled(self, output: ModelOutput) -> Question:
        """The same question with target and foil as numbers: what the model itself predicted, where none was given."""
        if callable(self.target):
            return self
        choices = self.logits(output).shape[-1]
        if self.target is None:
            target = int(self.logits(output)[0].argmax())
        else:
            target = self._number("target", self.target, output, choices)
        foil = None if self.foil is None else self._number("foil", self.foil, output, choices)
        if foil == target:
            raise InputError(f"target and foil are the same ({self.namer(output)(target)!r}); choose another foil")
        return replace(self, target=target, foil=foil)

    def values(self, output: ModelOutput, row: int = 0) -> torch.Tensor:
        """The explained scalar f of each text in a batch, (batch,), differentiable; the question must be settled."""
        if callable(self.target):
            return torch.stack([_scalar(self.target, one) for one in _texts(output)])
        logits = self.logits(output, row)  # (batch, choices)
        if self.foil is not None:
            return logits[:, self.target] - logits[:, self.foil]
        return READINGS[self.of](logits)[:, self.target]

    def logits(self, output: ModelOutput, row: int = 0) -> torch.Tensor:
        """The scores that the prediction was made from: of tokens, or of classes. (batch, choices).

        row: which of the positions that the output has logits of; `run` gives those of the question's own alone.
        """
        logits = getattr(output, "logits", None)
        if logits is None:
            raise ModelError(
                f"{type(self.model).__name__} predicts nothing (it has no logits); "
                "pass a target that makes one scalar of its output, or load the model with a head"
            )
        if not self.about_classes(output):
            logits = logits[:, row]
        if not logits.isfinite().all():
            raise ModelError("the model's logits are not finite (nan or infinite): look at its weights")
        return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits

    def about_classes(self, output: ModelOutput) -> bool:
        """Whether the model classifies the whole text: logits (batch, classes), not (batch, position, vocabulary)."""
        logits = getattr(output, "logits", None)
        return logits is not None and logits.ndim == 2

    def answer(self, method: str, scores: torch.Tensor, output: ModelOutput, **details: Any) -> Attribution:
        """The attribution that these scores make, with the names and the value of what was explained."""
        question, name = self.settled(output), self.namer(output)
        return Attribution(
            tokens=spell(self.tokenizer, self.ids[0].tolist()),
            scores=scores,
            method=method,
            target=question.target,
            target_token=name(question.target),
            foil=question.foil,
            foil_token=None if question.foil is None else name(question.foil),
            position=self.position,
            of="function" if callable(self.target) else self.of,
            value=float(question.values(output)[0].detach()),
            word_spans=word_spans(self.tokenizer, self.ids[0].tolist()),
            details=details,
            ids=self.ids[0].cpu(),
        )

    def _number(self, role: str, choice: str | int, output: ModelOutput, choices: int) -> int:
        kind = "class" if self.about_classes(output) else "token"
        if isinstance(choice, str):
            return self._class(role, choice) if kind == "class" else single_token(self.tokenizer, choice, role)
        try:
            number = index(choice)
        except TypeError:
            function = "a function, " if role == "target" else ""
            raise InputError(f"{role} is {choice!r}; allowed: a {kind}, its number, {function}or None") from None
        if isinstance(choice, bool) or not 0 <= number < choices:
            raise InputError(f"{role} {choice!r} is no {kind} of this model; allowed: 0 to {choices - 1}")
        return number

    def _class(self, role: str, label: str) -> int:
        labels = self.model.config.label2id
        if label not in labels:
            raise InputError(f"{role} {label!r} is no class of this model; allowed: {', '.join(map(repr, labels))}")
        return labels[label]

    def namer(self, output: ModelOutput) -> Callable[[int | Callable], str]:
        """How to say a target in words."""
        if callable(self.target):
            return lambda function: getattr(function, "__name__", repr(function))
        if self.about_classes(output):
            return lambda number: self.model.config.id2label[number]
        return lambda number: spell(self.tokenizer, [number])[0]


def _texts(output: ModelOutput) -> list[ModelOutput]:
    """A batch's output as one output per text, each a batch of one, so that a function reads them all alike."""
    batch = len(output[0])

    def part(value: Any, row: int) -> Any:
        if isinstance(value, torch.Tensor):
            return value[row : row + 1]
        return tuple(part(layer, row) for layer in value) if isinstance(value, tuple) else value

    return [type(output)({name: part(value, row) for name, value in output.items()}) for row in range(batch)]


def _scalar(function: Callable, output: ModelOutput) -> torch.Tensor:
    value = function(output)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise InputError(f"the target function gave {got}; allowed: a tensor that holds one scalar")
    if not value.isfinite():
        raise InputError(f"the target function gave {float(value.detach())}; allowed: a finite scalar")
    return value.reshape(())
