"""Sparsity against other definitions of the same numbers, and at its ends."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from glassbox.errors import InputError
from glassbox.judging.sparsity import effective_number, entropy, gini, shares

SCORES = st.lists(st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3) | st.just(0.0), min_size=1, max_size=15).filter(
    any
)


def test_by_hand():
    scores = torch.tensor([-3.0, 1.0, 0.0, 0.0])
    assert shares(scores).tolist() == [0.75, 0.25, 0, 0]
    assert gini(scores) == (1 * 0.25 + 3 * 0.75) / 4
    assert abs(entropy(scores) - (0.75 * math.log(4 / 3) + 0.25 * math.log(4))) < 1e-15


@settings(deadline=None, max_examples=60)
@given(scores=SCORES)
def test_against_other_definitions(scores):
    a, p = torch.tensor(scores), [abs(score) / sum(map(abs, scores)) for score in scores]
    n = len(p)
    assert abs(gini(a) - sum(abs(x - y) for x in p for y in p) / (2 * n)) < 1e-6  # half the relative mean difference
    assert abs(entropy(a) - stats.entropy(p)) < 1e-6
    assert abs(effective_number(a) - math.prod(x**-x for x in p)) < 1e-5
    assert 1 - 1e-9 <= effective_number(a) <= n + 1e-9
    assert -1e-12 <= gini(a) <= (n - 1) / n + 1e-12


@settings(deadline=None, max_examples=30)
@given(scores=SCORES, factor=st.floats(0.1, 10), data=st.data())
def test_neither_scale_nor_sign_nor_order_counts(scores, factor, data):
    other = [-factor * score for score in data.draw(st.permutations(scores))]
    for measure in (gini, entropy, effective_number):
        assert abs(measure(torch.tensor(scores)) - measure(torch.tensor(other))) < 1e-5


@pytest.mark.parametrize("n", [1, 2, 10])
def test_at_the_ends(n):
    alike, one = torch.full((n,), -0.3), torch.eye(n)[0]
    assert gini(alike) == pytest.approx(0, abs=1e-15) and gini(one) == (n - 1) / n
    assert entropy(alike) == pytest.approx(math.log(n)) and entropy(one) == 0
    assert effective_number(alike) == pytest.approx(n) and effective_number(one) == 1


@pytest.mark.parametrize("measure", [gini, entropy, effective_number])
def test_nothing_can_not_be_shared(measure):
    with pytest.raises(InputError, match="all scores are zero"):
        measure(torch.zeros(3))
    with pytest.raises(InputError, match="not finite"):
        measure(torch.tensor([1.0, torch.nan]))
