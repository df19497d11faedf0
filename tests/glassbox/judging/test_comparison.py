"""Comparing methods: the same prediction for all, matrices by the measures themselves, intervals over texts."""

import matplotlib
import numpy as np
import pytest
import torch

import glassbox as gb
from glassbox.errors import InputError
from glassbox.judging.comparison import compare, labelled
from glassbox.judging.rank_agreement import kendall, spearman, top_overlap
from glassbox.judging.statistics import bootstrap_interval
from glassbox.methods import METHODS as METHODS_BY_NAME

METHODS = ["rollout", ("attention", {"layer": 0}), "attention", "random"]
LABELS = ["rollout", "attention (layer=0)", "attention", "random"]
TEXTS = ["The unseen Tower is in", "The Tower is London is un", "Paris is unseen in London in Paris"]


def test_one_text(model, tokenizer):
    found = gb.compare(model, tokenizer, TEXTS[0], METHODS, k=2)
    assert found.methods == LABELS and len(found.attributions) == 1
    for label, (method, options) in labelled(METHODS).items():
        alone = gb.explain(model, tokenizer, TEXTS[0], method=method, **options)
        ours = found.attributions[0][label]
        assert torch.equal(ours.scores, alone.scores) and ours.target == alone.target
    scores = [attribution.scores for attribution in found.attributions[0].values()]
    for values, measure in (
        (found.spearman, spearman),
        (found.kendall, kendall),
        (found.overlap, lambda first, second: top_overlap(first, second, 2)),
    ):
        assert values.shape == (1, 4, 4)
        for i in range(4):
            for j in range(4):
                assert float(values[0, i, j]) == measure(scores[i], scores[j])
        assert values[0].diagonal().allclose(torch.ones(4, dtype=torch.float64))


def test_all_methods_explain_the_same_target(model, tokenizer):
    for asked in ({}, {"target": " Paris"}, {"target": " Paris", "foil": " London"}, {"of": "prob"}, {"position": 1}):
        found = compare(model, tokenizer, TEXTS, METHODS, **asked)
        for text, one in zip(TEXTS, found.attributions, strict=True):
            alone = gb.explain(model, tokenizer, text, method="random", **asked)
            for a in one.values():
                assert (a.target, a.foil, a.position, a.of) == (alone.target, alone.foil, alone.position, alone.of)


def test_the_first_method_settles_the_target_for_all(model, tokenizer):
    targets = []

    def watched(*arguments, **options):
        targets.append(options["target"])
        return METHODS_BY_NAME["rollout"](*arguments, **options)

    METHODS_BY_NAME["watched"] = watched
    try:
        found = compare(model, tokenizer, TEXTS, ["random", "watched"])
    finally:
        del METHODS_BY_NAME["watched"]
    assert targets == [one["random"].target for one in found.attributions]


def test_several_texts_are_averaged_with_an_interval_over_them(model, tokenizer):
    found = compare(model, tokenizer, TEXTS, METHODS)
    alone = torch.cat([compare(model, tokenizer, text, METHODS).spearman for text in TEXTS])
    assert torch.equal(found.spearman, alone)
    table = found.table()
    assert list(table.index) == list(table.columns) == LABELS
    assert np.allclose(table.to_numpy(), alone.mean(0))
    assert found.interval("rollout", "random", seed=3) == bootstrap_interval(alone[:, 0, 3], seed=3)
    assert found.interval("rollout", "random", "kendall") == bootstrap_interval(found.kendall[:, 0, 3])


def test_only_words_are_compared(smallworld_model):
    model, tokenizer = smallworld_model
    found = compare(model, tokenizer, "The Eiffel Tower is located in the city of", ["rollout", "attention"], k=3)
    first, second = (a.scores[1:] for a in found.attributions[0].values())
    assert float(found.spearman[0, 0, 1]) == spearman(first, second)
    assert float(found.overlap[0, 0, 1]) == top_overlap(first, second, 3)
    both = [a.scores for a in found.attributions[0].values()]
    assert float(found.spearman[0, 0, 1]) != spearman(*both)


def test_scores_without_an_order_are_left_out_of_the_mean(model, tokenizer):
    found = compare(model, tokenizer, TEXTS, ["rollout", "attention"])
    found.spearman[1] = torch.nan
    assert found.table().loc["rollout", "attention"] == pytest.approx(float(found.spearman[[0, 2], 0, 1].mean()))
    assert found.interval("rollout", "attention") == bootstrap_interval(found.spearman[[0, 2], 0, 1])


def test_the_result_says_what_it_is(model, tokenizer):
    one, more = compare(model, tokenizer, TEXTS[0], METHODS), compare(model, tokenizer, TEXTS, METHODS)
    shown = repr(one)
    assert one.attributions[0]["rollout"].target_token in shown and "Spearman's ρ\n" in shown
    assert f"{float(one.attributions[0]['rollout'].scaled[1]):.3f}" in shown
    assert "Kendall's τ, mean over 3 texts" in repr(more) and "overlap of the top 3" in repr(more)


def test_figures(model, tokenizer):
    matplotlib.use("agg")
    one, more = compare(model, tokenizer, TEXTS[0], METHODS), compare(model, tokenizer, TEXTS, METHODS)
    strip = one.plot("Finding").axes[0]
    assert [label.get_text() for label in strip.get_yticklabels()] == LABELS
    drawn = strip.images[0].get_array()
    assert np.allclose(drawn, torch.stack([a.scaled for a in one.attributions[0].values()]))
    grid = more.plot("Finding", "kendall").axes[0]
    assert np.allclose(grid.images[0].get_array(), more.table("kendall"))
    assert grid.images[0].get_clim() == (-1, 1)
    written = [text.get_text() for text in grid.texts]
    assert written == [f"{value:.2f}" for value in more.table("kendall").to_numpy().flatten()]


def test_scaling_moves_neither_zero_nor_sign():
    a = gb.Attribution(["a", "b", "c"], [-4.0, 0.0, 2.0], "m", 1, "b", 1, "logit", 0.0, [])
    assert a.scaled.tolist() == [-1, 0, 0.5]
    a.scores = torch.zeros(3)
    assert a.scaled.tolist() == [0, 0, 0]


BAD = {
    "unknown": (dict(methods=["guess"]), "unknown method 'guess'; allowed: 'attention'"),
    "none": (dict(methods=[]), "no method is given"),
    "twice": (dict(methods=["rollout", ("rollout", {})]), "'rollout' is given twice"),
    "option": (dict(methods=[("rollout", {"depth": 2})]), "no option 'depth'"),
    "shared option": (dict(methods=[("rollout", {"target": 3})]), "'target' is the same for all methods; give it once"),
    "no text": (dict(text=[]), "there is no text"),
    "k": (dict(k=1.5), "k is 1.5; allowed: a whole number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(model, tokenizer, case):
    arguments, message = BAD[case]
    with pytest.raises(InputError, match=message):
        compare(model, tokenizer, **{"text": TEXTS[0], "methods": ["rollout"], **arguments})


def test_bad_questions_to_the_result(model, tokenizer):
    found = compare(model, tokenizer, TEXTS, "rollout")
    with pytest.raises(InputError, match="there is no measure 'pearson'; allowed: 'spearman', 'kendall', 'overlap'"):
        found.table("pearson")
    with pytest.raises(InputError, match="'random' is not compared here; allowed: 'rollout'"):
        found.interval("rollout", "random")
