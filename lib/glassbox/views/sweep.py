"""The steering view: what a model writes at each strength of a push, and what the model left alone thinks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from glassbox.errors import InputError, checked_index
from glassbox.question import Question
from glassbox.steering import SteeringVector, steer
from glassbox.text import single_token, spell
from glassbox.trace import undisturbed
from glassbox.views.view import Table, View, label
from glassbox.views.writing import write

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

STRENGTHS = (-8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8)


@dataclass(frozen=True, eq=False)
class Push:
    """What was written at one strength.

    tokens:      those that were added, as they stand in the text.
    perplexity:  of what was added, to the model left alone: e to the mean surprise in nats.
    chances:     each watched word's probability right after the prompt, to the model that is pushed.
    """

    strength: float
    tokens: list[str]
    perplexity: float
    chances: list[float]


def sweep(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    v: SteeringVector | torch.Tensor,
    *,
    strengths: Sequence[float] = STRENGTHS,
    new_tokens: int = 12,
    watch: Sequence[str | int] = (),
    unit: str = "spread",
    layer: int | None = None,
) -> list[Push]:
    """Let the model go on with a text at each strength of a push along v, always by its most probable word.

    strengths:      see `glassbox.steer`, as for unit and layer.
    watch:          words (tokens or their ids) whose probability after the prompt is noted.

    Raises InputError for no strengths and for what `glassbox.steer` refuses, ModelError for a model that can't write.
    """
    if not len(strengths):
        raise InputError("no strength is asked for; allowed: a list of numbers")
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    vocabulary = model.get_input_embeddings().num_embeddings
    watched = [
        single_token(tokenizer, word, "word") if isinstance(word, str) else checked_index("word", word, vocabulary)
        for word in watch
    ]
    length = question.ids.shape[1]
    pushes = []
    for strength in strengths:
        with undisturbed(model), steer(model, v, strength, unit=unit, layer=layer):
            writing = write(model, tokenizer, question.ids, new_tokens=new_tokens)
        ids = torch.cat([question.ids, question.ids.new_tensor([writing.chosen[:-1]])], dim=1)
        with undisturbed(model), torch.no_grad():
            written = range(length - 1, ids.shape[1])  # where the added tokens were predicted
            asked = Question.ask(model, tokenizer, ids, None, None, -1, "logit")
            whole = asked.run(positions=written).logits[0].float()  # (token, vocabulary)
        surprise = torch.nn.functional.cross_entropy(whole.cpu(), torch.tensor(writing.chosen))  # nats
        chances = writing.logits[0].softmax(-1)[watched].tolist() if watched else []
        pushes.append(Push(float(strength), spell(tokenizer, writing.chosen), float(surprise.exp()), chances))
    return pushes


def steering(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    v: SteeringVector | torch.Tensor,
    *,
    strengths: Sequence[float] = STRENGTHS,
    new_tokens: int = 12,
    watch: Sequence[str | int] = (),
    unit: str = "spread",
    layer: int | None = None,
    title: str | None = None,
) -> View:
    """A slider for the strength, with what the model writes at each and its perplexity. The options are `sweep`'s."""
    strengths = sorted(set(strengths))
    told = dict(strengths=strengths, new_tokens=new_tokens, watch=watch, unit=unit, layer=layer)
    pushes = sweep(model, tokenizer, text, v, **told)
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    prompt = spell(tokenizer, question.ids[0].tolist())
    words = [word if isinstance(word, str) else spell(tokenizer, [word])[0] for word in watch]
    unit = "given vector" if unit == "raw" else unit  # as the reader is told
    data = {
        "prompt": [label(token) for token in prompt],
        "unit": unit,
        "watch": [label(word) for word in words],
        "pushes": [
            {
                "strength": push.strength,
                "tokens": [label(token) for token in push.tokens],
                "perplexity": float(f"{push.perplexity:.4g}"),
                "chances": [float(f"{chance:.4g}") for chance in push.chances],
            }
            for push in pushes
        ],
    }
    rows = [
        [
            f"{push.strength:g}",
            label("".join(push.tokens)),
            f"{push.perplexity:.4g}",
            *(f"{chance:.3f}" for chance in push.chances),
        ]
        for push in pushes
    ]
    columns = ["strength", "what the model adds", "perplexity", *(f"probability of {word!r}" for word in words)]
    return View(
        "steering",
        title or "What the model writes when it is pushed",
        data,
        [Table(f"After {''.join(prompt)!r}, pushed by so many times the {unit}", columns, rows)],
        lambda title: _figure(pushes, words, unit, title),
    )


def _figure(pushes, words, unit, title):
    from glassbox import charts  # matplotlib loads when something is drawn, not before

    over = f"strength, in units of the {unit}"
    strengths = [push.strength for push in pushes]
    if words:
        values = {word: torch.tensor([push.chances[place] for push in pushes]) for place, word in enumerate(words)}
        return charts.curves(strengths, values, title=title, label="probability after the prompt", over=over)
    perplexities = torch.tensor([push.perplexity for push in pushes])
    bits = {"what was added": perplexities.log2()}
    return charts.curves(strengths, bits, title=title, label="mean surprise, bits per token", over=over)
