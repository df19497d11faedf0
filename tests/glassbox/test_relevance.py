"""LRP against a second definition, without autograd; and its books: all that is handed on or absorbed adds up to f."""

import pytest
import torch
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES, build
from tests.glassbox.lrp_by_hand import relevance_by_hand
from torch import nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, activations

import glassbox as gb
from glassbox.errors import InputError, ModelError
from glassbox.relevance import RelevancePass
from glassbox.relevance_rules import linear_rule, softmax_rule

RULES = ["attnlrp", "cp"]
BY_HAND = "gpt2 gpt2-classifier llama qwen2 qwen3 mistral gemma2 gemma3 bert bert-classifier".split()
WITHOUT_BIASES = ["llama", "qwen3", "mistral", "gemma2", "gemma3", "phi3"]
IDS = torch.arange(5, 14)[None]  # (1, 9), longer than the sliding windows


def lrp(model, ids=IDS, **options):
    return gb.explain(model, None, ids, method="lrp", **options)


def exact(name, **options):
    return build(name, dtype=torch.float64, **options)


def inputs(a):
    return sum(a.details["accounting"][kind] for kind in ("tokens", "positions", "token types"))


def start_at(model, place, target, value, ids=IDS):
    """Relevance at the logits, all of it at one of them: (seq, choices), or (classes,) for BERT's pooled ones."""
    with torch.no_grad():
        shape = model(ids, attention_mask=torch.ones_like(ids)).logits.shape
    pooled_late = len(shape) == 2 and model.config.model_type == "gpt2"  # it classifies each token, and reads the last
    start = torch.zeros(ids.shape[1], shape[-1]) if pooled_late else torch.zeros(shape[1:])
    start[(target,) if start.ndim == 1 else (place, target)] = 1
    return start.double() * value


@pytest.mark.parametrize("epsilon", [1e-9, 1e-4, 0.1])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", BY_HAND)
def test_against_the_definition_in_loops(name, rule, epsilon):
    model = exact(name)
    place = -1 if "classifier" in name else 6
    a = lrp(model, rule=rule, epsilon=epsilon, position=place)
    want = relevance_by_hand(model, IDS, start_at(model, place, a.target, a.value), rule, epsilon)
    # Scores are float32, and RMSNorm computes in float32 whatever it is given; all else agrees to 1e-14.
    agree(f"lrp {rule}", name, "the rules in loops, no autograd", a.scores, want["tokens"].sum(-1), bound=3e-7)
    for kind, relevance in want.items():
        assert abs(a.details["accounting"][kind] - float(relevance.sum())) <= 1e-6


@pytest.mark.parametrize("epsilon", [1e-9, 1e-2])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt-350m"])
def test_the_accounting_closes(name, rule, epsilon):
    a = lrp(exact(name), rule=rule, epsilon=epsilon, position=7)
    accounting = a.details["accounting"]
    assert abs(sum(accounting.values()) - a.value) <= 1e-6
    assert abs(float(a.scores.double().sum()) - accounting["tokens"]) <= 1e-6
    assert accounting["target"] == pytest.approx(0, abs=1e-12)
    assert abs(accounting["epsilon"]) <= 1e-6 if epsilon == 1e-9 else accounting["epsilon"] != 0
    assert (accounting["softmax"] == 0) == (rule == "cp")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_accounting_closes_in_single_precision(name, rule):
    a = lrp(build(name), rule=rule)
    accounting = a.details["accounting"]
    assert abs(sum(accounting.values()) - a.value) <= 1e-5 * max(1, sum(map(abs, accounting.values())))


def without_biases(name):
    model = exact(name)
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            if part.endswith("bias"):
                parameter.zero_()
    return model


@pytest.mark.parametrize("name", [*WITHOUT_BIASES, "gpt2", "qwen2"])
def test_cp_conserves_relevance_without_biases(name):
    a = lrp(without_biases(name), rule="cp")
    assert abs(inputs(a) - a.value) <= 1e-6 * abs(a.value)


@pytest.mark.parametrize("name", [*WITHOUT_BIASES, "gpt2", "qwen2"])
def test_attnlrp_does_not_conserve_it_and_says_where_it_went(name):
    a = lrp(without_biases(name), rule="attnlrp")
    missing = a.value - inputs(a)
    assert abs(missing) > 0.02 * abs(a.value)
    assert abs(a.details["accounting"]["softmax"] - missing) <= 1e-6


def test_positions_are_inputs_too():
    a = lrp(exact("gpt2"))
    assert a.details["accounting"]["positions"] != 0 and a.details["accounting"]["token types"] == 0
    b = lrp(exact("bert"))
    assert b.details["accounting"]["positions"] != 0 and b.details["accounting"]["token types"] != 0
    assert lrp(exact("llama")).details["accounting"]["positions"] == 0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["gpt2-classifier", "distilbert-classifier"])
def test_other_scalars_are_weighted_sums_of_logits(name, rule):
    """Relevance is linear in what it starts from, so that a foil or a probability is told from the classes' scores."""
    model = exact(name)
    of_classes = [lrp(model, rule=rule, target=number) for number in range(3)]
    scores = torch.stack([a.scores for a in of_classes])  # (class, seq)
    values = torch.tensor([a.value for a in of_classes])

    def closes(a, want):
        assert float((a.scores - want).abs().max()) <= 1e-5 * float(scores.abs().max())
        assert abs(sum(a.details["accounting"].values()) - a.value) <= 1e-6

    foil = lrp(model, rule=rule, target=2, foil=0)
    closes(foil, scores[2] - scores[0])
    assert foil.value == pytest.approx(float(values[2] - values[0]), abs=1e-5)
    weights = values.softmax(-1)
    contrast = scores[1] - weights @ scores
    closes(lrp(model, rule=rule, target=1, of="prob"), weights[1] * contrast)
    logprob = lrp(model, rule=rule, target=1, of="logprob")
    closes(logprob, contrast)
    entropy = -float((weights * weights.log()).sum())
    assert logprob.details["accounting"]["target"] == pytest.approx(-entropy, abs=1e-5)
    closes(lrp(model, rule=rule, target=lambda output: 3 * output.logits[0, 2] + 1), 3 * scores[2])


def test_the_probability_starts_with_the_softmax_rule():
    model = exact("bert-classifier")
    with torch.no_grad():
        logits = model(IDS, attention_mask=torch.ones_like(IDS)).logits[0]
    probabilities = logits.softmax(-1)
    start = softmax_rule(logits, probabilities, probabilities * torch.tensor([0.0, 1.0, 0.0]))
    want = relevance_by_hand(model, IDS, start, "attnlrp", 1e-9)["tokens"].sum(-1)
    a = lrp(model, target=1, of="prob")
    assert float((a.scores - want).abs().max()) <= 1e-6 * float(want.abs().max())


def test_a_function_of_hidden_states_is_a_target():
    model = exact("bare bert")
    direction = torch.randn(32, dtype=torch.float64)
    a = lrp(model, target=lambda output: output.last_hidden_state[0].mean(0) @ direction)
    assert abs(sum(a.details["accounting"].values()) - a.value) <= 1e-9
    assert a.details["accounting"]["target"] == pytest.approx(0, abs=1e-12)
    pooled = lrp(model, target=lambda output: output.pooler_output[0] @ direction)
    both = lrp(model, target=lambda output: (output.last_hidden_state[0].mean(0) + output.pooler_output[0]) @ direction)
    assert torch.allclose(both.scores, a.scores + pooled.scores, atol=1e-5 * float(both.scores.abs().max()))


def test_hidden_states_that_the_model_lists_are_targets_too():
    model = exact("gpt2")
    model.config.output_hidden_states = True
    a = lrp(model, target=lambda output: output.hidden_states[1][0, 3].sum())
    assert abs(sum(a.details["accounting"].values()) - a.value) <= 1e-9
    assert a.scores[3] != 0 and not a.scores[4:].any()


@pytest.mark.parametrize("rule", RULES)
def test_later_tokens_have_no_part_in_it(rule):
    a = lrp(exact("llama"), rule=rule, position=4)
    assert a.position == 4 and " token 4 " in a.heading
    assert a.scores[:5].all() and not a.scores[5:].any()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "bert"])
def test_fused_attention_is_explained_as_eager_attention_is(name, rule):
    assert torch.equal(
        lrp(build(name, attn_implementation="sdpa"), rule=rule).scores, lrp(build(name), rule=rule).scores
    )


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.05), (torch.bfloat16, 0.25)])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision_is_close(name, rule, dtype, bound):
    wide, half = lrp(build(name), rule=rule, target=1).scores, lrp(build(name, dtype=dtype), rule=rule, target=1).scores
    assert float((half - wide).abs().max()) <= bound * float(wide.abs().max())


def test_words_of_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    for rule in RULES:
        a = gb.explain(model, tokenizer, text, method="lrp", rule=rule)
        assert a.target_token == " Paris"
        accounting = a.details["accounting"]
        assert abs(sum(accounting.values()) - a.value) <= 1e-5 * sum(map(abs, accounting.values()))
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        start = start_at(model, -1, a.target, a.value, ids).float()
        want = relevance_by_hand(model, ids, start, rule, 1e-9)["tokens"].sum(-1)
        agree(f"lrp {rule}", "smallworld", "the rules in loops, no autograd", a.scores, want, bound=1e-4)


def digits_by_rules(network, pixels, relevance, epsilon):
    """The digits' network: its linear layers by their rule, and ReLU hands back what it is given."""
    reads = [pixels]
    for layer in network:
        reads.append(layer(reads[-1]))
    for layer, x in zip(reversed(network), reversed(reads[:-1]), strict=True):
        if isinstance(layer, nn.Linear):
            relevance = linear_rule(x, layer.weight, layer.bias, relevance, epsilon)
    return relevance


@pytest.mark.parametrize("epsilon", [1e-9, 1e-2])
def test_pixels_of_a_digit(epsilon):
    from smallworld import digits

    network, images, labels = digits.load()
    network = network.double()
    pixels = images[:20].flatten(1).double()
    with RelevancePass(epsilon=epsilon) as propagation:
        logits = network(pixels.requires_grad_())
    chosen = logits[torch.arange(20), labels[:20]]
    [relevance] = propagation.relevance(chosen.sum(), [pixels])
    with torch.no_grad():
        start = logits * F.one_hot(labels[:20], 10)
        want = digits_by_rules(network, pixels, start, epsilon)
    agree("lrp", "digits", "its three rules", relevance, want, bound=1e-10)
    assert abs(float(relevance.sum()) + sum(propagation.absorbed.values()) - chosen.sum().item()) <= 1e-9
    assert propagation.absorbed["biases"] != 0 and propagation.absorbed["softmax"] == 0
    assert torch.equal(logits, network(pixels))


def test_zero_sums_absorb_what_comes_to_them():
    """z = 0 with relevance-carrying neighbours: s(0) = 1, so nothing is divided by zero and nothing is nan."""
    layer = nn.Linear(3, 2, bias=False).double()
    x = torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 2.0, 5.0], [1.0, 2.0, 3.0]]))
    with RelevancePass() as propagation:
        y = layer(x)  # 0 and -1
    [relevance] = propagation.relevance(y.sum(), [x])
    assert y.tolist() == [[0, -1]]
    assert relevance[0].tolist() == pytest.approx([1, -2, 0])
    with RelevancePass() as propagation:
        y = F.gelu(layer(x))  # 0 again, and about -0.16
    [relevance] = propagation.relevance(y.sum(), [x])
    assert relevance[0].tolist() == pytest.approx([-y[0, 1].item(), 2 * y[0, 1].item(), 0])


@pytest.mark.parametrize("kind", ["gelu_new", "gelu_fast", "quick_gelu", "gelu_accurate", "gelu_pytorch_tanh", "relu"])
def test_activations_however_they_are_written(kind):
    model = exact("gpt2")
    for block in model.transformer.h:
        block.mlp.act = activations.ACT2FN[kind]
    for rule in RULES:
        a = lrp(model, rule=rule)
        want = relevance_by_hand(model, IDS, start_at(model, -1, a.target, a.value), rule, 1e-9)["tokens"].sum(-1)
        assert float((a.scores - want).abs().max()) <= 1e-6 * float(want.abs().max())
        assert abs(sum(a.details["accounting"].values()) - a.value) <= 1e-9


def test_activations_in_place_are_the_same():
    network = nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.Linear(6, 1)).double()
    in_place = nn.Sequential(network[0], nn.SiLU(inplace=True), network[2])
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    found = []
    for each in (network, in_place):
        with RelevancePass() as propagation:
            y = each(x)
        found += propagation.relevance(y.sum(), [x])
    assert torch.equal(*found)


def test_cp_takes_the_gate_on_either_side():
    """z = φ(g) u: under "cp" all of it is u's, whichever is written first; under "attnlrp" each has half."""
    g, u = torch.randn(2, 5, dtype=torch.float64).unbind()
    for first in (True, False):
        for rule, shares in {"cp": (0.0, 1.0), "attnlrp": (0.5, 0.5)}.items():
            g, u = g.detach().requires_grad_(), u.detach().requires_grad_()
            with RelevancePass(rule) as propagation:
                z = F.silu(g) * u if first else u * F.silu(g)
            of_g, of_u = propagation.relevance(z.sum(), [g, u])
            assert torch.allclose(of_g, shares[0] * z) and torch.allclose(of_u, shares[1] * z)


def test_a_mask_of_minus_infinity_is_no_relevance():
    scores = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.full((4, 4), -torch.inf, dtype=torch.float64).triu(1)
    with RelevancePass() as propagation:
        weights = (scores + mask).softmax(-1)
        z = weights * torch.randn(2, 4, 4, dtype=torch.float64)
    [relevance] = propagation.relevance(z.sum(), [scores])
    assert not relevance.triu(1).any()
    assert torch.allclose(relevance, softmax_rule(scores, weights, z))
    assert propagation.absorbed["biases"] == 0
    assert propagation.absorbed["softmax"] == pytest.approx((z - relevance).sum().item())


def test_what_reaches_scores_past_the_softmax_is_not_absorbed_by_it():
    scores, read = torch.randn(2, 3, 4, dtype=torch.float64).unbind()
    scores.requires_grad_()
    with RelevancePass() as propagation:
        z = scores.softmax(-1) * read + scores
    [relevance] = propagation.relevance(z.sum(), [scores])
    assert relevance.sum().item() + sum(propagation.absorbed.values()) == pytest.approx(z.sum().item())


def test_a_constant_that_is_added_keeps_its_share():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for constant in (torch.randn(4), 2.0, 1):
        with RelevancePass() as propagation:
            z = (x + constant) if isinstance(constant, torch.Tensor) else (constant + x)
        [relevance] = propagation.relevance((z * z.detach()).sum(), [x])
        assert torch.allclose(relevance, x * z)
        assert propagation.absorbed["biases"] == pytest.approx((constant * z).sum().item())


VIEWS = {
    "indices": lambda x: x[1:, [0, 2]],
    "transposes": lambda x: x.mT.transpose(0, 1).permute(1, 0).neg(),
    "shapes": lambda x: x.view(6, 2).reshape(2, 6).unflatten(1, (2, 3)).flatten(1).view_as(x),
    "places": lambda x: x.unsqueeze(0).squeeze(0).select(0, 1).expand(2, -1).repeat(2, 1).repeat_interleave(2, dim=0),
    "parts": lambda x: torch.cat([x.split(1)[0], x.chunk(3)[1], torch.stack(x.unbind()[1:])]),
    "precision": lambda x: x.float().to(torch.float64).type(torch.float32).type_as(x).contiguous().clone(),
    "sums": lambda x: F.dropout(x / 3, 0.5, training=False).mean(0) + 0 * x.detach().sum(),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_views_and_sums_hand_on_what_they_are_given(kind):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    with RelevancePass() as propagation:
        z = VIEWS[kind](x)
    [relevance] = propagation.relevance(z.sum(), [x])
    assert float(relevance.sum()) == pytest.approx(z.sum().item(), rel=1e-6)
    assert sum(propagation.absorbed.values()) == 0


def test_an_operation_without_a_rule_is_named():
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    with RelevancePass() as propagation:
        helped = x * x.sigmoid().detach()
        through = x.sigmoid() * 2
        divided = torch.ones(4).double() / x
    assert torch.allclose(propagation.relevance(helped.sum(), [x])[0], helped)
    with pytest.raises(ModelError, match="no rule for 'sigmoid'.*rules for linear, addmm, "):
        propagation.relevance(through.sum(), [x])
    with pytest.raises(ModelError, match="no rule for 'div'"):
        propagation.relevance(divided.sum(), [x])


BAD = {
    "an unknown rule": (dict(rule="gamma"), "rule is 'gamma'; allowed: 'attnlrp', 'cp'"),
    "no epsilon": (dict(epsilon=0), "epsilon is 0; allowed: a number above 0"),
    "a negative epsilon": (dict(epsilon=-1e-9), "epsilon is -1e-09; allowed"),
    "an epsilon that is none": (dict(epsilon=float("nan")), "epsilon is nan; allowed"),
    "an endless epsilon": (dict(epsilon=float("inf")), "epsilon is inf; allowed"),
    "an epsilon in words": (dict(epsilon="small"), "epsilon is 'small'; allowed"),
    "a truth for an epsilon": (dict(epsilon=True), "epsilon is True; allowed"),
    "a target without a gradient": (
        dict(target=lambda output: output.logits[0, 0, 0].detach()),
        "the target function's scalar has no gradient; allowed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case, model):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        lrp(model, **options)


def state(model):
    return (
        [(name, part.training, len(part._forward_hooks)) for name, part in model.named_modules()],
        [(name, each.requires_grad, each.grad) for name, each in model.named_parameters()],
        model.config._attn_implementation,
        sorted(AttentionInterface._global_mapping),
        sorted(AttentionMaskInterface._global_mapping),
        torch.overrides._get_current_function_mode(),
    )


def test_nothing_stays_behind():
    def fails(output):
        raise KeyboardInterrupt

    def plain_gradient():
        vectors = model.get_input_embeddings()(IDS).detach().requires_grad_()
        logits = model(inputs_embeds=vectors, attention_mask=torch.ones_like(IDS)).logits
        return torch.autograd.grad(logits[0, -1, 5], vectors)[0]

    for name in ("gpt2", "llama"):
        model = build(name).train()
        model.lm_head.weight.requires_grad_(False)
        before = state(model)
        gradient = plain_gradient() if name == "llama" else None  # GPT-2 drops out at random in training
        lrp(model)
        with pytest.raises(KeyboardInterrupt):
            lrp(model, target=fails)
        assert state(model) == before
        assert gradient is None or torch.equal(plain_gradient(), gradient)


def test_frozen_models_and_callers_without_gradients(model):
    want = lrp(model).scores
    frozen = build("gpt2").requires_grad_(False)
    assert torch.equal(lrp(frozen).scores, want)
    for without_gradients in (torch.no_grad, torch.inference_mode):
        with without_gradients():
            assert torch.equal(lrp(model).scores, want)
    assert torch.equal(lrp(model).scores, want)
