"""Rank correlations against scipy, by hand, and what must always hold; overlaps and top tokens by hand."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.glassbox.agreement import agree

from glassbox.errors import InputError
from glassbox.judging.rank_agreement import kendall, largest, ranks, spearman, top_overlap

# Few different values, so that ties are common.
_NUMBERS = st.integers(-4, 4).map(float) | st.floats(-1e3, 1e3)


@st.composite
def pairs(draw, least=2):
    length = draw(st.integers(least, 12))
    numbers = st.lists(_NUMBERS, min_size=length, max_size=length).map(torch.tensor)
    return draw(numbers).double(), draw(numbers).double()


def test_by_hand():
    first, second = torch.tensor([1.0, 2, 3, 4]), torch.tensor([10.0, 30, 20, 40])
    assert ranks(second).tolist() == [1, 3, 2, 4]
    assert abs(spearman(first, second) - (1 - 6 * 2 / (4 * 15))) < 1e-15  # 1 - 6 Σd² / (n (n² - 1))
    assert abs(kendall(first, second) - (5 - 1) / 6) < 1e-15  # five of six pairs in the same order
    assert ranks(torch.tensor([5.0, 1, 5, 0])).tolist() == [3.5, 2, 3.5, 1]


@settings(deadline=None, max_examples=100)
@given(pair=pairs())
def test_against_scipy(pair):
    first, second = pair
    assert ranks(first).tolist() == stats.rankdata(first.numpy()).tolist()
    assume(len(first.unique()) > 1 and len(second.unique()) > 1)
    # Two is added because a correlation may be zero, of which no relative difference can be taken.
    agree("Spearman", "ties and all", "scipy", spearman(*pair) + 2, stats.spearmanr(*map(list, pair))[0] + 2, 1e-12)
    agree("Kendall", "ties and all", "scipy", kendall(*pair) + 2, stats.kendalltau(*map(list, pair))[0] + 2, 1e-12)


@settings(deadline=None, max_examples=50)
@given(pair=pairs(), data=st.data())
def test_only_the_order_counts(pair, data):
    first, second = pair
    assume(len(first.unique()) > 1 and len(second.unique()) > 1)
    order = data.draw(st.permutations(range(len(first))))
    for measure in (spearman, kendall):
        value = measure(first, second)
        assert -1 - 1e-12 <= value <= 1 + 1e-12
        assert abs(measure(second, first) - value) < 1e-12
        assert abs(measure(first[list(order)], second[list(order)]) - value) < 1e-12
        assert abs(measure(ranks(first).exp(), second) - value) < 1e-12  # any increasing function
        assert abs(measure(-first, second) + value) < 1e-12
        assert abs(measure(first, first) - 1) < 1e-12


@pytest.mark.parametrize("measure", [spearman, kendall])
def test_a_constant_has_no_order(measure):
    assert math.isnan(measure(torch.ones(4), torch.arange(4)))
    assert math.isnan(measure(torch.arange(4), torch.ones(4)))


def test_top_tokens_by_hand():
    scores = torch.tensor([0.5, -3.0, 2.0, 0.5, 0.5])
    assert largest(scores, 0).tolist() == [False] * 5
    assert largest(scores, 2).tolist() == [True, False, True, False, False]  # the earliest of three equal ones
    assert largest(scores, 3).tolist() == [True, False, True, True, False]
    assert largest(scores, 9).all()
    assert largest(torch.zeros(3000), 1000)[:1000].all()
    among = torch.tensor([False, True, False, True, False])
    assert largest(scores, 1, among).tolist() == [False, False, False, True, False]
    assert largest(scores, 5, among).tolist() == among.tolist()


def test_overlap_by_hand():
    first, second = torch.tensor([5.0, 4, 3, 2, 1]), torch.tensor([1.0, 4, 5, 2, 3])
    assert [top_overlap(first, second, k) for k in (1, 2, 3, 5, 9)] == [0, 1 / 2, 2 / 3, 1, 1]


BAD = {
    "nan": (lambda: spearman(torch.tensor([1.0, torch.nan]), torch.ones(2)), "not finite"),
    "infinite": (lambda: largest(torch.tensor([1.0, torch.inf]), 1), "not finite"),
    "lengths": (lambda: kendall(torch.ones(2), torch.ones(3)), "2 scores and 3; allowed: two lists of the same tokens"),
    "a matrix": (lambda: ranks(torch.ones(2, 2)), r"shape \(2, 2\); allowed: \(seq,\)"),
    "empty": (lambda: ranks(torch.ones(0)), r"shape \(0,\); allowed: \(seq,\)"),
    "part of a token": (lambda: largest(torch.ones(3), 1.5), "k is 1.5; allowed: a whole number"),
    "less than nothing": (lambda: largest(torch.ones(3), -1), "k is -1; allowed: a whole number of tokens, 0 or more"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()
