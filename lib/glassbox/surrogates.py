"""Surrogates: which sum of one score per word comes closest to the model, over texts with some of the words missing?

With z_i = 1 for a word that is kept and 0 for one that is taken away, both methods fit g(z) = g_0 + Σ_i s_i z_i to the
model's answers f(z) by weighted least squares, and a word's score is its s_i. They differ in the texts, and in how much
each of them weighs:

    LIME        π(z) = exp(-D(z)² / σ²),  D(z) = 1 - cos(z, 1) = 1 - √(kept / all):   near the text counts most
                minimise Σ_z π(z) (f(z) - g(z))² + λ Σ_i s_i²,  g_0 free
    KernelSHAP  π(z) = (M - 1) / (C(M, m) · m · (M - m)),  m of M words kept:   the smallest and largest count most
                minimise Σ_z π(z) (f(z) - g(z))²  with g(nothing) = f(nothing) and g(everything) = f(everything)

Over all 2^M texts KernelSHAP's scores are the Shapley values: what a word adds to f, on average over all orders in
which the words could have come. Ribeiro, Singh and Guestrin 2016, "Why Should I Trust You?", section 3.3 and 3.4.
Lundberg and Lee 2017, "A Unified Approach to Interpreting Model Predictions", theorem 2. The coalitions that stand
for all of them in longer texts are drawn in pairs with their complements: Covert and Lee 2021, "Improving KernelSHAP".

What they can't tell you: whether the model is anything like a sum. A pair of words that counts only together gets its
worth divided between the two. Most of the texts asked about are word salad, and LIME's scores change with σ and λ.
"""

from __future__ import annotations

from math import comb, inf
from typing import NamedTuple

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.game import Coalitions, Game
from glassbox.methods import method
from glassbox.question import Question

EXACT = 12  # with so many players or fewer, KernelSHAP asks about every coalition


class Surrogate(NamedTuple):
    """A sum of scores that stands in for f, and the coalitions it was fitted to; all float64."""

    scores: torch.Tensor  # (players,)
    intercept: float
    kept: torch.Tensor  # (n, players) bool; the first keeps everyone
    values: torch.Tensor  # (n,), f of each
    weights: torch.Tensor  # (n,)

    @property
    def errors(self) -> torch.Tensor:
        """What f is above the sum, for each coalition, (n,)."""
        return self.values - self.intercept - self.kept.double() @ self.scores


def lime(
    f: Coalitions, players: int, samples: int = 1000, kernel_width: float = 0.25, ridge: float = 1.0, seed: int = 0
) -> Surrogate:
    """Which sum is closest to f near the coalition of everyone?

    samples:       how many coalitions are asked about: everyone, and others with 1 to all players taken away, where
                   each number is as likely as any other, and so are the players.
    kernel_width:  σ; at 0.25 a coalition of half the players weighs a quarter.
    ridge:         λ, which draws scores towards zero, the more so the fewer the samples.

    Raises InputError for samples below 2, a width that is not positive, or a negative ridge.
    """
    if samples < 2 or not 0 < kernel_width < inf or not 0 <= ridge < inf:
        raise InputError(
            f"samples is {samples}, kernel_width {kernel_width}, ridge {ridge}; allowed: 2 or more, above 0, 0 or more"
        )
    generator = torch.Generator().manual_seed(seed)
    removed = torch.randint(1, players + 1, (samples, 1), generator=generator)
    removed[0] = 0
    kept = _rank(samples, players, generator) >= removed  # (samples, players)
    values = f(kept).double()
    weights = similarity(kept, kernel_width)
    return Surrogate(*weighted_ridge(kept, values, weights, ridge), kept, values, weights)


def similarity(kept: torch.Tensor, kernel_width: float) -> torch.Tensor:
    """LIME's π(z) of each coalition, (n,), float64; kept: bool (n, players)."""
    distance = 1 - kept.double().mean(dim=1).sqrt()  # the cosine distance from everyone
    return (-((distance / kernel_width) ** 2)).exp()


def weighted_ridge(
    kept: torch.Tensor, values: torch.Tensor, weights: torch.Tensor, ridge: float
) -> tuple[torch.Tensor, float]:
    """Scores (players,) and intercept that minimise Σ π (f - g)² + λ Σ s². kept: (n, players); the others (n,)."""
    features, share = kept.double(), weights / weights.sum()
    mean, mean_value = share @ features, share @ values
    centred = features - mean  # the best intercept brings the two means together
    # As many more rows as there are scores: √λ · s should be 0. This is stabler than the normal equations.
    penalty = ridge**0.5 * torch.eye(kept.shape[1], dtype=torch.float64)
    rows = torch.cat([weights.sqrt()[:, None] * centred, penalty])  # (n + players, players)
    wanted = torch.cat([weights.sqrt() * (values - mean_value), penalty.new_zeros(len(penalty))])
    scores = torch.linalg.lstsq(rows, wanted[:, None], driver="gelsd").solution[:, 0]
    return scores, float(mean_value - mean @ scores)


def shapley_kernel(size: int, players: int) -> float:
    """KernelSHAP's π(z) of one coalition of `size` players: infinite for nobody and for everyone."""
    if not 0 <= size <= players:
        raise InputError(f"a coalition of {size} among {players} players; allowed: 0 to {players}")
    return inf if size in (0, players) else (players - 1) / (comb(players, size) * size * (players - size))


def kernel_shap(f: Coalitions, players: int, samples: int = 2048, seed: int = 0) -> Surrogate:
    """What does each player add to f, on average over all orders in which they could join?

    Exact for 12 players or fewer. For more, `samples` coalitions are drawn, each size as often as the weights of its
    coalitions add up to, and each with its complement; drawn by their weights, they then weigh the same.
    f of nobody and of everyone are always asked for, besides, and matched exactly.

    Raises InputError for fewer samples than twice the players.
    """
    if samples < 2 * players:
        raise InputError(f"samples is {samples}; allowed: at least {2 * players}, twice the number of words")
    ends = torch.tensor([[True], [False]]).expand(2, players)
    if players <= EXACT:
        every = torch.arange(1, 2**players - 1)[:, None]
        kept = (every >> torch.arange(players)) & 1 == 1  # the binary digits of each number, (2^players - 2, players)
        kernel = torch.tensor([shapley_kernel(size, players) for size in range(players + 1)], dtype=torch.float64)
        weights = kernel[kept.sum(dim=1)]
    else:
        kept = paired_coalitions(players, samples, seed)
        weights = torch.ones(len(kept), dtype=torch.float64)
    kept = torch.cat([ends, kept])
    values = f(kept).double()
    everyone, nobody = values[:2]
    scores = constrained_regression(kept[2:], values[2:] - nobody, weights, everyone - nobody)
    return Surrogate(scores, float(nobody), kept, values, torch.cat([weights.new_full((2,), inf), weights]))


def paired_coalitions(players: int, samples: int, seed: int) -> torch.Tensor:
    """Coalitions drawn as often as Shapley's kernel weighs them, and their complements: (samples, players) bool."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.arange(1, players, dtype=torch.float64)
    share = 1 / (size * (players - size))  # C(M, m) coalitions have the size m, so that factor is gone
    pairs = samples // 2
    sizes = 1 + torch.multinomial(share, pairs, replacement=True, generator=generator)
    kept = _rank(pairs, players, generator) < sizes[:, None]
    return torch.cat([kept, ~kept])


def constrained_regression(
    kept: torch.Tensor, gains: torch.Tensor, weights: torch.Tensor, total: torch.Tensor
) -> torch.Tensor:
    """Scores that minimise Σ π (gain - Σ_kept s)² among those that add up to `total`; (players,).

    kept: (n, players) bool; gains: f above f of nobody, (n,); weights: (n,). By Lagrange's method: where the gradient
    is the same in each score, 2 (A s - b) + λ = 0 with A = Zᵀ Π Z and b = Zᵀ Π gains.
    """
    features, players = kept.double(), kept.shape[1]
    weighted = features.T * weights  # (players, n)
    system = torch.ones(players + 1, players + 1, dtype=torch.float64)
    system[:players, :players] = weighted @ features
    system[players, players] = 0
    wanted = torch.cat([weighted @ gains, total[None]])
    return torch.linalg.lstsq(system, wanted[:, None], driver="gelsd").solution[:players, 0]


def _rank(rows: int, players: int, generator: torch.Generator) -> torch.Tensor:
    """A random order of the players in each row, (rows, players)."""
    return torch.rand(rows, players, generator=generator).argsort(dim=1).argsort(dim=1)


@method("lime")
def explain_by_lime(
    question: Question,
    *,
    samples: int = 1000,
    kernel_width: float = 0.25,
    ridge: float = 1.0,
    seed: int = 0,
    how: str = "delete",
    replacement: str | int | None = None,
    batch_size: int | None = None,
) -> Attribution:
    """Which sum of one score per token is closest to the model, near this text?

    `details["fit"]` is the share of the weighted variance of f that the sum explains (R²), nan where f never changes.
    Options and errors: as for `lime` and for `glassbox.removal.values_without`.
    """
    game = Game.of(question, how, replacement, batch_size)
    fitted = lime(game, game.players, samples, kernel_width, ridge, seed)
    share = fitted.weights / fitted.weights.sum()
    variance = share @ (fitted.values - share @ fitted.values) ** 2
    fit = float(1 - share @ fitted.errors**2 / variance)
    return game.answer("lime", fitted.scores, samples=samples, intercept=fitted.intercept, fit=fit)


@method("kernel_shap")
def explain_by_kernel_shap(
    question: Question,
    *,
    samples: int = 2048,
    seed: int = 0,
    how: str = "delete",
    replacement: str | int | None = None,
    batch_size: int | None = None,
) -> Attribution:
    """What does each token add to the prediction, on average over all orders in which the tokens could have come?

    `details["samples"]` is the number of texts asked about, `details["exact"]` whether these were all there are.
    The scores add up to f(x) - f(nothing): `details["efficiency_gap"]` is what they miss it by.
    Options and errors: as for `kernel_shap` and for `glassbox.removal.values_without`.
    """
    game = Game.of(question, how, replacement, batch_size)
    fitted = kernel_shap(game, game.players, samples, seed)
    details = {"samples": len(fitted.kept), "exact": game.players <= EXACT, "intercept": fitted.intercept}
    return game.answer("kernel_shap", fitted.scores, **details, efficiency_gap=float(fitted.errors[0]))
