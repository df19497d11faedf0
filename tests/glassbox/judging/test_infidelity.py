"""Infidelity against captum and by hand; sensitivity against small steps taken by hand, and no step left behind."""

import math

import pytest
import torch
from captum.metrics import infidelity as captums
from tests.glassbox.agreement import agree

import glassbox as gb
from glassbox.errors import InputError
from glassbox.judging.infidelity import _small_steps, infidelity, mean_square_gap, sensitivity
from glassbox.methods import METHODS
from glassbox.trace import edited

IDS = torch.tensor([[5, 9, 17, 9, 33, 2]])


def product_and_sum(kept):
    """Not additive, so that no scores are without a gap."""
    kept = kept.double()
    return kept @ torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64) + 4 * kept[:, 0] * kept[:, 3]


def random_sets(samples=50):
    return torch.rand(samples, 4, generator=torch.Generator().manual_seed(0)) < 0.5


@pytest.mark.parametrize("scaled", [False, True])
def test_against_captum(scaled):
    removed, scores = random_sets(), torch.tensor([2.0, -1.0, 0.0, 4.0], dtype=torch.float64)
    steps = iter(removed)

    def perturb(inputs):
        step = next(steps)[None].double()
        return step, inputs - step

    theirs = captums(
        product_and_sum, perturb, torch.ones(1, 4, dtype=torch.float64), scores[None],
        n_perturb_samples=len(removed), max_examples_per_batch=1, normalize=scaled,
    )  # fmt: skip
    ours = mean_square_gap(product_and_sum, scores, removed, scaled)
    agree("infidelity" + " scaled" * scaled, "by tokens", "captum", [ours], theirs, 1e-12)


def test_scores_that_add_up_have_no_gap():
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)

    def additive(kept):
        return kept.double() @ weights + 7

    assert mean_square_gap(additive, weights, random_sets()) == pytest.approx(0, abs=1e-24)
    assert mean_square_gap(additive, weights / 9, random_sets(), scaled=True) == pytest.approx(0, abs=1e-24)
    assert mean_square_gap(additive, weights / 9, random_sets()) > 0.1
    nothing = mean_square_gap(additive, torch.zeros(4), random_sets(), scaled=True)
    lost = random_sets().double() @ weights
    assert nothing == pytest.approx(float(lost.square().mean()))


def test_f_is_what_was_explained(model, tokenizer):
    text = "The unseen Tower is in"
    for of in ("logit", "prob"):
        a = gb.explain(model, tokenizer, text, method="random", of=of)
        a.scores = torch.zeros_like(a.scores)
        lost = math.sqrt(infidelity(model, tokenizer, a, how="mask"))
        assert (lost > 0.5) == (of == "logit")  # logits of this model move by more than any probability can
    again = infidelity(model, tokenizer, a, how="mask")
    assert infidelity(model, tokenizer, a, how="mask") == again != infidelity(model, tokenizer, a, how="mask", seed=1)


def test_sensitivity_against_steps_taken_by_hand(build):
    model = build("gpt2", dtype=torch.float64)
    found = sensitivity(model, None, IDS, method="gradient_x_input", radius=0.2, samples=3, seed=7)
    before = gb.explain(model, None, IDS, method="gradient_x_input")
    weight = model.get_input_embeddings().weight
    kept, generator, changes = weight.detach().clone(), torch.Generator().manual_seed(7), []
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(kept.clone())  # or the steps would move the tied head as well
    for _ in range(3):
        known = sorted(set(IDS[0].tolist()))
        steps = torch.randn(len(known), weight.shape[1], generator=generator).double()
        with torch.no_grad():
            for token, step in zip(known, steps, strict=True):
                weight[token] += 0.2 * kept[token].norm() * step / step.norm()
            after = gb.explain(model, None, IDS, method="gradient_x_input", target=before.target)
            weight.copy_(kept)
        changes.append(float((after.scores - before.scores).norm() / before.scores.norm()))
    assert len(set(changes)) == 3
    assert found == pytest.approx(max(changes), rel=1e-5)


def test_only_the_tokens_of_the_text_move_each_by_its_share(model):
    layer = model.get_input_embeddings()
    ids = torch.tensor([[0, 2, 5, 6, 9, 33, 34, 299]])
    with torch.no_grad():
        before = layer(ids)
        with edited([_small_steps(model, IDS[0], 0.2, torch.Generator().manual_seed(0))]):
            moved = (layer(ids) - before).norm(dim=-1) / before.norm(dim=-1)
            twice = layer(torch.tensor([[9, 9]]))[0]
    assert moved[0].tolist() == pytest.approx([0, 0.2, 0.2, 0, 0.2, 0.2, 0, 0], abs=1e-6)
    assert torch.equal(*twice)


@pytest.mark.parametrize("method", ["random", "rollout", "leave_one_out", "gradient"])
def test_sensitivity_of_methods(model, method):
    if method not in METHODS:
        pytest.fail(f"{method} is not there")
    small, large = (sensitivity(model, None, IDS, method=method, radius=radius, samples=4) for radius in (1e-3, 0.3))
    if method == "random":
        assert small == large == 0  # nothing that the model computes goes into it
    else:
        assert 0 < 10 * small < large
        assert small < 0.1


def test_the_target_stays_though_the_prediction_moves(model):
    targets = []

    def watched(*arguments, **options):
        targets.append(options.get("target"))
        return METHODS["rollout"](*arguments, **options)

    METHODS["watched"] = watched
    try:
        sensitivity(model, None, IDS, method="watched", radius=3.0, samples=5)
    finally:
        del METHODS["watched"]
    assert targets[0] is None and len(set(targets[1:])) == 1 and isinstance(targets[1], int)


def test_no_step_is_left_behind(model):
    layer, weights = model.get_input_embeddings(), [parameter.clone() for parameter in model.parameters()]

    def broken(*arguments, **options):
        if options["target"] is not None:
            raise KeyboardInterrupt
        return METHODS["rollout"](*arguments, **options)

    METHODS["broken"] = broken
    try:
        with pytest.raises(KeyboardInterrupt):
            sensitivity(model, None, IDS, method="broken")
    finally:
        del METHODS["broken"]
    sensitivity(model, None, IDS, method="rollout", samples=1)
    assert not layer._forward_hooks
    assert all(map(torch.equal, model.parameters(), weights))


def test_bad_input(model):
    a = gb.explain(model, None, IDS, method="random")
    for call, message in [
        (lambda: infidelity(model, None, a, samples=0), "samples is 0; allowed"),
        (lambda: infidelity(model, None, a.words()), "allowed: one by tokens"),
        (lambda: sensitivity(model, None, IDS, method="rollout", radius=0), "radius is 0 and samples 10; allowed"),
        (lambda: sensitivity(model, None, IDS, method="rollout", samples=2.5), "samples 2.5; allowed"),
        (lambda: sensitivity(model, None, IDS, method="guess"), "unknown method 'guess'"),
        (lambda: sensitivity(model, None, IDS, method="rollout", depth=3), "no option 'depth'"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
