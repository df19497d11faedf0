"""Plausibility against scikit-learn, and by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from tests.glassbox.agreement import agree

from glassbox.errors import InputError
from glassbox.judging.plausibility import auroc, average_precision, plausibility, token_f1
from glassbox.judging.rank_agreement import ranks


@st.composite
def cases(draw):
    length = draw(st.integers(2, 12))
    numbers = st.integers(-3, 3).map(float) | st.floats(-100, 100)
    scores = draw(st.lists(numbers, min_size=length, max_size=length))
    marks = st.lists(st.booleans(), min_size=length, max_size=length)
    return torch.tensor(scores).double(), torch.tensor(draw(marks.filter(lambda found: len(set(found)) == 2)))


def test_by_hand():
    scores, evidence = torch.tensor([0.9, 0.2, 0.5, -0.7]), torch.tensor([False, True, True, False])
    found = plausibility(scores, evidence)
    assert found.top1_hit == 0
    assert found.auroc == 2 / 4  # each of the two is above the last and below the first
    assert found.average_precision == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-15)
    assert found.token_f1 == 1 / 2
    assert plausibility(scores, evidence, k=3).token_f1 == pytest.approx(2 * (2 / 3) / (2 / 3 + 1), abs=1e-15)
    assert plausibility(scores, ~evidence).top1_hit == 1


@settings(deadline=None, max_examples=100)
@given(case=cases(), k=st.integers(1, 12))
def test_against_scikit_learn(case, k):
    scores, evidence = case
    a, e = scores.numpy(), evidence.numpy()
    # One is added where a number may be zero, of which no relative difference can be taken.
    agree("AUROC", "ties and all", "scikit-learn", auroc(*case) + 1, metrics.roc_auc_score(e, a) + 1, 1e-12)
    theirs = metrics.average_precision_score(e, a)
    agree("average precision", "ties and all", "scikit-learn", average_precision(*case), theirs, 1e-12)
    k = min(k, len(a))
    taken = [False] * len(a)
    for place in sorted(range(len(a)), key=lambda place: (-a[place], place))[:k]:
        taken[place] = True
    agree("token F1", "ties and all", "scikit-learn", token_f1(*case, k) + 1, metrics.f1_score(e, taken) + 1, 1e-12)
    assert plausibility(*case).top1_hit == e[int(a.argmax())]  # numpy too takes the first of equal ones


@settings(deadline=None, max_examples=30)
@given(case=cases(), data=st.data())
def test_only_order_and_marks_count(case, data):
    scores, evidence = case
    order = list(data.draw(st.permutations(range(len(scores)))))
    for measure in (auroc, average_precision):
        assert measure(scores[order], evidence[order]) == pytest.approx(measure(*case), abs=1e-12)
        assert measure(ranks(scores).exp(), evidence) == pytest.approx(measure(*case), abs=1e-12)
    assert auroc(-scores, evidence) == pytest.approx(1 - auroc(*case), abs=1e-12)


def test_perfect_and_worst():
    evidence = torch.tensor([True, False, True, False, False])
    best, worst = plausibility(evidence.float(), evidence), plausibility(-evidence.float(), evidence)
    assert (best.top1_hit, best.auroc, best.average_precision, best.token_f1) == (1, 1, 1, 1)
    assert (worst.top1_hit, worst.auroc, worst.token_f1) == (0, 0, 0)


def test_tokens_that_are_no_words_do_not_count():
    scores = torch.tensor([100.0, 0.9, 0.2, 0.5, -0.7])
    evidence, words = torch.tensor([0, 0, 1, 1, 0]).bool(), torch.tensor([0, 1, 1, 1, 1]).bool()
    assert plausibility(scores, evidence, words) == plausibility(scores[1:], evidence[1:])
    assert plausibility(scores, evidence) != plausibility(scores[1:], evidence[1:])


BAD = {
    "none marked": (lambda: auroc(torch.ones(3), torch.zeros(3)), "no token is evidence"),
    "all marked": (lambda: average_precision(torch.ones(3), torch.ones(3)), "every token is evidence"),
    "all words marked": (
        lambda: plausibility(torch.ones(3), torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1])), "every token is evidence"
    ),
    "length": (lambda: token_f1(torch.ones(3), torch.ones(2)), r"evidence has the shape \(2,\); allowed: \(3,\)"),
    "words": (lambda: plausibility(torch.ones(2), torch.tensor([0, 1]), torch.ones(3)), r"words have the shape \(3,\)"),
    "nan": (lambda: auroc(torch.tensor([torch.nan, 1]), torch.tensor([0, 1])), "not finite"),
    "k": (lambda: token_f1(torch.ones(2), torch.tensor([0, 1]), k=0.5), "k is 0.5; allowed: a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()
