"""The attention view: one head as lines and as a matrix, and all heads of all layers at a glance."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from glassbox.attention import run_by_layers
from glassbox.attention_function import attention_by, for_each_query, plain_attention
from glassbox.errors import InputError, checked_index
from glassbox.models import ROWS, anatomy
from glassbox.norm_based import transformed_values
from glassbox.question import Question
from glassbox.text import spell
from glassbox.trace import undisturbed
from glassbox.views.view import Table, View, bytes_of, label, name
from glassbox.weights import checked_weights, is_causal

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LARGEST = 2**19  # weights in one view, each a byte


@dataclass(frozen=True, eq=False)
class Heads:
    """What each head of some layers does on one text.

    weights:  (layer, head, query, key);  layers: which ones, of how many (depth).
    norms:    how long what a key brings is at a weight of one, ‖v_j W_O‖, (layer, head, key); None where the
              architecture is not in the anatomy's table. Weight times norm is what `attention_norms` measures.
    """

    tokens: list[str]
    layers: list[int]
    depth: int
    weights: torch.Tensor
    norms: torch.Tensor | None


def heads_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    layers: Sequence[int] | None = None,
) -> Heads:
    """Attention weights and value norms of the chosen layers (default: all), by one run of the model."""
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    weights, norms = [], []  # per layer (head, query, key), (head, key)

    def watched(module, query, key, value, *rest, **more):
        mixed, seen = plain_attention(module, query, key, value, *rest, **more)
        projection = projections[module]
        weights.append(checked_weights(seen, len(weights))[0])
        norms.append(transformed_values(for_each_query(value, query), projection).norm(dim=-1)[0])
        return mixed, seen

    with undisturbed(model), torch.no_grad():
        if model.config.model_type in ROWS:
            parts = anatomy(model)
            projections = dict(zip(parts.attentions, parts.output_projections, strict=True))
            with attention_by(model, watched):
                question.run()
        else:
            run_by_layers(question, lambda seen: weights.append(checked_weights(seen, len(weights))[0]))
    depth = len(weights)
    chosen = [checked_index("layer", number, depth) for number in (range(depth) if layers is None else layers)]
    if not chosen:
        raise InputError("no layer is asked for; allowed: a list of layers, or None for all")
    return Heads(
        spell(question.tokenizer, question.ids[0].tolist()),
        chosen,
        depth,
        torch.stack([weights[number] for number in chosen]).float().cpu(),
        torch.stack([norms[number] for number in chosen]).float().cpu() if norms else None,
    )


def attention(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    layers: Sequence[int] | None = None,
    layer: int | None = None,
    head: int = 0,
    title: str | None = None,
) -> View:
    """All heads at a glance, one of them as lines and as a matrix, by weight or by weight times value norm.

    layers:       which layers to take in; None takes all.
    layer, head:  the head that is shown first, and whose matrix stands in the table; by default of the last layer.

    Raises InputError for layers and heads that are not there, and for more weights than a page should carry.
    """
    read = heads_of(model, tokenizer, text, layers=layers)
    depth, heads, seq, _ = read.weights.shape
    number = read.layers[-1] if layer is None else checked_index("layer", layer, read.depth)
    if number not in read.layers:
        raise InputError(f"layer {number} was not read; allowed: {', '.join(map(str, read.layers))}")
    row = read.layers.index(number)
    head = checked_index("head", head, heads)
    causal = is_causal(read.weights)
    seen = torch.ones(seq, seq, dtype=torch.bool)
    seen = seen.tril() if causal else seen
    taken = read.weights[:, :, seen]  # (layer, head, entry), row by row
    if taken.numel() > LARGEST:
        raise InputError(
            f"{depth} layers of {heads} heads on {seq} tokens are {taken.numel()} weights; allowed: {LARGEST}; "
            "shorten the text or choose layers"
        )
    coded, shown = bytes_of(taken)
    weights = torch.zeros_like(read.weights).double()
    weights[:, :, seen] = shown
    data = {
        "tokens": [label(token) for token in read.tokens],
        "layers": read.layers,
        "heads": heads,
        "causal": causal,
        "start": [row, head],
        "weights": coded,
    }
    if read.norms is not None:
        data["longest"] = float(f"{float(read.norms.max()):.4g}")
        steps = (255 * read.norms / (read.norms.max() or 1.0)).round().int()
        data["norms"] = base64.b64encode(bytes(steps.flatten().tolist())).decode()
    names = [name(token, 12) for token in read.tokens]
    places = [f"{place} {each}" for place, each in enumerate(names)]
    matrix = [
        [places[query], *(f"{share:.2f}" if there else "" for share, there in zip(shares, may, strict=True))]
        for query, (shares, may) in enumerate(zip(weights[row, head].tolist(), seen.tolist(), strict=True))
    ]
    glance = []
    for number, rows in zip(read.layers, weights[:, :, -1], strict=True):  # (head, key)
        best = zip(*(each.tolist() for each in rows.max(dim=-1)), strict=True)
        glance.append([f"layer {number}", *(f"{names[place]} {share:.2f}" for share, place in best)])
    return View(
        "attention",
        title or "Where each head looks",
        data,
        [
            Table(
                f"Layer {read.layers[row]}, head {head}: what each token (row) gives to each token (column)",
                ["token", *places],
                matrix,
            ),
            Table(
                f"What the last token, {read.tokens[-1]!r}, looks at most, by layer and head",
                ["layer", *(f"head {number}" for number in range(heads))],
                glance,
            ),
        ],
        lambda title: _figure(read, title),
    )


def _figure(read, title):
    from glassbox import figures  # matplotlib loads when something is drawn, not before

    heads = range(read.weights.shape[1])
    many = len(read.layers) * len(heads) > 16  # then a panel has no room for more
    form = "{}.{}" if many else "layer {} head {}"
    names = [form.format(layer, head) for layer in read.layers for head in heads]
    return figures.attention_grid(read.weights.flatten(0, 1), read.tokens, title=title, names=names)
