"""How sure can we be? Intervals and tests over sentences.

A number measured on one sentence says little about a method, and the tokens of a sentence are no independent cases:
neighbours share a topic, and position pulls at all of them. So the unit is the sentence. Measure each sentence once,
then ask how far the mean would move had other sentences been drawn:

    bootstrap    draw as many sentences with replacement, take the mean, repeat; the middle 95 % of the means is the
                 interval (Efron 1979; the percentile interval)
    permutation  if two methods were alike, each sentence's difference could as well have had the other sign; the
                 p-value is how often random signs give a mean difference at least as large (Fisher 1935)

What they cannot tell you: anything about sentences of another kind than those measured. And with fewer than some
twenty sentences the interval is too narrow.
"""

from __future__ import annotations

import torch

from glassbox.errors import InputError

_AT_ONCE = 2**20  # numbers drawn at a time, so that memory does not grow with the sentences


def bootstrap_interval(
    values: torch.Tensor, *, level: float = 0.95, samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Between which bounds does the mean over all such sentences lie? (low, high), the percentile interval.

    values: one for each sentence, (sentence,); their order does not matter.
    """
    values = _in_order(values, "values")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; allowed: between 0 and 1, for instance 0.95")
    generator = torch.Generator().manual_seed(seed)
    means = torch.cat(
        [
            values[torch.randint(len(values), (rows, len(values)), generator=generator)].mean(dim=1)
            for rows in _blocks(samples, len(values))
        ]
    )  # (sample,)
    low, high = means.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    return low, high


def permutation_test(first: torch.Tensor, second: torch.Tensor, *, samples: int = 10_000, seed: int = 0) -> float:
    """How often would chance alone make two methods differ as much, on average over the sentences? The p-value.

    first, second: what each method scored on the same sentences in the same order, (sentence,). Two-sided. The observed
    signs count among the drawn ones, so p is never below 1 / (samples + 1).
    """
    first, second = torch.as_tensor(first).double(), torch.as_tensor(second).double()
    if first.shape != second.shape:
        raise InputError(
            f"there are {tuple(first.shape)} and {tuple(second.shape)} values; allowed: both for the same sentences"
        )
    differences = _in_order(first - second, "differences")  # (sentence,)
    sizes = differences.abs().sort().values  # (sentence,), the same whichever method is the first
    generator = torch.Generator().manual_seed(seed)
    # Sums of the same numbers in another order may differ in the last digits, and still are equal.
    bound = abs(float(differences.sum())) - 1e-12 * float(sizes.sum())
    as_large = 0
    for rows in _blocks(samples, len(sizes)):
        signs = 2 * torch.randint(2, (rows, len(sizes)), generator=generator).double() - 1  # (sample, sentence)
        as_large += int(((signs @ sizes).abs() >= bound).sum())
    return (as_large + 1) / (samples + 1)


def _in_order(values: torch.Tensor, what: str) -> torch.Tensor:
    """Values from small to large: random draws go by place, and must not depend on how the sentences were ordered."""
    values = torch.as_tensor(values).detach().cpu().double()
    if values.ndim != 1 or not len(values):
        raise InputError(f"{what} have the shape {tuple(values.shape)}; allowed: (sentence,), one for each sentence")
    if not values.isfinite().all():
        raise InputError(f"{what} are not finite (nan or infinite); leave out the sentences where they are undefined")
    return values.sort().values


def _blocks(samples: int, length: int) -> list[int]:
    """How many samples to draw at a time: (samples,) cut into blocks that fit."""
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"samples is {samples!r}; allowed: a whole number, 1 or more")
    block = max(_AT_ONCE // length, 1)
    return [min(block, samples - start) for start in range(0, samples, block)]
