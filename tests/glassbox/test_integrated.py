"""Integrated gradients against captum, functions whose integral is known, and completeness."""

import warnings

import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES, DECODERS
from tests.glassbox.test_gradients import close, embedded, logit, text

import glassbox as gb
from glassbox.errors import InputError
from glassbox.integrated import completeness, gauss_legendre, gauss_legendre_path_integral


def explain(model, ids, **options):
    return gb.explain(model, None, ids, method="integrated_gradients", **options)


def mean_embedding(model, ids):
    return embedded(model, torch.arange(300)[None]).mean(dim=1, keepdim=True).expand_as(embedded(model, ids))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_against_captum(build, name):
    model, ids = build(name, dtype=torch.float64), text()
    a = explain(model, ids, target=2, steps=20)
    theirs = IntegratedGradients(logit(model, 2)).attribute(
        embedded(model, ids), mean_embedding(model, ids), n_steps=20, method="gausslegendre", internal_batch_size=8
    )
    agree("integrated gradients", name, "captum IntegratedGradients", a.scores, theirs[0].sum(-1))  # measured: 1e-7


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "bert", "roberta-classifier"])
def test_against_captum_at_the_layer(build, name):
    model, ids = build(name, dtype=torch.float64), text()

    def f(ids):
        logits = model(ids, attention_mask=torch.ones_like(ids)).logits
        return logits[:, 2] if logits.ndim == 2 else logits[:, -1, 2]

    theirs = LayerIntegratedGradients(f, model.get_input_embeddings()).attribute(
        ids, torch.full_like(ids, 7), n_steps=20, method="gausslegendre"
    )
    a = explain(model, ids, target=2, steps=20, baseline=7)
    agree("integrated gradients", name, "captum LayerIntegratedGradients", a.scores, theirs[0].sum(-1))


# OPT's and DistilBERT's classifier's ReLUs have corners, and models with RMSNorm are steep near the mean of random
# embeddings: sums come closer slowly there. The share that is left after 300 steps, at most:
SLOW = {"opt": 5e-3, "distilbert-classifier": 5e-3, "llama": 1e-3, "mistral": 1e-3, "phi3": 1e-3, "gemma2": 1e-3}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_completeness(build, name):
    model, ids = build(name, dtype=torch.float64), text()
    a = explain(model, ids, target=1, steps=300)
    with torch.no_grad():
        ends = torch.cat([mean_embedding(model, ids), embedded(model, ids)])
        at_baseline, at_text = logit(model, 1)(ends)
    assert a.details["baseline_value"] == pytest.approx(float(at_baseline), abs=1e-5)
    missing = abs(float(a.scores.double().sum() - (at_text - at_baseline)))
    assert a.details["gap"] == pytest.approx(missing, abs=1e-5)
    assert a.details["gap_share"] == pytest.approx(a.details["gap"] / abs(float(at_text - at_baseline)), rel=1e-3)
    assert a.details["gap_share"] <= SLOW.get(name, 1e-6)


@settings(deadline=None, max_examples=50)
@given(seq=st.integers(1, 4), width=st.integers(1, 5), steps=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_linear_functions_get_exact_answers(seq, width, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    x, baseline, w = (torch.randn(seq, width, generator=generator, dtype=torch.float64) for _ in range(3))
    found = gauss_legendre_path_integral(lambda x: (w * x).sum((1, 2)) + 3, x, baseline, steps)
    assert close(found, w * (x - baseline))


@settings(deadline=None, max_examples=50)
@given(steps=st.integers(1, 8), seq=st.integers(1, 4), seed=st.integers(0, 10**6), data=st.data())
def test_polynomials_are_exact_up_to_twice_the_steps(steps, seq, seed, data):
    degree = data.draw(st.integers(1, 2 * steps))
    generator = torch.Generator().manual_seed(seed)
    x, baseline, w = (torch.rand(seq, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    found = gauss_legendre_path_integral(lambda x: (w * x**degree).sum((1, 2)), x, baseline, steps)
    assert close(found, w * (x**degree - baseline**degree), 1e-10)  # here no entry meets another


@settings(deadline=None, max_examples=20)
@given(seq=st.integers(2, 4), batch_size=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_completeness_linearity_and_batches_of_any_smooth_function(seq, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    x, baseline, w = (torch.randn(seq, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    f = lambda x: torch.tanh((w * x).sum((1, 2)))  # noqa: E731
    g = lambda x: x.sin().prod(-1).sum(1)  # noqa: E731
    of_f, of_g, of_both = (
        gauss_legendre_path_integral(h, x, baseline, 20, batch_size) for h in (f, g, lambda x: 2 * f(x) - g(x))
    )
    assert close(of_g.sum(), g(x[None]) - g(baseline[None]), 1e-8)
    assert close(of_both, 2 * of_f - of_g)
    assert close(of_g, gauss_legendre_path_integral(g, x, baseline, 20, batch_size=1))
    unmoved = gauss_legendre_path_integral(g, x, x.clone().index_fill(0, torch.tensor([0]), 1.0), 10)
    assert close(unmoved[1:], 0.0)  # tokens that are their own baseline get nothing


def test_three_steps_by_hand():
    places, weights = gauss_legendre(3)
    assert close(places, [0.5 - 0.15**0.5, 0.5, 0.5 + 0.15**0.5], 1e-15)
    assert close(weights, [5 / 18, 8 / 18, 5 / 18], 1e-15)


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_baselines(build, name, tokenizer):
    model, ids = build(name), text()

    def scores(baseline, tokenizer=None):
        chosen = dict(method="integrated_gradients", steps=5, target=3, baseline=baseline)
        return gb.explain(model, tokenizer, ids, **chosen).scores

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean = mean_embedding(model, ids)
        assert close(scores("mean"), scores(mean), 1e-4)
        assert close(scores("mean"), scores(mean[0]), 1e-4)
        assert close(scores("mean"), scores(mean[0, 0]), 1e-4)
        assert torch.equal(scores("zero"), scores(torch.zeros(32)))
        seven = embedded(model, torch.full_like(ids, 7))
        assert torch.equal(scores(7), scores(seven))
        paris = tokenizer.convert_tokens_to_ids("ĠParis")
        assert torch.equal(scores(" Paris", tokenizer), scores(paris))
        different = [scores(baseline) for baseline in ("mean", "zero", 7, paris)]
    assert all(not close(one, other, 1e-3) for i, one in enumerate(different) for other in different[:i])


@pytest.mark.filterwarnings("ignore:integrated_gradients")
def test_baselines_by_the_tokenizers_names(build, word_pieces):
    model = build("bert-classifier")
    for baseline, token in (("unknown", 1), ("pad", 0), ("[CLS]", 2)):
        by_name, by_id = (
            gb.explain(model, word_pieces, "the tower unseen", method="integrated_gradients", baseline=one, steps=5)
            for one in (baseline, token)
        )
        assert torch.equal(by_name.scores, by_id.scores)
    with pytest.raises(InputError, match="no mask token; allowed: 'mean', 'zero', 'unknown', 'pad', a token"):
        gb.explain(model, word_pieces, "the tower", method="integrated_gradients", baseline="mask")


BAD = {
    "no steps": (dict(steps=0), "steps is 0; allowed: a whole number, 1 or more"),
    "half a step": (dict(steps=2.5), "steps is 2.5; allowed: a whole number"),
    "empty batches": (dict(batch_size=0), "batch_size is 0; allowed: a whole number"),
    "another length": (dict(baseline=torch.zeros(7, 32)), r"shape \(7, 32\); allowed: \(32,\) or \(8, 32\)"),
    "another width": (dict(baseline=torch.zeros(16)), r"shape \(16,\); allowed"),
    "a single number": (dict(baseline=torch.tensor(0.0)), r"shape \(\); allowed"),
    "no such token": (dict(baseline=300), r"the baseline is 300; allowed: .* \(0 to 299\), or embeddings"),
    "truth": (dict(baseline=True), "the baseline is True; allowed"),
    "nothing": (dict(baseline=None), "the baseline is None; allowed"),
    "a word without a tokenizer": (dict(baseline="mask"), "baseline 'mask' needs a tokenizer"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(model, case):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        explain(model, text(), **options)


@pytest.mark.parametrize("steps", [20, 50, 300])
def test_a_baseline_of_zeros_fails_with_rms_norm_and_says_so(build, steps):
    model = build("llama", dtype=torch.float64)
    with pytest.warns(UserWarning, match="miss .* by .*%; take more steps, or another baseline"):
        a = explain(model, text(), baseline="zero", steps=steps)
    assert a.details["gap_share"] > 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert explain(model, text(), steps=steps + 30).details["gap_share"] < 0.05


def test_the_warning_stands_at_the_callers_line(build):
    with pytest.warns(UserWarning, match="miss") as caught:
        gb.explain(build("llama"), None, text(), method="integrated_gradients", baseline="zero", steps=2)
    assert caught[0].filename == __file__


def test_the_gap_is_a_share_of_what_should_be_explained():
    found, nothing = torch.tensor(1.04), torch.tensor(0.0)
    assert completeness("x", found, torch.tensor(1.0))["gap_share"] == pytest.approx(0.04)
    assert completeness("x", nothing, nothing) == {"gap": 0.0, "gap_share": 0.0}
    with pytest.warns(UserWarning, match="x: .* by 100%; take more sugar"):
        completeness("x", torch.tensor([1.0, -1.0]), torch.tensor([0.0, 0.0]), more="sugar", stacklevel=1)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.filterwarnings("ignore:integrated_gradients")
def test_later_tokens_get_exactly_nothing(build, name):
    scores = explain(build(name), text(), position=3, steps=4).scores
    assert scores[4:].eq(0).all() and scores[:4].ne(0).all()


@pytest.mark.filterwarnings("ignore:integrated_gradients")
@pytest.mark.parametrize("name", ["qwen2", "distilbert", "gpt2-classifier"])
def test_foil_reading_and_function(build, name):
    model = build(name, dtype=torch.float64)
    target, foil, both = (
        explain(model, text(), steps=6, **asked).scores
        for asked in (dict(target=1), dict(target=2), dict(target=1, foil=2))
    )
    assert close(both, target - foil, 1e-5) and not close(both, target, 1e-3)
    if name != "gpt2-classifier":
        function = explain(model, text(), steps=6, target=lambda o: o.logits[0, -1, 1] - o.logits[0, -1, 2])
        assert close(function.scores, both, 1e-5)
    for of, read in (("prob", torch.softmax), ("logprob", torch.log_softmax)):
        theirs = IntegratedGradients(lambda x, read=read: read(all_logits(model, x), -1)[:, 1]).attribute(
            embedded(model, text()), mean_embedding(model, text()), n_steps=6, method="gausslegendre"
        )
        a = explain(model, text(), steps=6, target=1, of=of)
        agree(f"integrated gradients ({of})", name, "captum IntegratedGradients", a.scores, theirs[0].sum(-1))


def all_logits(model, x):
    logits = model(inputs_embeds=x, attention_mask=torch.ones(x.shape[:2])).logits
    return logits if logits.ndim == 2 else logits[:, -1]


def test_batches_change_nothing_and_are_bounded(build):
    model, seen = build("gpt2"), []
    model.register_forward_pre_hook(lambda _, args, more: seen.append(len(more["input_ids"])), with_kwargs=True)
    one = explain(model, text(), batch_size=1)
    assert set(seen) == {1}
    seen.clear()
    assert close(explain(model, text(), batch_size=7).scores, one.scores, 1e-4)
    assert max(seen) == 7 and sum(seen) == 50 + 1 + 2  # the steps, the text, and both ends
    assert close(explain(model, text()).scores, one.scores, 1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gpt2", "bert-classifier"])
def test_half_precision_is_close(build, name, dtype):
    exact = explain(build(name), text(), target=1).scores
    half = explain(build(name, dtype=dtype), text(), target=1).scores
    assert close(half, exact, 20 * torch.finfo(dtype).eps * float(exact.abs().max()))


def test_the_models_own_prediction_is_settled_at_the_text(build):
    model = build("gpt2")
    a = explain(model, text())
    own = int(model(text()).logits[0, -1].argmax())
    assert a.target == own and torch.equal(a.scores, explain(model, text(), target=own).scores)


def test_on_the_small_world(smallworld_model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = gb.explain(*smallworld_model, "The Eiffel Tower is located in the city of", method="integrated_gradients")
    assert a.target_token == " Paris"
    assert float(a.scores.sum()) == pytest.approx(a.value - a.details["baseline_value"], rel=0.05)
