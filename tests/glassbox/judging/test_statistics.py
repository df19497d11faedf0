"""Intervals that cover as often as they say, p-values that are uniform where nothing differs, whatever the order."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from glassbox.errors import InputError
from glassbox.judging.statistics import bootstrap_interval, permutation_test


def test_the_interval_of_two_values_by_hand():
    # Of the four draws of two from {0, 1}, one has the mean 0, two 1/2, one 1: a quarter lies at each end.
    assert bootstrap_interval(torch.tensor([0.0, 1.0]), level=0.4) == (0.5, 0.5)
    assert bootstrap_interval(torch.tensor([0.0, 1.0]), level=0.6) == (0.0, 1.0)


def test_the_interval_against_scipy():
    values = torch.randn(40, generator=torch.Generator().manual_seed(1)).double().exp()
    theirs = stats.bootstrap(
        [values.numpy()], np.mean, method="percentile", n_resamples=100_000, rng=np.random.default_rng(0)
    ).confidence_interval
    ours = bootstrap_interval(values, samples=100_000)
    # Each end is a quantile of random draws, with a standard error of about 0.004 here.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert ours[0] < float(values.mean()) < ours[1]
    wider = bootstrap_interval(values, level=0.99)
    assert wider[0] < ours[0] and ours[1] < wider[1]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    times = 600
    covered = 0
    for seed in range(times):
        low, high = bootstrap_interval(torch.rand(40, generator=generator), samples=500, seed=seed)
        covered += low <= 0.5 <= high
    # 95 % in the limit; the percentile interval of 40 values covers a little less. The standard error is 0.9 %.
    assert 0.92 <= covered / times <= 0.97


def test_p_values_are_uniform_where_nothing_differs():
    generator = torch.Generator().manual_seed(0)
    times = 2000
    p = [
        permutation_test(*torch.randn(2, 12, generator=generator).exp(), samples=199, seed=seed)
        for seed in range(times)
    ]
    assert stats.kstest(p, "uniform").statistic < 1.63 / times**0.5  # what uniform numbers exceed once in a hundred
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < 0.015  # three standard errors


def exact_p(differences):
    """Every combination of signs."""
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return np.mean([value >= abs(sum(differences)) - 1e-9 for value in sums])


@pytest.mark.parametrize("seed", range(5))
def test_p_against_all_signs(seed):
    first, second = torch.randn(2, 8, generator=torch.Generator().manual_seed(seed)).double()
    p = permutation_test(first, second + 0.4, samples=20_000)
    assert abs(p - exact_p((first - second - 0.4).tolist())) < 0.015  # four standard errors at most


def test_p_of_a_sure_difference_and_of_none():
    assert permutation_test(torch.ones(30), torch.zeros(30), samples=999) == 1 / 1000
    assert permutation_test(torch.ones(30), torch.ones(30)) == 1.0
    # Whole numbers tie: as large as the observed difference counts, also where the last digits of the sum differ.
    assert permutation_test(torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3), samples=4000) == pytest.approx(
        0.25, abs=0.03
    )


@settings(deadline=None, max_examples=30)
@given(values=st.lists(st.floats(-10, 10), min_size=2, max_size=20), data=st.data())
def test_the_order_of_the_sentences_does_not_matter(values, data):
    order = data.draw(st.permutations(values))
    other = torch.linspace(-1, 1, len(values))
    assert bootstrap_interval(torch.tensor(values), samples=50) == bootstrap_interval(torch.tensor(order), samples=50)
    places = torch.randperm(len(values))
    first = torch.tensor(values)
    assert permutation_test(first, other, samples=50) == permutation_test(first[places], other[places], samples=50)
    assert permutation_test(first, other, samples=50) == permutation_test(other, first, samples=50)


def test_large_sets_are_drawn_in_blocks():
    values = torch.cat([torch.zeros(300_000), torch.ones(300_000)])
    low, high = bootstrap_interval(values, samples=50)
    assert 0.498 < low < 0.5 < high < 0.502
    assert permutation_test(values, torch.zeros(600_000), samples=10) == 1 / 11


def test_the_seed_decides():
    values = torch.randn(9, generator=torch.Generator().manual_seed(3))
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)
    before = torch.random.get_rng_state()
    permutation_test(values, -values)
    assert torch.equal(before, torch.random.get_rng_state())


BAD = {
    "nothing": (lambda: bootstrap_interval(torch.ones(0)), r"shape \(0,\); allowed: \(sentence,\)"),
    "nan": (lambda: bootstrap_interval(torch.tensor([1, torch.nan])), "not finite"),
    "certain": (lambda: bootstrap_interval(torch.ones(3), level=1), "level is 1; allowed: between 0 and 1"),
    "no sample": (lambda: bootstrap_interval(torch.ones(3), samples=0), "samples is 0; allowed"),
    "half a sample": (lambda: permutation_test(torch.ones(3), torch.zeros(3), samples=0.5), "samples is 0.5; allowed"),
    "unpaired": (lambda: permutation_test(torch.ones(3), torch.zeros(1)), "allowed: both for the same sentences"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()
