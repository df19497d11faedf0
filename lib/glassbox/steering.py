"""Steering: which direction in the residual stream says "joy, not anger", and what does a model pushed there write?

Run texts of two kinds, keep what block l gives at one token of each, h (width,), and compare:

    mean   v = mean of h over the positive texts - mean of h over the negative ones
    pca    v = first right singular vector of the matrix of pair differences h⁺ - h⁻, of length 1

The differences are not centred, for centring takes away just what they have in common; the sign is the mean's.
Steering adds a multiple of v to what block l gives; ablation takes the direction out, h - (h·v̂) v̂ with v̂ = v / ‖v‖; and
projecting reads h·v̂. Turner et al. 2023, "Steering Language Models With Activation Engineering", section 3; Rimsky et
al. 2024, "Steering Llama 2 via Contrastive Activation Addition", section 3; Zou et al. 2023, "Representation
Engineering", section 3 (pca); Arditi et al. 2024, "Refusal ... Is Mediated by a Single Direction", section 2.4.

What it can't tell you: what the direction means. It is whatever sets these two sets of texts apart, the length and the
subject included if they differ in those. And a push that is strong enough changes any text, so compare it with a random
direction of the same length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from operator import index
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache

from glassbox.errors import InputError, ModelError, checked_index
from glassbox.models import anatomy
from glassbox.question import Question
from glassbox.residual import recorded
from glassbox.trace import edited, undisturbed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False, repr=False)
class SteeringVector:
    """A direction in the residual stream after block `layer`, and how large things are there.

    vector:  (width,), float32 (float64 if the model computes in it): the texts' mean difference, or with how="pca" a
             direction of length 1.
    norm:    the mean length of the activations that it was made from.
    spread:  how far these lie apart along the vector: the standard deviation of their projections on it.
    """

    vector: torch.Tensor
    layer: int
    how: str
    norm: float
    spread: float

    def __repr__(self) -> str:
        length = float(self.vector.norm())
        sizes = f"length {length:.3g}; the layer's norm {self.norm:.3g}, its spread along it {self.spread:.3g}"
        return f"SteeringVector(layer {self.layer}, {self.how}, {sizes})"


def steering_vector(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    *,
    positive: Sequence[str | torch.Tensor],
    negative: Sequence[str | torch.Tensor],
    layer: int,
    how: str = "mean",
    position: int = -1,
) -> SteeringVector:
    """Which direction after block `layer` leads from the negative texts to the positive ones?

    positive, negative:  lists of texts (or of token ids (1, seq)); with how="pca" pairs, so equally many of each.
    layer:               the block whose output is read, from 0; negative counts from the last.
    how:                 "mean" or "pca", see the top of this file.
    position:            the token that is read in each text.

    Raises InputError for lists, layers, positions that can't be used, and for texts between which nothing differs;
    ModelError for a model that is not in the anatomy's table.
    """
    if how not in DIRECTIONS:
        raise InputError(f"how is {how!r}; allowed: {', '.join(map(repr, DIRECTIONS))}")
    layer = checked_index("layer", layer, len(anatomy(model).blocks))

    def read(name: str, texts: Sequence[str | torch.Tensor]) -> torch.Tensor:
        if isinstance(texts, (str, torch.Tensor)) or not len(texts):
            raise InputError(f"{name} is {texts!r}; allowed: a list of one text or more")
        states = [_states(model, tokenizer, text, layer) for text in texts]  # each (seq, width)
        return torch.stack([each[checked_index("position", position, len(each))] for each in states])

    ups, downs = read("positive", positive), read("negative", negative)  # (text, width)
    vector = DIRECTIONS[how](ups, downs)
    if not vector.any():
        raise InputError("on average nothing differs between the texts at this layer and position; choose others")
    both = torch.cat([ups, downs])  # (text, width)
    along = both @ (vector / vector.norm())  # (text,)
    return SteeringVector(vector, layer, how, float(both.norm(dim=-1).mean()), float(along.std()))


def first_component(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """The direction, of length 1, that the pairs' differences share most; (pair, width) both, gives (width,)."""
    if len(positive) != len(negative):
        counts = f"{len(positive)} positive texts and {len(negative)} negative ones"
        raise InputError(f"{counts} are no pairs; allowed with how='pca': as many of each")
    differences = positive - negative  # (pair, width)
    component = torch.linalg.svd(differences, full_matrices=False).Vh[0]  # (width,)
    return component * (differences.mean(0) @ component).sign()


DIRECTIONS = {"mean": lambda positive, negative: positive.mean(0) - negative.mean(0), "pca": first_component}


@contextmanager
def steer(
    model: PreTrainedModel,
    v: SteeringVector | torch.Tensor,
    strength: float = 4.0,
    *,
    unit: str = "spread",
    positions: int | Sequence[int] | None = None,
    layer: int | None = None,
) -> Iterator[None]:
    """Inside the `with` block, what block `layer` gives is pushed along v, also while the model generates.

    v:          a steering vector, or any direction (width,); the latter goes with unit="raw" and a layer.
    strength:   how far to push, in units; negative pushes to the other side.
    unit:       "spread" or "norm" of the vector's layer, see `SteeringVector`, or "raw": strength · v is added.
    positions:  the tokens to push; None pushes all, those that are generated too. They count from the start of the
                whole text, padding included, also while the model generates and gets one token at a time; a token
                that is not there yet is pushed when it comes. Negative ones count from the end of what the model
                gets in one piece: of the prompt, when it generates with its cache.
    layer:      another layer than the vector's own; negative counts from the last.

    Everything that runs the model meanwhile is steered, `gb.explain` and other threads too.
    Raises InputError for what can't be used, ModelError for a model that is not in the anatomy's table.
    """
    blocks = anatomy(model).blocks
    direction, length, layer = _direction(v, layer, model)
    units = {"raw": length}
    if isinstance(v, SteeringVector):
        units |= {"spread": v.spread, "norm": v.norm}
    if unit not in units:
        raise InputError(f"unit is {unit!r}; allowed with a {type(v).__name__}: {', '.join(map(repr, units))}")
    if not isinstance(strength, Real) or not isfinite(strength):
        raise InputError(f"strength is {strength!r}; allowed: a finite number")
    push = strength * units[unit] * direction  # (width,)
    chosen = None if positions is None else _whole_numbers("positions", positions)

    def add(block: torch.nn.Module, inputs: tuple, named: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
        pushed = output + push.to(output)  # (batch, seq, width)
        if chosen is None:
            return pushed
        seq = output.shape[1]
        caches = [each for each in (*inputs, *named.values()) if isinstance(each, Cache)]
        earlier = int(caches[0].get_seq_length(layer)) - seq if caches else 0  # tokens of earlier runs
        here = torch.zeros(seq, 1, dtype=torch.bool, device=output.device)
        for place in chosen:
            if place < 0 and not earlier:
                here[checked_index("position", place, seq)] = True
            elif earlier <= place < earlier + seq:
                here[place - earlier] = True
        return torch.where(here, pushed, output)

    with edited([(blocks[layer], add)]):
        yield


@contextmanager
def ablate(
    model: PreTrainedModel, v: SteeringVector | torch.Tensor, *, layers: int | Sequence[int] | None = None
) -> Iterator[None]:
    """Inside the `with` block, nothing in the residual stream points along v: h becomes h - (h·v̂) v̂.

    v:       a steering vector, or any direction (width,).
    layers:  the blocks that are to give nothing along v, as their attention and MLP are to write nothing; negative
             counts from the last. None means all of them, and the embeddings too: then no part can read it. (Only
             where a norm follows the addition, as in BERT, it may bring a little back for the MLP.)

    Everything that runs the model meanwhile is ablated. Errors: as for `steer`.
    """
    parts = anatomy(model)
    direction, _, _ = _direction(v, 0, model)
    depth = len(parts.blocks)
    chosen = range(depth) if layers is None else _whole_numbers("layers", layers)
    numbers = [checked_index("layer", number, depth) for number in chosen]

    def without(hidden: torch.Tensor) -> torch.Tensor:
        exact = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        along = direction.to(exact)
        return (exact - (exact @ along)[..., None] * along).to(hidden.dtype)  # (batch, seq, width)

    def after(module: torch.nn.Module, inputs: tuple, named: dict[str, Any], output: Any) -> Any:
        return (without(output[0]), *output[1:]) if isinstance(output, tuple) else without(output)

    def before(module: torch.nn.Module, inputs: tuple) -> tuple:
        return without(inputs[0]), *inputs[1:]

    places = [part[n] for n in numbers for part in (parts.attention_writes, parts.mlp_writes, parts.blocks)]
    with edited([(place, after) for place in places], [] if layers is not None else [(parts.blocks[0], before)]):
        yield


def project(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    v: SteeringVector | torch.Tensor,
    *,
    layer: int | None = None,
) -> torch.Tensor:
    """How far does each token of a text lie along v after block `layer` (default: the vector's)? h·v̂, (seq,), float32.

    Errors: as for `steer`.
    """
    direction, _, layer = _direction(v, layer, model)
    return (_states(model, tokenizer, text, layer).cpu().double() @ direction).float()


def _states(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, text: str | torch.Tensor, layer: int
) -> torch.Tensor:
    """What the block gives for each token of one text, (seq, width)."""
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    block = anatomy(model).blocks[layer]
    with undisturbed(model), torch.no_grad(), recorded([block]) as seen:
        question.run()
    hidden = seen[block][1][0]  # (seq, width)
    if not hidden.isfinite().all():
        raise ModelError(f"what block {layer} gives is not finite (nan or infinite): look at the model's weights")
    return hidden.to(torch.promote_types(hidden.dtype, torch.float32))


def _direction(
    v: SteeringVector | torch.Tensor, layer: int | None, model: PreTrainedModel
) -> tuple[torch.Tensor, float, int]:
    """v̂ (width,) in float64, the length of v, and the layer from the start."""
    if isinstance(v, SteeringVector):
        v, layer = v.vector, v.layer if layer is None else layer
    width = model.config.hidden_size
    if not isinstance(v, torch.Tensor) or v.shape != (width,):
        got = tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__
        raise InputError(f"the direction is {got}; allowed: a SteeringVector of this model, or a tensor ({width},)")
    if layer is None:
        raise InputError("a tensor does not say which layer it is of; pass layer=")
    vector = v.detach().cpu().double()
    length = float(vector.norm())
    if not 0 < length < float("inf"):
        raise InputError(f"the direction has the length {length}; allowed: a finite one above 0")
    return vector / length, length, checked_index("layer", layer, len(anatomy(model).blocks))


def _whole_numbers(what: str, numbers: int | Sequence[int]) -> list[int]:
    try:
        chosen = [index(each) for each in (numbers if isinstance(numbers, Iterable) else [numbers])]
    except TypeError:
        chosen = []
    if not chosen:
        raise InputError(f"{what} is {numbers!r}; allowed: a whole number, a list of them, or None for all")
    return chosen
