"""Infidelity and sensitivity: do the scores add up to what the model does, and do they hold still where the text does?

    infidelity  = E_I [ (Σ_{i in I} a_i - (f(x) - f(x without I)))² ]   I: each token of the text with probability 1/2
    sensitivity = max_δ ‖a(x + δ) - a(x)‖ / ‖a(x)‖                      δ: a small step of each token's embedding

Infidelity reads the scores as amounts of f: the scores of any set of tokens should add up to what f loses when the set
is removed. Scores in other units, as attention's, are first multiplied by the factor that fits best (`scaled`).
Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", definition 2.1 and section 3; the division by
‖a(x)‖ makes methods with different units comparable.

What they cannot tell you: where words work only together, no scores add up, and a large infidelity is the model's
doing. And scores that never change have no sensitivity at all, and say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.judging.faithfulness import Value, question_of
from glassbox.judging.rank_agreement import checked_scores
from glassbox.methods import explain
from glassbox.removal import removable, values_without
from glassbox.trace import Edit, edited, undisturbed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def infidelity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    attribution: Attribution,
    *,
    how: str = "delete",
    replacement: str | int | None = None,
    samples: int = 200,
    seed: int = 0,
    scaled: bool = False,
) -> float:
    """How far is the sum of some tokens' scores from what f loses without them? The mean square, in the square of f.

    f is what the attribution is of. how, replacement: as in `glassbox.removal.values_without`. scaled: fit one factor
    for all scores first. Raises InputError for what can't be used.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples is {samples!r}; allowed: a whole number, 1 or more")
    question = question_of(model, tokenizer, attribution, attribution.of)
    words = removable(question).cpu()  # (seq,)
    generator = torch.Generator().manual_seed(seed)
    removed = (torch.rand(samples, len(words), generator=generator) < 0.5) & words  # (sample, seq)
    return mean_square_gap(
        lambda kept: values_without(question, kept, how, replacement), attribution.scores, removed, scaled
    )


def mean_square_gap(value: Value, scores: torch.Tensor, removed: torch.Tensor, scaled: bool = False) -> float:
    """The infidelity of scores (seq,) over these sets of tokens, bool (sample, seq).

    value: from which tokens are kept, bool (variant, seq), to f of each variant, (variant,).
    """
    values = value(torch.cat([torch.ones_like(removed[:1]), ~removed])).double().cpu()  # (1 + sample,)
    lost = values[0] - values[1:]  # (sample,)
    promised = removed.double() @ checked_scores(scores)  # (sample,)
    if scaled and promised.any():
        promised = promised * (promised @ lost) / (promised @ promised)
    return float((promised - lost).square().mean())


def sensitivity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    method: str,
    radius: float = 0.1,
    samples: int = 10,
    seed: int = 0,
    **options: Any,
) -> float:
    """How much can an explanation change where the text's embeddings hardly do? The largest relative change found.

    radius:   the length of each step, as a share of the length of the token's embedding.
    options:  target, foil, position, of, and the method's own, as for `glassbox.explain`.
    """
    if not radius > 0 or isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"radius is {radius!r} and samples {samples!r}; allowed: above 0, and a whole number from 1")
    before = explain(model, tokenizer, text, method=method, **options)
    if not before.scores.any():
        raise InputError(f"{method!r} gives nothing but zeros, and a change relative to them is undefined")
    options |= {"target": before.target, "foil": before.foil}  # a step may change what the model predicts
    generator, changes = torch.Generator().manual_seed(seed), []
    for _ in range(samples):
        with undisturbed(model), edited([_small_steps(model, before.ids, radius, generator)]):
            after = explain(model, tokenizer, text, method=method, **options)
        changes.append(float((after.scores - before.scores).norm() / before.scores.norm()))
    return max(changes)


def _small_steps(model: PreTrainedModel, ids: torch.Tensor, radius: float, generator: torch.Generator) -> Edit:
    """An edit after which the model reads each token of the text as a point near its embedding, wherever it stands."""
    layer = model.get_input_embeddings()
    known = ids.unique().to(model.device)  # (different,), sorted
    with torch.no_grad():
        embeddings = layer(known[None])[0]  # (different, width)
    steps = torch.randn(embeddings.shape, generator=generator).to(embeddings)
    steps *= radius * embeddings.norm(dim=-1, keepdim=True) / steps.norm(dim=-1, keepdim=True)

    def add(_, inputs: tuple[torch.Tensor, ...], keywords: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
        read = inputs[0]  # (batch, seq)
        place = torch.searchsorted(known, read).clamp(max=len(known) - 1)  # (batch, seq)
        return output + steps[place] * (known[place] == read)[..., None]  # (batch, seq, width)

    return layer, add
