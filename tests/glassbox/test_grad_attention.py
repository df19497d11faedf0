"""Gradient × attention against finite differences of single weights, loops, and Chefer's rules written by einsum."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.architectures import ARCHITECTURES, CLASSIFIERS
from tests.glassbox.test_attention import close, is_encoder, run, unknown_model  # noqa: F401 (a fixture)

import glassbox as gb
from glassbox.attention_function import attention_by, plain_attention
from glassbox.errors import InputError
from glassbox.grad_attention import attention_gradients, grad_times_attention, positive_rollout

IDS = torch.tensor([[5, 17, 250, 3, 99, 42]])
METHODS = ["grad_attention", "grad_attention_rollout"]


@pytest.fixture
def float64_throughout(monkeypatch):
    """Llama and its kin turn to float32 for norms, RoPE and softmax, which finite differences can't bear."""
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def changed_by(model, attention, head, query, key, step):
    """Inside, one attention weight of one layer is larger by `step`."""

    def changed(module, q, k, value, *rest, **more):
        mixed, weights = plain_attention(module, q, k, value, *rest, **more)  # (batch, seq, head, dim)
        if module is attention:
            shared = q.shape[1] // value.shape[1]
            mixed = mixed.clone()
            mixed[:, query, head] += step * value[:, head // shared, key]
        return mixed, weights

    return attention_by(model, changed)


def scalar(model, asked, position):
    """f by its definition, from the model's logits."""
    with torch.no_grad():
        logits = model(IDS, use_cache=False).logits
    logits = logits[0] if logits.ndim == 2 else logits[0, position]
    if "foil" in asked:
        return float(logits[asked["target"]] - logits[asked["foil"]])
    if callable(asked["target"]):
        return float((logits**2).sum())
    return float({"logit": logits, "logprob": logits.log_softmax(-1), "prob": logits.softmax(-1)}[asked["of"]][2])


def squares(position):
    return lambda output: (output.logits[0] if output.logits.ndim == 2 else output.logits[0, position]).square().sum()


ASKED = {
    "logit": dict(target=2, of="logit"),
    "logprob": dict(target=2, of="logprob"),
    "prob": dict(target=2, of="prob"),
    "foil": dict(target=2, foil=1),
    "function": dict(target=squares(4)),
}


def products(model, asked, position=4, entries=8, step=1e-5):
    """A · ∂f/∂A by finite differences at some entries of the row of `position`: {(layer, head, key): product}."""
    weights, parts = run(model, IDS), gb.anatomy(model)
    found = {}
    for entry in range(entries):
        layer, head, key = entry % 3, entry % parts.heads, (5 * entry) % (position + 1)
        values = []
        for sign in (1, -1):
            with changed_by(model, parts.attentions[layer], head, position, key, sign * step):
                values.append(scalar(model, asked, position))
        slope = (values[0] - values[1]) / (2 * step)
        found[layer, head, key] = float(weights[layer][0, head, position, key]) * slope
    return found


@pytest.mark.usefixtures("float64_throughout")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_against_finite_differences(build, name):
    model = build(name, dtype=torch.float64)
    by_head = gb.explain(model, None, IDS, method="grad_attention", position=4, **ASKED["logit"]).details["by_head"]
    largest = float(by_head.abs().max())
    for entry, product in products(model, ASKED["logit"]).items():
        assert close(by_head[entry] / largest, product / largest, 1e-7)


@pytest.mark.usefixtures("float64_throughout")
@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "bert-classifier"])
def test_what_is_explained(build, name, what):
    model = build(name, dtype=torch.float64)
    a = gb.explain(model, None, IDS, method="grad_attention", position=4, **ASKED[what])
    by_head, largest = a.details["by_head"], float(a.details["by_head"].abs().max())
    assert abs(a.value - scalar(model, ASKED[what], 4)) <= 1e-9 * abs(a.value)
    for entry, product in products(model, ASKED[what]).items():
        assert close(by_head[entry] / largest, product / largest, 1e-7)


def random_pairs(layers, batch, heads, seq, seed):
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(layers, batch, heads, seq, seq, generator=draw, dtype=torch.float64).softmax(-1)
    return list(weights), list(torch.randn(weights.shape, generator=draw, dtype=torch.float64))


@settings(deadline=None, max_examples=40)
@given(*(st.integers(1, most) for most in (4, 3, 3, 5)), st.integers(0, 10**6))
def test_against_loops(layers, batch, heads, seq, seed):
    weights, gradients = random_pairs(layers, batch, heads, seq, seed)
    signed, carried = grad_times_attention(weights, gradients), positive_rollout(weights, gradients)
    for text in range(batch):
        mean = torch.zeros(seq, seq, dtype=torch.float64)
        relevance = torch.eye(seq, dtype=torch.float64)
        for layer in range(layers):
            step = torch.zeros(seq, seq, dtype=torch.float64)
            for head in range(heads):
                for i in range(seq):
                    for j in range(seq):
                        worth = weights[layer][text, head, i, j] * gradients[layer][text, head, i, j]
                        mean[i, j] += worth / (layers * heads)
                        step[i, j] += max(worth, 0) / heads
            relevance = relevance + torch.einsum("ik,kj->ij", step, relevance)
        assert close(signed[text], mean)
        assert close(carried[text], relevance)


def test_two_layers_by_hand():
    # One head, two tokens. What is worth something: 1/2 and 1/4 below, 1 above; -2 is dropped by the second form.
    weights = [torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]]), torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])]
    gradients = [torch.tensor([[[[0.5, 7.0], [0.5, -4.0]]]]), torch.tensor([[[[0.0, 7.0], [2.0, 0.0]]]])]
    assert close(grad_times_attention(weights, gradients), [[[0.25, 0], [0.625, -1]]])
    # R below = [[3/2, 0], [1/4, 1]], and above R + [[0, 0], [1, 0]] R.
    assert close(positive_rollout(weights, gradients), [[[1.5, 0], [1.75, 1]]])


def test_half_precision_is_left_before_anything_is_multiplied():
    small = [torch.full((1, 1, 1, 1), 1e-4, dtype=torch.float16)]  # float16 has nothing between 0 and 6e-8
    assert abs(float(grad_times_attention(small, small)) - 1e-8) < 1e-11
    assert abs(float(positive_rollout(small, small) - 1) - 1e-8) < 1e-11


def test_a_layer_that_does_not_count_has_a_gradient_of_zero():
    used, unused = torch.ones(1, 1, 2, 2, requires_grad=True), torch.ones(1, 1, 2, 2, requires_grad=True)
    gradients = attention_gradients((3 * used).sum(), [unused, used])
    assert not gradients[0].any() and torch.equal(gradients[1], 3 * torch.ones(1, 1, 2, 2))


def test_small_shares_are_kept_beside_the_identity():
    relevance = positive_rollout([torch.ones(1, 1, 1, 1)] * 2, [torch.full((1, 1, 1, 1), 1e-9)] * 2)
    assert abs(float(relevance - 1) - 2e-9) < 1e-14


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explain_by_chefers_rules(build, name):
    """With R carried by einsum, and gradients from the parameters' graph instead of the embeddings'."""
    model = build(name, dtype=torch.float64)
    output = model(IDS, output_attentions=True, use_cache=False)
    logits = output.logits[0] if name in CLASSIFIERS else output.logits[0, 4]
    gradients = torch.autograd.grad(logits[2], output.attentions)
    relevance = torch.eye(6, dtype=torch.float64)
    for layer, gradient in zip(output.attentions, gradients, strict=True):
        worth = (gradient[0] * layer[0]).detach()
        relevance = relevance + torch.einsum("hik,kj->ij", worth.clamp(min=0) / len(worth), relevance)
    pairs = zip(output.attentions, gradients, strict=True)
    signed = sum((layer.detach() * gradient)[0, :, 4].mean(0) for layer, gradient in pairs) / 3
    a = gb.explain(model, None, IDS, method="grad_attention_rollout", target=2, position=4)
    b = gb.explain(model, None, IDS, method="grad_attention", target=2, position=4)
    assert close(a.scores, relevance[4] - torch.eye(6)[4], 1e-6 * float(relevance.max()))
    assert close(b.scores, signed, 1e-6 * float(signed.abs().max()))
    assert close(b.scores, b.details["by_head"].mean(dim=(0, 1)), 1e-6 * float(signed.abs().max()))
    if not is_encoder(name):
        assert not a.scores[5] and not b.scores[5]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_frozen_parameters_and_no_grad_change_nothing(build, name, method):
    model = build(name)
    free = gb.explain(model, None, IDS, method=method).scores
    assert free.abs().max() > 0 and not free.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(gb.explain(model, None, IDS, method=method).scores, free)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_explained_where_its_head_reads(build, name, method):
    model = build(name)
    default = gb.explain(model, None, IDS, method=method, target="good")
    place = 0 if is_encoder(name) else 5
    assert torch.equal(default.scores, gb.explain(model, None, IDS, method=method, target=2, position=place - 6).scores)
    assert default.target_token == "good"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision(build, name, dtype, method):
    exact = gb.explain(build(name), None, IDS, method=method, target=2).scores
    half = gb.explain(build(name, dtype=dtype), None, IDS, method=method, target=2).scores
    assert half.dtype == torch.float32
    assert close(half / exact.abs().max(), exact / exact.abs().max(), 10 * torch.finfo(dtype).eps)  # measured: 8.4


@pytest.mark.parametrize("method", METHODS)
def test_an_architecture_that_is_not_in_the_table(unknown_model, method):  # noqa: F811
    model, ids = unknown_model("eager"), IDS % 50
    output = model(ids, output_attentions=True)
    gradients = attention_gradients(output.logits[0, -1, 2], output.attentions)
    by_hand = {
        "grad_attention": grad_times_attention(output.attentions, gradients)[0, -1],
        "grad_attention_rollout": positive_rollout(output.attentions, gradients)[0, -1] - torch.eye(6)[-1],
    }[method]
    assert close(gb.explain(model, None, ids, method=method, target=2).scores, by_hand.float(), 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_target_without_gradient_is_refused(build, method):
    model = build("gpt2")
    with pytest.raises(InputError, match="the explained value has no gradient; allowed: one made by differentiable"):
        gb.explain(model, None, IDS, method=method, target=lambda output: output.logits[0, -1, 2].detach())
    assert not any(module._forward_hooks for module in model.modules())


def test_what_a_target_does_not_depend_on_is_worth_nothing(build):
    a = gb.explain(build("gpt2"), None, IDS, method="grad_attention", target=lambda output: output.logits[0, 1].sum())
    assert not a.scores.any()  # the row of the last token, of a value that was read at the second
