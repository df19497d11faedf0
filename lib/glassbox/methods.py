"""The table of methods, and the one door to all of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.question import Question, Target

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

METHODS: dict[str, Callable[..., Attribution]] = {}


def method(name: str) -> Callable:
    """Enter a function from a `Question` and options to an `Attribution` in METHODS, with what all methods share."""

    def enter(answer: Callable[..., Attribution]) -> Callable[..., Attribution]:
        own = list(inspect.signature(answer).parameters.values())[1:]

        @functools.wraps(answer)
        def explain_by(
            model: PreTrainedModel,
            tokenizer: PreTrainedTokenizerBase | None,
            text: str | torch.Tensor,
            *,
            target: Target = None,
            foil: str | int | None = None,
            position: int = -1,
            of: str = "logit",
            **options: Any,
        ) -> Attribution:
            for option in options:
                if option not in [keyword.name for keyword in own]:
                    allowed = [*SHARED, *(keyword.name for keyword in own)]
                    raise InputError(f"{name!r} has no option {option!r}; allowed: {_listed(allowed)}")
            with torch.inference_mode(False):  # a tensor made in inference mode can take no part in a gradient
                return answer(Question.ask(model, tokenizer, text, target, foil, position, of), **options)

        shared = list(inspect.signature(explain_by, follow_wrapped=False).parameters.values())[:-1]
        explain_by.__signature__ = inspect.Signature([*shared, *own], return_annotation="Attribution")
        METHODS[name] = explain_by
        return explain_by

    return enter


SHARED = ("target", "foil", "position", "of")


def explain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    method: str,
    target: Target = None,
    foil: str | int | None = None,
    position: int = -1,
    of: str = "logit",
    **options: Any,
) -> Attribution:
    """Which tokens of `text` made the model predict `target`, according to `method`?

    text:      a string, or token ids of shape (1, seq); with ids, `tokenizer` may be None.
    target:    a token (string or id), a class (label or id), or a function from the model's output to one scalar;
               None explains the model's own prediction.
    foil:      a second token or class: explain logit(target) - logit(foil).
    position:  the token whose prediction is explained; negative counts from the end.
    of:        "logit", "logprob" or "prob" of the target.
    options:   the method's own, see the function in `METHODS`.

    Raises InputError for anything above that can't be used, ModelError for a model that can't give what is needed.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; allowed: {_listed(METHODS)}")
    return METHODS[method](model, tokenizer, text, target=target, foil=foil, position=position, of=of, **options)


def _listed(names) -> str:
    return ", ".join(repr(name) for name in names)
