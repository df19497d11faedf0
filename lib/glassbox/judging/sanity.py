"""Sanity check: does an explanation change when what the model has learned is destroyed?

Shuffle the weights from the top down: first the head, then the last layer, and so on until the embeddings are shuffled
too. After each step explain the same output again, and compare with the explanation of the trained model:

    correlation_s = Spearman's ρ (scores of the trained model, scores after step s)

An explanation that shows what the model learned falls towards zero. One that stays near one shows something else: the
text, the positions, or the architecture. Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3, the
cascading randomisation. Here each weight tensor's entries change places, so that activations keep about their size;
there they are drawn anew. As there, the correlation of sizes |a| is reported beside that of the scores as they are.

What it cannot tell you: that a method which passes is right. Random scores pass. And a method which is blind to the
output, as attention is, cannot notice a shuffled head.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from glassbox.judging.comparison import several
from glassbox.judging.faithfulness import question_of
from glassbox.judging.rank_agreement import spearman
from glassbox.methods import explain
from glassbox.models import anatomy
from glassbox.removal import removable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False, repr=False)
class SanityCheck:
    """How much of an explanation is left after each step of shuffling.

    stages:        what was shuffled last, from the top down; everything before it is shuffled too.
    correlation:   (stage, text), of the scores; NaN where all words of a text have the same score.
    of_sizes:      the same of the scores' absolute values.
    """

    method: str
    stages: list[str]
    correlation: torch.Tensor
    of_sizes: torch.Tensor

    def plot(self, title: str | None = None) -> Figure:
        """A bar for each stage: the correlation with the original, mean over the texts."""
        from glassbox import charts

        title = title or f"{self.method} after shuffling the weights from the top down"
        means = self.correlation.nanmean(dim=1)
        return charts.bars(
            self.stages, means, title=title, label="Spearman's ρ with before", names_are="shuffled down to"
        )

    def __repr__(self) -> str:
        texts = self.correlation.shape[1]
        lines = [f"{self.method}: Spearman's ρ with the trained model's explanation, mean over {texts} text(s)"]
        lines.append(f"{'shuffled down to':<18}{'scores':>8}{'|scores|':>10}")
        means = zip(self.stages, self.correlation.nanmean(dim=1), self.of_sizes.nanmean(dim=1), strict=True)
        return "\n".join([*lines, *(f"{stage:<18}{signed:>8.2f}{size:>10.2f}" for stage, signed, size in means)])


def sanity_check(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor | Sequence[str | torch.Tensor],
    *,
    method: str,
    seed: int = 0,
    **options: Any,
) -> SanityCheck:
    """How much of an explanation is left when the model's weights are shuffled from the top down?

    text:     a string or token ids (1, seq), or a list of such; the weights are shuffled once for all of them.
    options:  target, foil, position, of, and the method's own, as for `glassbox.explain`.

    What the trained model predicts is explained throughout. Works on a copy: the model itself is not touched. Raises
    ModelError for a model whose layers are not known.
    """
    explained = []
    for one in several(text):
        original = explain(model, tokenizer, one, method=method, **options)
        words = removable(question_of(model, tokenizer, original)).cpu()  # (seq,)
        explained.append((one, original, words))
    shuffled = deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    signed, sizes = [], []
    for parameters in stages(shuffled).values():
        for parameter in parameters:
            shuffle(parameter, generator)
        pairs = []
        for one, original, words in explained:
            asked = options | {"target": original.target, "foil": original.foil}
            after = explain(shuffled, tokenizer, one, method=method, **asked)
            pairs.append((original.scores[words], after.scores[words]))
        signed.append([spearman(before, after) for before, after in pairs])
        sizes.append([spearman(before.abs(), after.abs()) for before, after in pairs])
    correlation, of_sizes = (torch.tensor(found, dtype=torch.float64) for found in (signed, sizes))  # (stage, text)
    return SanityCheck(method, list(stages(model)), correlation, of_sizes)


def stages(model: PreTrainedModel) -> dict[str, list[nn.Parameter]]:
    """Every parameter of the model once, by the stage that shuffles it, from the top down.

    Where the unembedding is the embedding's own matrix, it waits for the embedding: shuffling it first would destroy
    the bottom together with the top.
    """
    parts = anatomy(model)
    stage_of: dict[int, str] = {}
    for number, block in enumerate(parts.blocks):
        stage_of |= dict.fromkeys(map(id, block.parameters()), f"layer {number}")
    embeddings = [part for part in (parts.embedding, parts.position_embedding) if part is not None]
    stage_of |= {id(parameter): "embedding" for part in embeddings for parameter in part.parameters()}
    for part in (parts.final_norm, parts.unembedding):
        if part is not None:  # OPT keeps its last norm before its first block
            stage_of = dict.fromkeys(map(id, part.parameters()), "head") | stage_of
    layers = [f"layer {number}" for number in reversed(range(len(parts.blocks)))]
    found: dict[str, list[nn.Parameter]] = {name: [] for name in ("head", *layers, "embedding")}
    below = "embedding"  # what belongs to no known part stands below the blocks until they begin
    for parameter in model.parameters():
        stage = stage_of.get(id(parameter), below)
        if stage in layers:
            below = "head"
        found[stage].append(parameter)
    return {name: parameters for name, parameters in found.items() if parameters}


@torch.no_grad()
def shuffle(parameter: nn.Parameter, generator: torch.Generator) -> None:
    """Let the entries of a parameter change places, at random."""
    order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
    parameter.copy_(parameter.flatten()[order].view_as(parameter))
