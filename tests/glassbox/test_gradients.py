"""Gradient methods against captum, finite differences and functions whose gradient is known."""

import pytest
import torch
from captum.attr import InputXGradient, NoiseTunnel, Saliency
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES, CLASSIFIERS, DECODERS

import glassbox as gb
from glassbox.errors import InputError
from glassbox.gradients import (
    TOKENS_AT_A_TIME,
    batches,
    gradient,
    settled_at_the_text,
    smooth_gradient,
    texts_at_a_time,
    value_of,
    vocabulary_mean,
)
from glassbox.question import Question
from glassbox.trace import undisturbed

POINTWISE = ["gradient", "gradient_x_input", "smooth_grad"]


def text(seq=8, seed=0):
    return torch.randint(1, 300, (1, seq), generator=torch.Generator().manual_seed(seed))


def embedded(model, ids):
    return model.get_input_embeddings()(ids).detach()  # (1, seq, width)


def logit(model, target, position=-1):
    """f as anybody would write it: transformers' own way in for embeddings, and one of its logits."""

    def f(embeddings):
        logits = model(inputs_embeds=embeddings, attention_mask=torch.ones(embeddings.shape[:2])).logits
        return logits[:, target] if logits.ndim == 2 else logits[:, position, target]

    return f


def close(got, want, tolerance=1e-12):
    return float((torch.as_tensor(got).double() - torch.as_tensor(want).double()).abs().max()) <= tolerance


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_against_captum(build, name):
    model, ids = build(name, dtype=torch.float64), text()
    x, f = embedded(model, ids), logit(model, 2)
    a = gb.explain(model, None, ids, method="gradient", target=2)
    agree("gradient", name, "captum Saliency", a.scores, Saliency(f).attribute(x, abs=False)[0].norm(dim=-1))
    a = gb.explain(model, None, ids, method="gradient_x_input", target=2)
    theirs = InputXGradient(f).attribute(x)[0].sum(-1)
    agree("gradient × input", name, "captum InputXGradient", a.scores, theirs)  # measured: 1e-7, float32's rounding


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_smooth_grad_against_captum(build, name):
    model, ids = build(name, dtype=torch.float64), text()
    a = gb.explain(model, None, ids, method="smooth_grad", target=2, samples=6, seed=3)
    torch.manual_seed(3)  # captum draws from the global generator, one sample at a time
    theirs = NoiseTunnel(Saliency(logit(model, 2))).attribute(
        embedded(model, ids), nt_samples=6, nt_samples_batch_size=1, stdevs=a.details["spread"], abs=False
    )
    agree("SmoothGrad", name, "captum NoiseTunnel", a.scores, theirs[0].norm(dim=-1))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_model_run_on_its_own_embeddings_is_the_model_run_on_the_text(build, name):
    model = build(name)
    for ids in (text(), torch.tensor([[5, 0, 7, 0, 0]])):  # 0 is the padding token, in the middle and at the end
        question = Question.ask(model, None, ids, None, None, -1, "logit")
        with undisturbed(model), torch.no_grad():
            one = question.run().logits
            assert torch.equal(question.run(inputs_embeds=embedded(model, ids)).logits, one)
            three = question.run(inputs_embeds=embedded(model, ids).repeat(3, 1, 1)).logits
        assert close(three, one.expand_as(three), 1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_value_is_the_one_that_is_explained(build, name):
    model, ids = build(name, dtype=torch.float64), text()
    for asked in (dict(), dict(of="prob"), dict(target=1, foil=2), dict(target=lambda o: o.logits[0].sum())):
        question = Question.ask(model, None, ids, asked.get("target"), asked.get("foil"), 4, asked.get("of", "logit"))
        with undisturbed(model):
            settled, x, output = settled_at_the_text(question)
            with torch.no_grad():
                values = value_of(settled)(x.expand(3, -1, -1))  # (3,)
        assert close(values, settled.values(output).expand(3), 1e-10)


# Gemma's norms compute in single precision whatever the model's, so small steps drown in rounding.
@pytest.mark.parametrize(
    ("name", "step", "bound"),
    [("gpt2", 1e-5, 1e-6), ("roberta", 1e-5, 1e-6), ("gpt2-classifier", 1e-5, 1e-6)]
    + [("distilbert", 1e-5, 1e-6), ("gemma2", 3e-3, 1e-3)],
)
def test_finite_differences(build, name, step, bound):
    model, ids = build(name, dtype=torch.float64), text(5)
    x, f = embedded(model, ids), logit(model, 1)
    width = x.shape[-1]
    moved = x + step * torch.eye(5 * width, dtype=x.dtype).view(-1, 5, width)  # (entry, seq, width)
    back = x - step * torch.eye(5 * width, dtype=x.dtype).view(-1, 5, width)
    with torch.no_grad():
        slopes = ((f(moved) - f(back)) / (2 * step)).view(5, width)
    a = gb.explain(model, None, ids, method="gradient", target=1)
    assert close(a.scores, slopes.norm(dim=-1), bound * float(slopes.norm()))
    a = gb.explain(model, None, ids, method="gradient_x_input", target=1)
    assert close(a.scores, (slopes * x[0]).sum(-1), bound * float(slopes.norm()))


@settings(deadline=None, max_examples=40)
@given(batch=st.integers(1, 4), seq=st.integers(1, 5), width=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_functions_with_known_gradients(batch, seq, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x, w = (torch.randn(batch, seq, width, generator=generator, dtype=torch.float64) for _ in range(2))
    assert close(gradient(lambda x: (w[0] * x).sum((1, 2)), x), w[:1].expand_as(x))
    assert close(gradient(lambda x: (w[0] * x**3).sum((1, 2)), x), 3 * w[0] * x**2, 1e-10)
    order = torch.randperm(batch, generator=generator)
    tangled = lambda x: (x.sin().prod(-1) * x.sum((1, 2), keepdim=True)[..., 0]).sum(1)  # noqa: E731
    assert close(gradient(tangled, x[order]), gradient(tangled, x)[order])  # texts of a batch do not meet


def test_smooth_gradient_of_a_square_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    square = lambda x: (x**2).sum((1, 2))  # noqa: E731
    generator = torch.Generator().manual_seed(5)
    noises = [torch.randn(2, 2, generator=generator).double() for _ in range(3)]
    want = 2 * (x + 0.1 * sum(noises) / 3)
    for batch_size in (1, 2, 3, 16):
        assert close(smooth_gradient(square, x, 0.1, samples=3, seed=5, batch_size=batch_size), want)


def test_smooth_grad_without_noise_is_the_gradient(model):
    plain = gb.explain(model, None, text(), method="gradient").scores
    smooth = gb.explain(model, None, text(), method="smooth_grad", noise=0, samples=2).scores
    assert close(smooth, plain, 1e-5 * float(plain.max()))


def test_smooth_grad_keeps_to_its_seed_and_not_to_its_batches(model):
    def scores(**options):
        return gb.explain(model, None, text(), method="smooth_grad", samples=7, **options).scores

    assert torch.equal(scores(), scores(seed=0))
    assert not close(scores(), scores(seed=1), 1e-3)
    assert close(scores(batch_size=1), scores(batch_size=5), 1e-4)
    torch.manual_seed(0)
    before = torch.randn(1)
    torch.manual_seed(0)
    scores()
    assert torch.equal(torch.randn(1), before)  # the caller's random numbers are left alone


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_noise_is_in_units_of_the_vocabularys_spread(build, name):
    model = build(name)
    vocabulary = embedded(model, torch.arange(300)[None])[0].double()
    question = Question.ask(model, None, text(), 1, None, -1, "logit")
    assert close(vocabulary_mean(question), vocabulary.mean(0), 1e-9)
    assert close(vocabulary_mean(question, torch.square), (vocabulary**2).mean(0), 1e-5)
    a = gb.explain(model, None, text(), method="smooth_grad", noise=0.5)
    assert a.details["spread"] == pytest.approx(0.5 * float((vocabulary - vocabulary.mean(0)).square().mean().sqrt()))


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("method", POINTWISE)
def test_later_tokens_get_exactly_nothing(build, name, method):
    scores = gb.explain(build(name), None, text(), method=method, position=3).scores
    assert scores[4:].eq(0).all() and scores[:4].ne(0).all()


@pytest.mark.parametrize("name", ["llama", "bert", "roberta-classifier"])
def test_a_foil_is_subtracted(build, name):
    model = build(name, dtype=torch.float64)
    target, foil, both = (
        gb.explain(model, None, text(), method="gradient_x_input", **asked).scores
        for asked in (dict(target=1), dict(target=2), dict(target=1, foil=2))
    )
    assert close(both, target - foil, 1e-5) and not close(both, target, 1e-3)


@pytest.mark.parametrize("name", ["qwen3", "distilbert", "gpt2-classifier"])
@pytest.mark.parametrize("of", ["logprob", "prob"])
def test_readings(build, name, of):
    model, ids = build(name, dtype=torch.float64), text()

    def f(x):
        logits = model(inputs_embeds=x, attention_mask=torch.ones(x.shape[:2])).logits
        logits = logits if logits.ndim == 2 else logits[:, 2]
        return logits.log_softmax(-1)[:, 1] if of == "logprob" else logits.softmax(-1)[:, 1]

    a = gb.explain(model, None, ids, method="gradient_x_input", target=1, of=of, position=2)
    theirs = InputXGradient(f).attribute(embedded(model, ids))[0].sum(-1)
    agree(f"gradient × input ({of})", name, "captum InputXGradient", a.scores, theirs)


@pytest.mark.parametrize("method", POINTWISE)
def test_a_function_as_target(build, method):
    model = build("gpt2")
    by_function = gb.explain(model, None, text(), method=method, target=lambda o: o.logits[0, -1, 7])
    assert close(by_function.scores, gb.explain(model, None, text(), method=method, target=7).scores, 1e-5)
    assert by_function.of == "function"


@pytest.mark.parametrize(
    "target", [lambda o: o.logits.detach().sum(), lambda o: torch.tensor(float(o.logits.detach()[0, 0, 0]))]
)
@pytest.mark.parametrize("method", [*POINTWISE, "integrated_gradients"])
def test_a_function_that_lost_the_gradient(model, method, target):
    with pytest.raises(InputError, match="has no gradient; allowed: .* without item"):
        gb.explain(model, None, text(), method=method, target=target)
    with pytest.raises(InputError, match="has no gradient"):  # it has one, but for a weight of its own
        weight = torch.ones((), requires_grad=True)
        gb.explain(model, None, text(), method=method, target=lambda o: weight * 2)


@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", [*POINTWISE, "integrated_gradients"])
def test_gradients_are_taken_where_the_caller_switched_them_off(model, method, surroundings):
    want = gb.explain(model, None, text(), method=method).scores
    with surroundings():
        got = gb.explain(model, None, text(), method=method).scores  # the ids too are made in here
        assert not torch.is_grad_enabled()
    assert torch.equal(got, want)


def test_the_bare_gradient_is_taken_also_without_gradients():
    with torch.no_grad():
        assert close(gradient(lambda x: (x**2).sum((1, 2)), torch.ones(1, 2, 3)), torch.full((1, 2, 3), 2.0))


@pytest.mark.parametrize("method", [*POINTWISE, "integrated_gradients"])
def test_frozen_and_unfrozen_parameters(build, method):
    model = build("llama")
    want = gb.explain(model, None, text(), method=method).scores
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)
    assert close(gb.explain(model, None, text(), method=method).scores, want, 1e-4 * float(want.abs().max()))
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "bert-classifier"])
def test_half_precision_is_close(build, name, dtype):
    for method in POINTWISE:
        exact = gb.explain(build(name), None, text(), method=method, target=1).scores
        half = gb.explain(build(name, dtype=dtype), None, text(), method=method, target=1).scores
        assert half.dtype == torch.float32
        assert close(half, exact, 20 * torch.finfo(dtype).eps * float(exact.abs().max()))


def test_classifiers_without_a_padding_token_see_one_text_at_a_time(build):
    model = build("gpt2-classifier")
    batched = ("smooth_grad", "integrated_gradients")
    with_padding = [gb.explain(model, None, text(), method=method).scores for method in batched]
    model.config.pad_token_id = None
    for method, want in zip(batched, with_padding, strict=True):
        for options in (dict(), dict(batch_size=4)):
            got = gb.explain(model, None, text(), method=method, **options).scores
            assert close(got, want, 1e-4 * float(want.abs().max()))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_by_their_names(build, name):
    a = gb.explain(build(name), None, text(), method="gradient_x_input", target="good")
    assert a.target == 2 and torch.equal(
        a.scores, gb.explain(build(name), None, text(), method="gradient_x_input", target=2).scores
    )


def test_memory_is_bounded_by_the_length(build):
    model = build("gpt2")
    question = Question.ask(model, None, text(20), 1, None, -1, "logit")
    output = question.run()
    assert texts_at_a_time(question, output, None) == TOKENS_AT_A_TIME // 20
    assert texts_at_a_time(question, output, 3) == 3
    seen = []
    model.register_forward_pre_hook(lambda _, args, more: seen.append(more["input_ids"].shape), with_kwargs=True)
    gb.explain(model, None, text(20), method="smooth_grad", batch_size=4, samples=10)
    assert seen == [(1, 20), (4, 20), (4, 20), (2, 20)]


def test_only_the_logits_that_are_read_are_computed(build):
    model, seen = build("gpt2"), []
    model.lm_head.register_forward_hook(lambda _, args, output: seen.append(output.shape[:2]))
    gb.explain(model, None, text(), method="smooth_grad", samples=2, position=3)
    assert seen == [(1, 1), (2, 1)]
    gb.explain(model, None, text(), method="gradient", position=3)
    assert seen[2:] == [(1, 1)]  # the settling run and the gradient's are one


@settings(deadline=None, max_examples=40)
@given(length=st.integers(0, 20), size=st.integers(1, 25))
def test_batches(length, size):
    found = list(batches(iter(range(length)), size))
    assert [item for batch in found for item in batch] == list(range(length))
    assert all(len(batch) == size for batch in found[:-1]) and all(found)


BAD = {
    "no samples": (dict(samples=0), "samples is 0; allowed: a whole number, 1 or more"),
    "half a sample": (dict(samples=1.5), "samples is 1.5; allowed: a whole number"),
    "truth as a number": (dict(samples=True), "samples is True; allowed: a whole number"),
    "less than no noise": (dict(noise=-0.1), "noise is -0.1; allowed: 0 or more"),
    "noise that is no number": (dict(noise=float("nan")), "noise is nan; allowed: 0 or more"),
    "endless noise": (dict(noise=float("inf")), "noise is inf; allowed: 0 or more"),
    "empty batches": (dict(batch_size=0), "batch_size is 0; allowed: a whole number, 1 or more"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(model, case):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        gb.explain(model, None, text(), method="smooth_grad", **options)


def test_on_the_small_world(smallworld_model):
    a = gb.explain(*smallworld_model, "The Eiffel Tower is located in the city of", method="gradient")
    assert a.target_token == " Paris"
    assert " Eiffel" in [word for word, _ in a.top(3)]
