"""Leaving one out, sliding windows and random scores: against captum, by hand, and what must always hold."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, Occlusion
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES
from tests.glassbox.architectures import build as build_model
from tests.glassbox.one_by_one import HOWS, STAND_IN, exactly, game, question

import glassbox as gb
from glassbox.errors import InputError
from glassbox.perturbation import leave_one_out, mean_over_windows, windows

SEQ = 7
IDS = torch.randint(1, 300, (1, SEQ), generator=torch.Generator().manual_seed(5))


def explain(model, tokenizer, method, how="delete", **options):
    return gb.explain(
        model, tokenizer, IDS, method=method, how=how, replacement=STAND_IN if how == "replace" else None, **options
    )


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_agrees_with_captum(name, how, tokenizer):
    model, everyone = build_model(name, **exactly(name, how)), torch.ones(1, SEQ)
    f = game(question(model, IDS, tokenizer), how)
    theirs = FeatureAblation(f).attribute(everyone)[0]
    ours = explain(model, tokenizer, "leave_one_out", how)
    agree(f"leave_one_out ({how})", name, "captum FeatureAblation", ours.scores, theirs)
    for window, stride in ((3, 1), (3, 2), (2, 2)):
        ours = explain(model, tokenizer, "occlusion", how, window=window, stride=stride)
        theirs = Occlusion(f).attribute(everyone, sliding_window_shapes=(window,), strides=(stride,))[0]
        agree(f"occlusion ({how})", name, "captum Occlusion", ours.scores, theirs)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_agrees_with_captum_on_token_ids(name, tokenizer):
    """captum replaces the ids itself, and asks the model about batches."""
    model = build_model(name, dtype=torch.float64)
    asked = question(model, IDS, tokenizer)
    theirs = FeatureAblation(lambda ids: model(ids).logits[:, -1, asked.target])
    theirs = theirs.attribute(IDS, baselines=STAND_IN, perturbations_per_eval=4)[0]
    ours = explain(model, tokenizer, "leave_one_out", "replace")
    agree("leave_one_out (replace)", name, "captum FeatureAblation", ours.scores, theirs)


def test_a_foil_a_position_and_a_reading(tokenizer):
    model = build_model("gpt2", dtype=torch.float64)
    for about in (dict(target=4, foil=9), dict(target=4, of="prob"), dict(target=4, of="logprob", position=3)):
        f = game(question(model, IDS, tokenizer, **about), "delete")
        theirs = FeatureAblation(f).attribute(torch.ones(1, SEQ))[0]
        a = explain(model, tokenizer, "leave_one_out", **about)
        agree("leave_one_out (delete)", "gpt2", "captum FeatureAblation", a.scores, theirs)
    assert not a.scores[4:].any()  # what stands after the position changes nothing, to the last digit


def test_a_function_of_an_encoder(tokenizer):
    model = build_model("bare bert", dtype=torch.float64)
    direction = torch.randn(32, dtype=torch.float64)

    def similarity(output):
        return torch.cosine_similarity(output.last_hidden_state[0].mean(0), direction, dim=0)

    f = game(question(model, IDS, tokenizer, target=similarity), "delete")
    theirs = FeatureAblation(f).attribute(torch.ones(1, SEQ))[0]
    ours = explain(model, tokenizer, "leave_one_out", target=similarity)
    agree("leave_one_out (delete)", "bare bert", "captum FeatureAblation", ours.scores, theirs)
    assert ours.target_token == "similarity"


def weighted(kept):
    """A model that adds up its words' worths, 1, 2, 4, 8, 16; and ten more for the first and second together."""
    worth = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=torch.float64)
    return 3 + kept.double() @ worth + 10 * (kept[:, 0] & kept[:, 1])


def test_by_hand():
    assert leave_one_out(weighted, 5).tolist() == [11, 12, 4, 8, 16]
    covered = windows(5, window=2, stride=2)
    assert covered.int().tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]
    covered = windows(5, window=3)
    assert covered.int().tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
    scores = torch.tensor([17.0, 24.0, 28.0])
    assert mean_over_windows(scores, covered).tolist() == [17, 20.5, 23, 26, 28]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8))
def test_windows(players, window, stride):
    if stride > window:
        with pytest.raises(InputError, match="the stride no wider than a window"):
            windows(players, window, stride)
        return
    covered = windows(players, window, stride).numpy()
    assert covered.any(0).all() and covered[-1, -1] and covered.sum(1).max() == min(window, players)
    starts = covered.argmax(1)
    assert (np.diff(starts) == stride).all() and starts[0] == 0
    assert all((np.diff(np.flatnonzero(row)) == 1).all() for row in covered)
    assert len(covered) == 1 or not covered[:-1].sum(1).min() < window  # none but the last is cut short


def test_details(tokenizer):
    model = build_model("gpt2")
    a = explain(model, tokenizer, "occlusion", "replace", window=4, stride=3)
    assert a.details["windows"] == [(0, 4), (3, 7)]
    assert a.details["how"] == "replace" and a.details["replacement"] == tokenizer.decode([STAND_IN])
    first, second = a.details["window_scores"].tolist()
    assert a.scores.tolist() == pytest.approx([first] * 3 + [(first + second) / 2] + [second] * 3)
    assert explain(model, tokenizer, "leave_one_out").details == {"how": "delete"}


def test_on_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    a = gb.explain(model, tokenizer, text, method="leave_one_out")
    assert a.target_token == " Paris" and a.scores[0] == 0  # the start token is no word of the text
    ids = tokenizer(text)["input_ids"]
    with torch.no_grad():
        values = [
            float(model(torch.tensor([ids[:place] + ids[place + 1 :]])).logits[0, -1, a.target])
            for place in range(1, len(ids))
        ]
    assert a.scores[1:].tolist() == pytest.approx([a.value - value for value in values], rel=1e-4, abs=1e-4)
    windows = gb.explain(model, tokenizer, text, method="occlusion").details["windows"]
    assert windows[0] == (1, 4) and windows[-1] == (len(ids) - 3, len(ids))


@pytest.mark.parametrize("method", ["leave_one_out", "occlusion", "lime", "kernel_shap"])
def test_gradients_are_neither_needed_nor_left(method, tokenizer):
    model = build_model("gpt2")
    options = {"samples": 40} if method == "lime" else {}
    with torch.no_grad():
        quiet = explain(model, tokenizer, method, **options)
    assert explain(model, tokenizer, method, **options).scores.equal(quiet.scores)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_token(tokenizer):
    model, ids = build_model("gpt2"), torch.tensor([[5]])
    one = gb.explain(model, tokenizer, ids, method="leave_one_out").scores
    assert one.equal(gb.explain(model, tokenizer, ids, method="occlusion").scores)
    assert one.allclose(gb.explain(model, tokenizer, ids, method="kernel_shap").scores)


@pytest.mark.parametrize("options", [dict(window=0), dict(window=2, stride=3), dict(stride=0)])
def test_bad_windows(options):
    with pytest.raises(InputError, match="allowed: 1 or more, the stride no wider than a window"):
        gb.explain(build_model("gpt2"), None, IDS, method="occlusion", **options)


def test_replacing_without_a_replacement(tokenizer):
    with pytest.raises(InputError, match="pass replacement="):
        gb.explain(build_model("gpt2"), tokenizer, IDS, method="leave_one_out", how="replace")


def test_random_scores_know_nothing_and_come_again(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    a = gb.explain(model, tokenizer, text, method="random", seed=3)
    assert a.scores.equal(gb.explain(model, tokenizer, text, method="random", seed=3, target=7).scores)
    assert not a.scores.equal(gb.explain(model, tokenizer, text, method="random").scores)
    assert a.scores[0] == 0 and a.scores[1:].all()
    ids = torch.randint(0, 300, (1, 24))
    draws = torch.stack([gb.explain(model, None, ids, method="random", seed=seed).scores for seed in range(20)])
    assert abs(float(draws.mean())) < 0.1 and abs(float(draws.std()) - 1) < 0.1  # of 480 draws
