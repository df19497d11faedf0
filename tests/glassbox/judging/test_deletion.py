"""Deletion and insertion curves by loops over the model, and their areas by hand."""

import matplotlib
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glassbox as gb
from glassbox.errors import InputError
from glassbox.judging.deletion import area, curves


def test_an_additive_function_by_hand():
    weights = torch.tensor([0.5, 0.125, 0.25, 0.125], dtype=torch.float64)
    words = torch.tensor([True, True, True, False])
    deletion, insertion = curves(lambda kept: kept.double() @ weights, torch.tensor([3.0, 1.0, 2.0, 9.0]), words)
    assert deletion.tolist() == [1, 0.5, 0.25, 0.125]
    assert insertion.tolist() == [0.125, 0.625, 0.875, 1]
    assert area(deletion) == (0.75 + 0.375 + 0.1875) / 3
    assert area(insertion) == (0.375 + 0.75 + 0.9375) / 3


@settings(deadline=None, max_examples=60)
@given(numbers=st.lists(st.tuples(st.floats(0, 5), st.floats(-5, 5)), min_size=1, max_size=9))
def test_both_curves_run_between_the_same_ends(numbers):
    weights, scores = torch.tensor(numbers, dtype=torch.float64).T
    words = torch.ones(len(numbers), dtype=torch.bool)

    def value(kept):
        return kept.double() @ weights

    deletion, insertion = curves(value, scores, words)
    assert deletion[0] == insertion[-1] and deletion[-1] == insertion[0] == 0
    assert (deletion + insertion).allclose(weights.sum())  # additive: what is gone and what has come make the whole
    best, most = curves(value, weights, words)
    assert area(best) <= area(deletion) + 1e-9 and area(most) >= area(insertion) - 1e-9  # no order beats the true one


@pytest.mark.parametrize("how", ["delete", "replace", "mask"])
def test_against_the_model_one_text_at_a_time(build, tokenizer, how):
    model = build("gpt2", dtype=torch.float64)
    a = gb.explain(model, tokenizer, "The unseen Tower is in", method="random")
    found = gb.removal_curves(model, tokenizer, a, how=how, replacement=" Paris" if how == "replace" else None)
    ids, seq, paris = a.ids, len(a.ids), tokenizer(" Paris")["input_ids"][0]
    order = sorted(range(seq), key=lambda place: -float(a.scores[place]))

    def p(kept):
        text, mask, read = ids, torch.ones(1, seq).long(), seq - 1
        if how == "replace":
            text = torch.stack([ids[place] if place in kept else torch.tensor(paris) for place in range(seq)])
        elif not kept:
            text, mask, read = torch.tensor([tokenizer.bos_token_id]), torch.ones(1, 1).long(), 0
        elif how == "delete":
            text = ids[sorted(kept)]
            mask, read = torch.ones(1, len(kept)).long(), len(kept) - 1
        else:
            mask = torch.tensor([[int(place in kept) for place in range(seq)]])
        with torch.no_grad():
            return float(model(input_ids=text[None], attention_mask=mask).logits[0, read].softmax(-1)[a.target])

    assert found.deletion.tolist() == pytest.approx([p(set(order[k:])) for k in range(seq + 1)], abs=1e-9)
    assert found.insertion.tolist() == pytest.approx([p(set(order[:k])) for k in range(seq + 1)], abs=1e-9)
    steps = list(zip(found.deletion.tolist(), found.deletion.tolist()[1:], strict=False))
    assert found.deletion_area == pytest.approx(sum((left + right) / 2 for left, right in steps) / seq, abs=1e-12)
    assert found.how == ("replace by ' Paris'" if how == "replace" else how)
    judged = gb.faithfulness(model, tokenizer, a, how=how, replacement=" Paris" if how == "replace" else None)
    for k in (1, 3, 5):  # the same numbers at single points
        assert judged.comprehensiveness[k] == pytest.approx(float(found.deletion[0] - found.deletion[k]), abs=1e-12)
        assert judged.sufficiency[k] == pytest.approx(float(found.deletion[0] - found.insertion[k]), abs=1e-12)


def test_the_result_says_what_it_is(model, tokenizer):
    a = gb.explain(model, tokenizer, "The unseen Tower is in", method="random")
    found = gb.removal_curves(model, tokenizer, a)
    assert a.heading in repr(found) and f"area {found.insertion_area:.3f}" in repr(found) and "delete" in repr(found)
    matplotlib.use("agg")
    figure = found.plot("Finding")
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [len(found.deletion)] * 2
    with pytest.raises(InputError, match="allowed: one by tokens"):
        gb.removal_curves(model, tokenizer, a.words())
