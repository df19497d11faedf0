"""LIME and KernelSHAP: against captum and scikit-learn, Shapley values by definition, and what must always hold."""

from itertools import permutations, product
from math import comb, inf

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import KernelShap, Lime, ShapleyValues
from captum.attr._core.lime import get_exp_kernel_similarity_function
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES
from tests.glassbox.architectures import build as build_model
from tests.glassbox.one_by_one import HOWS, STAND_IN, exactly, game, question

import glassbox as gb
from glassbox.errors import InputError
from glassbox.surrogates import (
    EXACT,
    kernel_shap,
    lime,
    paired_coalitions,
    shapley_kernel,
    similarity,
    weighted_ridge,
)

SEQ = 5
IDS = torch.randint(1, 300, (1, SEQ), generator=torch.Generator().manual_seed(5))


def explain(model, tokenizer, method, how="delete", **options):
    return gb.explain(
        model, tokenizer, IDS, method=method, how=how, replacement=STAND_IN if how == "replace" else None, **options
    )


def any_game(players, seed=0):
    """A worth for every coalition, drawn at random: (f, its table)."""
    table = torch.randn(2**players, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (lambda kept: table[(kept.long() << torch.arange(players)).sum(1)]), table


def shapley_by_definition(f, players):
    """What a player adds, on average over every order in which all could come."""
    scores = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        kept = torch.zeros(1, players, dtype=torch.bool)
        before = float(f(kept))
        for player in order:
            kept[0, player] = True
            scores[player] += (after := float(f(kept))) - before
            before = after
    return scores / len(orders)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_kernel_shap_agrees_with_captum(name, how, tokenizer):
    model = build_model(name, **exactly(name, how))
    f = game(question(model, IDS, tokenizer), how)
    theirs = ShapleyValues(f).attribute(torch.ones(1, SEQ))[0]
    a = explain(model, tokenizer, "kernel_shap", how)
    agree(f"kernel_shap ({how})", name, "captum ShapleyValues", a.scores, theirs)
    assert a.details["exact"] and a.details["samples"] == 2**SEQ
    assert abs(a.details["efficiency_gap"]) < 1e-6
    assert float(a.scores.double().sum()) == pytest.approx(a.value - a.details["intercept"], abs=1e-5)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lime_agrees_with_captum(name, how, tokenizer):
    """captum is given our coalitions. It writes exp(-D²/2w²) where the paper has exp(-D²/σ²), so that w = σ/√2."""
    model = build_model(name, **exactly(name, how))
    f = game(question(model, IDS, tokenizer), how)
    fitted = lime(f, SEQ, samples=60, kernel_width=0.4, ridge=0.5)

    def ours(_, **__):
        yield from fitted.kept.double()[:, None]

    kernel = get_exp_kernel_similarity_function("cosine", 0.4 / 2**0.5)
    reference = Lime(f, SkLearnRidge(alpha=0.5), kernel, ours)
    theirs = reference.attribute(torch.ones(1, SEQ, dtype=torch.float64), n_samples=60, perturbations_per_eval=60)[0]
    a = explain(model, tokenizer, "lime", how, samples=60, kernel_width=0.4, ridge=0.5)
    agree(f"lime ({how})", name, "captum Lime", a.scores, theirs)
    predicted = fitted.intercept + fitted.kept.double() @ theirs.double()
    assert a.details["fit"] == pytest.approx(r2_score(fitted.values, predicted, sample_weight=fitted.weights), abs=1e-5)


def test_sampled_kernel_shap_agrees_with_captum():
    """captum weighs nobody and everyone by a million where the paper has infinity: that alone makes 1e-4."""
    f, _ = any_game(EXACT + 1)
    fitted = kernel_shap(f, EXACT + 1, samples=400)

    def ours(_, **__):
        yield from fitted.kept.long()[:, None]

    reference = KernelShap(lambda kept: f(kept.bool()))
    reference.perturb_func, reference.inf_weight = ours, 1e9
    theirs = reference.attribute(torch.ones(1, EXACT + 1), n_samples=402, perturbations_per_eval=402)[0]
    agree("kernel_shap, sampled", "any game", "captum KernelShap", fitted.scores, theirs)


@pytest.mark.parametrize("players", [1, 2, 3, 6, 7])
def test_kernel_shap_is_the_definition(players):
    f, table = any_game(players, seed=players)
    fitted = kernel_shap(f, players)
    assert np.abs(fitted.scores.numpy() - shapley_by_definition(f, players)).max() < 1e-10
    assert fitted.intercept == table[0]
    assert abs(float(fitted.errors[0])) < 1e-12 and fitted.errors[1] == 0


def test_the_largest_exact_game():
    f, table = any_game(EXACT)
    scores = kernel_shap(f, EXACT).scores
    player, without = 3, torch.tensor([bits for bits in range(2**EXACT) if not bits >> 3 & 1])
    sizes = [int(bits).bit_count() for bits in without]
    share = torch.tensor([1 / (EXACT * comb(EXACT - 1, size)) for size in sizes], dtype=torch.float64)
    assert float(scores[player]) == pytest.approx(float(share @ (table[without + 8] - table[without])), abs=1e-10)


def test_shapley_kernel_by_hand():
    assert [shapley_kernel(size, 4) for size in range(5)] == [inf, 1 / 4, 1 / 8, 1 / 4, inf]
    assert shapley_kernel(1, 2) == 1 / 2
    assert 0 < shapley_kernel(500, 1000) < 1e-300
    with pytest.raises(InputError, match="a coalition of 5 among 4 players; allowed: 0 to 4"):
        shapley_kernel(5, 4)


@settings(deadline=None, max_examples=30)
@given(players=st.integers(EXACT + 1, 40), seed=st.integers(0, 99), data=st.data())
def test_sampled_kernel_shap_keeps_the_axioms(players, seed, data):
    worth = torch.randn(players, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    samples = data.draw(st.integers(2 * players, 400))
    both = kernel_shap(
        lambda kept: 2 + kept.double() @ worth + kept[:, 0] * kept[:, 1] * kept[:, 2], players, samples, seed
    )
    assert abs(float(both.errors[0])) < 1e-9  # efficiency
    if samples >= 8 * players:  # enough coalitions to tell the players apart
        exact = kernel_shap(lambda kept: 2 + kept.double() @ worth, players, samples, seed)
        assert (exact.scores - worth).abs().max() < 1e-8  # a sum is its own surrogate


def test_sampled_kernel_shap_solves_its_least_squares():
    """With the last score taken from the sum of all, what is left is a regression without constraints."""
    players = EXACT + 2
    f, _ = any_game(players)
    fitted = kernel_shap(f, players, samples=500)
    kept, gains = fitted.kept[2:].double().numpy(), (fitted.values[2:] - fitted.intercept).numpy()
    total = float(fitted.values[0]) - fitted.intercept
    solved = LinearRegression(fit_intercept=False).fit(kept[:, :-1] - kept[:, -1:], gains - kept[:, -1] * total)
    agree("kernel_shap, sampled", "any game", "scikit-learn LinearRegression", fitted.scores[:-1], solved.coef_, 1e-10)


def test_samples_approach_the_shapley_values():
    players = EXACT + 1
    generator = torch.Generator().manual_seed(1)
    pairs = torch.randn(players, players, generator=generator, dtype=torch.float64).triu()

    def f(kept):
        return ((kept.double() @ pairs) * kept).sum(1) + kept[:, 0].double() * kept[:, 3] * kept[:, 4]

    truth = pairs.diagonal() + (pairs.triu(1).sum(0) + pairs.triu(1).sum(1)) / 2  # a pair shares its worth
    truth[[0, 3, 4]] += 1 / 3
    errors = [float((kernel_shap(f, players, samples).scores - truth).abs().max()) for samples in (64, 1024, 16384)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01


def test_coalitions_come_in_pairs_as_often_as_they_weigh():
    players, samples = 14, 40_000
    kept = paired_coalitions(players, samples, seed=0)
    assert kept[: samples // 2].equal(~kept[samples // 2 :])
    share = kept.sum(1).bincount(minlength=players + 1) / samples
    wanted = torch.tensor([0, *(shapley_kernel(size, players) * comb(players, size) for size in range(1, players)), 0])
    assert (share - wanted / wanted.sum()).abs().max() < 0.01
    assert (kept.double().mean(0) - 0.5).abs().max() < 1e-12  # a player is in as often as out
    ones = kept[kept.sum(1) == 1].double().mean(0)
    assert (ones - 1 / players).abs().max() < 0.02


@settings(deadline=None, max_examples=40)
@given(players=st.integers(1, 8), samples=st.integers(2, 60), ridge=st.floats(0.01, 10), seed=st.integers(0, 99))
def test_ridge_agrees_with_scikit_learn(players, samples, ridge, seed):
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(samples, players, generator=generator) > 0.5
    values = torch.randn(samples, generator=generator, dtype=torch.float64)
    weights = torch.rand(samples, generator=generator, dtype=torch.float64) + 0.01
    scores, intercept = weighted_ridge(kept, values, weights, ridge)
    theirs = Ridge(alpha=ridge).fit(kept.double().numpy(), values.numpy(), sample_weight=weights.numpy())
    assert np.abs(scores.numpy() - theirs.coef_).max() < 1e-10
    assert intercept == pytest.approx(theirs.intercept_, abs=1e-10)


def test_lime_finds_a_sum():
    worth = torch.tensor([1.0, -2.0, 0.0, 4.0, 0.5], dtype=torch.float64)
    fitted = lime(lambda kept: 3 + kept.double() @ worth, 5, samples=200, ridge=0)
    assert (fitted.scores - worth).abs().max() < 1e-10 and fitted.intercept == pytest.approx(3)
    assert fitted.errors.abs().max() < 1e-10
    shrunk = lime(lambda kept: 3 + kept.double() @ worth, 5, samples=200, ridge=50)
    assert shrunk.scores.norm() < worth.norm() / 2


def test_lime_samples_and_weights():
    fitted = lime(lambda kept: kept.double().sum(1), 6, samples=12_000)
    assert fitted.kept[0].all() and not fitted.kept[1:].all(1).any()
    share = (~fitted.kept[1:]).sum(1).bincount(minlength=7) / (len(fitted.kept) - 1)
    assert share[0] == 0 and (share[1:] - 1 / 6).abs().max() < 0.015  # 1 to 6 taken away, each as often
    assert (fitted.kept[1:].double().mean(0) - (1 - 3.5 / 6)).abs().max() < 0.015
    half = torch.tensor([[True, False], [True, True], [False, False]])
    by_hand = np.exp(-((1 - np.sqrt([0.5, 1, 0])) ** 2) / 0.25**2)
    assert similarity(half, 0.25).numpy() == pytest.approx(by_hand)
    assert 0.25 < by_hand[0] < 0.26 and by_hand[2] < 2e-7
    assert fitted.weights.equal(similarity(fitted.kept, 0.25))


def test_seeds(tokenizer):
    model = build_model("gpt2")
    ids = torch.randint(1, 300, (1, EXACT + 3))
    for method, samples in (("lime", 50), ("kernel_shap", 60)):
        one, again, other = (
            gb.explain(model, tokenizer, ids, method=method, samples=samples, seed=seed) for seed in (1, 1, 2)
        )
        assert one.scores.equal(again.scores) and not one.scores.equal(other.scores)
    assert not one.details["exact"] and one.details["samples"] == 62
    assert abs(one.details["efficiency_gap"]) < 1e-6


def test_on_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    shap = gb.explain(model, tokenizer, text, method="kernel_shap")
    assert shap.scores[0] == 0 and shap.details["samples"] == 2**9
    assert float(shap.scores.sum()) == pytest.approx(shap.value - shap.details["intercept"], abs=1e-4)
    near = gb.explain(model, tokenizer, text, method="lime", samples=400)
    assert near.scores[0] == 0 and 0 < near.details["fit"] < 1
    assert near.details["how"] == "delete"


BAD = {
    "lime": (dict(samples=1), dict(kernel_width=0), dict(kernel_width=inf), dict(ridge=-1), dict(ridge=float("nan"))),
    "kernel_shap": (dict(samples=2 * SEQ - 1),),
}


@pytest.mark.parametrize(("method", "options"), [(method, bad) for method in BAD for bad in BAD[method]])
def test_bad_input(method, options):
    with pytest.raises(InputError, match="allowed: "):
        gb.explain(build_model("gpt2"), None, IDS, method=method, **options)


def test_every_coalition_is_asked_about_once():
    asked = []
    f, _ = any_game(4)
    kernel_shap(lambda kept: asked.append(kept) or f(kept), 4)
    [kept] = asked
    assert sorted(kept.tolist()) == sorted(map(list, product([False, True], repeat=4)))
