"""Direct logit attribution: which parts of the model wrote the logit?

The residual stream at the last layer is a sum: the embedding, and what each head and each MLP added to it. What comes
after is linear but for the final norm's scale, and with that held at its value each part x has its share of the logit:

    share(x) = u · (x / σ ⊙ w),     u = W_U[target] - W_U[foil]

(LayerNorm first takes the mean from x). Head h of a layer adds W_O[h] z_h, z_h being what its attention mixed. The
shares of all parts, of the norm's bias and of the unembedding's add up to the logit. Where a norm stands between the
attention and the residual stream (Gemma), its scale is held as well. Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits"; Wang et al. 2023, "Interpretability in the Wild", section 3.

What it can't tell you: what a part did to later parts. An early head that every later one builds on may have no share
of its own. And the scale hides that parts compete: without one of them, σ would be another, and so all shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from glassbox.errors import InputError, ModelError
from glassbox.models import Anatomy, anatomy
from glassbox.question import Question, Target
from glassbox.residual import recorded
from glassbox.text import spell
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(eq=False, repr=False)
class LogitAttribution:
    """Each part's share of a logit, or of the difference of two. All shares add up to `value`, but for rounding.

    embedding, position_embedding:  of the token at `position`; the latter is 0 where positions are not added.
    heads:             (layer, head).
    attention_biases:  (layer,), what the output projection adds whatever the heads say; 0 where it has no bias.
    mlps:              (layer,), with their biases.
    norm_bias, unembedding_bias:  0 where there is none.
    value:             the logit before any soft cap (Gemma 2), which would mix the shares.
    """

    embedding: float
    position_embedding: float
    heads: torch.Tensor
    attention_biases: torch.Tensor
    mlps: torch.Tensor
    norm_bias: float
    unembedding_bias: float
    value: float
    target: int
    target_token: str
    foil: int | None
    foil_token: str | None
    position: int
    tokens: list[str]

    @property
    def parts(self) -> dict[str, float]:
        """Every share by the name of its part, from the embedding upwards."""
        parts = {"embedding": self.embedding, "position embedding": self.position_embedding}
        for layer, heads in enumerate(self.heads.tolist()):
            parts |= {f"layer {layer} head {head}": share for head, share in enumerate(heads)}
            parts[f"layer {layer} attention bias"] = float(self.attention_biases[layer])
            parts[f"layer {layer} MLP"] = float(self.mlps[layer])
        return parts | {"final norm's bias": self.norm_bias, "unembedding's bias": self.unembedding_bias}

    @property
    def layers(self) -> torch.Tensor:
        """What each layer wrote in all, (layer,)."""
        return self.heads.sum(-1) + self.attention_biases + self.mlps

    def top(self, k: int = 10) -> list[tuple[str, float]]:
        """The k parts with the largest shares, for or against, largest first."""
        return sorted(self.parts.items(), key=lambda part: -abs(part[1]))[:k]

    def plot(self, title: str | None = None) -> Figure:
        """A row for each layer, the last on top: its heads, the attention's bias, the MLP. Embeddings are left out."""
        from glassbox import grids  # matplotlib loads when something is drawn, not before

        columns = [*(f"head {head}" for head in range(self.heads.shape[1])), "bias", "MLP"]
        shares = torch.cat([self.heads, self.attention_biases[:, None], self.mlps[:, None]], dim=1)  # (layer, part)
        return grids.layer_grid(
            shares,
            range(len(shares)),
            columns,
            texts=[[f"{share:z.2f}" for share in row] for row in shares.tolist()],
            title=title or self.heading,
            label="share of the logit",
            columns="part",
            signed=True,
        )

    @property
    def heading(self) -> str:
        """What was explained, in one line."""
        foil = "" if self.foil_token is None else f" rather than {self.foil_token!r}"
        place = f"token {self.position} {self.tokens[self.position]!r}"
        return f"logit attribution: {self.target_token!r}{foil} at {place} (logit {self.value:.3f})"

    def __repr__(self) -> str:
        return "\n".join([self.heading, *(f"{share:>9.3f}  {name}" for name, share in self.top())])


@torch.inference_mode(False)  # a tensor made in inference mode can take no part in a gradient
def logit_attribution(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    target: Target = None,
    foil: str | int | None = None,
    position: int = -1,
) -> LogitAttribution:
    """How much of the logit of `target` did each head and each MLP write directly?

    target, foil, position: as for `glassbox.explain`, but for functions: tokens, or their ids.
    Raises InputError for what can't be used; ModelError for a model that is no decoder of the anatomy's table, or where
    norms stand on the residual stream itself (BERT): what is read at the end is no sum of parts there.
    """
    if callable(target):
        raise InputError("a function has no share in the logits; allowed: a token, its id or None")
    question = Question.ask(model, tokenizer, text, target, foil, position, "logit")
    parts = anatomy(model)
    if parts.final_norm is None:
        name = type(model).__name__
        raise ModelError(f"{name} has norms on the residual stream itself; allowed: a decoder whose blocks norm first")
    watched = [parts.blocks[0], parts.position_embedding, parts.final_norm, *parts.output_projections]
    watched += parts.attention_writes + parts.mlp_writes
    with undisturbed(model), torch.no_grad():
        with recorded(module for module in watched if module is not None) as seen:
            output = question.run()
        question = question.settled(output)
        if question.about_classes(output):
            raise ModelError(f"{type(model).__name__} predicts classes; allowed: a model that predicts words")
        here = question.position

        def at(kind: int, module: nn.Module) -> torch.Tensor:
            """What went into a module (0) or came out of it (1) here, (width,), in float32 at least."""
            value = seen[module][kind].flatten(0, -2)[here]  # OPT's MLP drops the batch, which is one text
            return value if value.dtype == torch.float64 else value.float()

        start = at(0, parts.blocks[0])  # (width,)
        place = torch.zeros_like(start) if parts.position_embedding is None else at(1, parts.position_embedding)
        heads, biases = zip(*(_attention(parts, layer, at) for layer in range(len(parts.blocks))), strict=True)
        mlps = torch.stack([at(1, module) for module in parts.mlp_writes])  # (layer, width)
        direction, unembedding_bias = _direction(parts, question, at(1, parts.final_norm))
        gain = _gain(parts.final_norm, at(0, parts.final_norm))

        def share(part: torch.Tensor) -> torch.Tensor:  # (..., width) to (...)
            return (gain(part) @ direction).cpu()

        norm_bias = getattr(parts.final_norm, "bias", None)
        return LogitAttribution(
            embedding=float(share(start - place)),
            position_embedding=float(share(place)),
            heads=share(torch.stack(heads)),
            attention_biases=share(torch.stack(biases)),
            mlps=share(mlps),
            norm_bias=0.0 if norm_bias is None else float(norm_bias.to(direction) @ direction),
            unembedding_bias=unembedding_bias,
            value=float(at(1, parts.final_norm) @ direction) + unembedding_bias,
            target=question.target,
            target_token=spell(tokenizer, [question.target])[0],
            foil=question.foil,
            foil_token=None if question.foil is None else spell(tokenizer, [question.foil])[0],
            position=here,
            tokens=spell(tokenizer, question.ids[0].tolist()),
        )


def _attention(parts: Anatomy, layer: int, at: Callable) -> tuple[torch.Tensor, torch.Tensor]:
    """What each head adds to the residual stream (head, width), and what the output projection's bias adds (width,)."""
    projection, write = parts.output_projections[layer], parts.attention_writes[layer]
    mixed = at(0, projection)  # (head · head width,)
    matrix = projection.weight if isinstance(projection, nn.Linear) else projection.weight.T  # Conv1D: (in, out)
    matrix = matrix.to(mixed).unflatten(1, (parts.heads, -1))  # (width, head, head width)
    heads = torch.einsum("whd,hd->hw", matrix, mixed.unflatten(0, (parts.heads, -1)))  # (head, width)
    bias = torch.zeros_like(heads[0]) if projection.bias is None else projection.bias.to(mixed)  # (width,)
    if write is parts.attentions[layer]:
        return heads, bias
    gain = _gain(write, at(0, write))  # a norm stands between the attention and the residual stream
    return gain(heads), gain(bias)


def _gain(norm: nn.Module, hidden: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The norm as a linear map (..., width), its scale held at what it is for `hidden` (width,), its bias left out."""
    if isinstance(norm, nn.LayerNorm):
        scale = (hidden.var(unbiased=False) + norm.eps).rsqrt()
        weight = 1.0 if norm.weight is None else norm.weight.to(hidden)
        return lambda part: (part - part.mean(-1, keepdim=True)) * scale * weight
    # An RMSNorm multiplies by its weights (Gemma: by one more) and a scale that knows the mean square only. So a vector
    # of equal entries with the same mean square gets the same scale, and shows the whole factor of each component.
    size = hidden.square().mean().sqrt()
    factor = norm(size.expand_as(hidden)) / size  # (width,)
    return lambda part: part * factor


def _direction(parts: Anatomy, question: Question, normed: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The direction (width,) in which the logit rises after the final norm, and the unembedding's bias along it."""
    start = torch.zeros_like(normed, dtype=parts.unembedding.weight.dtype, requires_grad=True)
    with torch.enable_grad(), recorded([parts.unembedding]) as seen:
        parts.head(start[None, None], norm=False)  # with what stands between norm and unembedding, as in OPT
        logits = seen[parts.unembedding][1][0, 0].to(normed)  # (vocabulary,), before any soft cap
        logit = logits[question.target] - (0 if question.foil is None else logits[question.foil])
        return torch.autograd.grad(logit, start)[0].to(normed), float(logit.detach())
