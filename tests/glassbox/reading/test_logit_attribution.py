"""Direct logit attribution: parts add up, and each is what its vector brings through norms with their scales held."""

import pytest
import torch
import transformers as hf
from tests.glassbox.architectures import CLASSIFIERS, DECODERS, ENCODERS

import glassbox as gb
from glassbox.errors import InputError, ModelError

IDS = torch.tensor([[5, 17, 203, 44, 9, 120, 61]])
LAYERS, HEADS = 3, 4  # of the small models
# Gemma's norms multiply by one more than their weights.
RMS_GAIN = {name: (lambda weight: 1 + weight) if "gemma" in name else (lambda weight: weight) for name in DECODERS}


def logit(model, target, foil=None, position=-1, ids=IDS):
    """The logit before the soft cap, from the model itself."""
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, position]
    cap = getattr(model.config, "final_logit_softcapping", None)
    logits = logits if cap is None else cap * (logits / cap).atanh()
    return float(logits[target] - (0 if foil is None else logits[foil]))


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(("foil", "position"), [(None, -1), (8, 3), (8, 0)])
def test_the_parts_add_up_to_the_logit(build, name, foil, position):
    model = build(name)
    answer = gb.logit_attribution(model, None, IDS, target=7, foil=foil, position=position)
    value = logit(model, 7, foil, position)
    assert answer.value == pytest.approx(value, abs=1e-4)
    largest = max(abs(share) for share in answer.parts.values())
    assert abs(sum(answer.parts.values()) - answer.value) < 2e-6 * largest
    assert answer.heads.shape == (LAYERS, HEADS) and answer.mlps.shape == answer.attention_biases.shape == (LAYERS,)
    assert torch.allclose(answer.layers, answer.heads.sum(1) + answer.attention_biases + answer.mlps)


@pytest.mark.parametrize("name", DECODERS)
def test_double_precision_adds_up_to_rounding(build, name):
    answer = gb.logit_attribution(build(name, dtype=torch.float64), None, IDS, target=7, foil=8)
    assert answer.heads.dtype == torch.float64
    # An RMSNorm turns to float32 inside, whatever the model's precision is.
    bound = 1e-13 if name in ("gpt2", "gpt_neox", "opt") else 1e-6
    assert abs(sum(answer.parts.values()) - answer.value) < bound * max(map(abs, answer.parts.values()))


@pytest.mark.parametrize("name", DECODERS)
def test_half_precision_is_near(build, name):
    half = gb.logit_attribution(build(name, dtype=torch.bfloat16), None, IDS, target=7)
    full = gb.logit_attribution(build(name), None, IDS, target=7)
    largest = max(map(abs, full.parts.values()))
    assert half.heads.dtype == half.mlps.dtype == torch.float32
    assert max(abs(half.parts[part] - share) for part, share in full.parts.items()) < 0.1 * largest
    assert abs(sum(half.parts.values()) - half.value) < 0.03 * largest  # the stream itself is rounded at each addition


def by_hand(model, name, target, foil, position):
    """The same shares from the formula: watch the model, take apart what each module wrote, write the norms out."""
    anatomy, seen = gb.anatomy(model), {}

    def keep(module, inputs, output):
        seen[module] = (inputs[0] if inputs else None), (output[0] if isinstance(output, tuple) else output)

    handles = [module.register_forward_hook(keep) for module in model.modules()]
    with torch.no_grad():
        model(input_ids=IDS, use_cache=False)
    for handle in handles:
        handle.remove()

    def through(norm, part):
        """One part (width,) through a norm whose scale is that of its whole input."""
        whole = seen[norm][0][0, position]
        if hasattr(norm, "bias"):
            deviation = sum((x - whole.mean()) ** 2 for x in whole) / len(whole)
            return torch.stack([(x - part.mean()) / (deviation + norm.eps) ** 0.5 for x in part]) * norm.weight
        eps = getattr(norm, "variance_epsilon", None) or norm.eps
        square = sum(x**2 for x in whole) / len(whole)
        return torch.stack([x / (square + eps) ** 0.5 for x in part]) * RMS_GAIN[name](norm.weight)

    unembed = model.get_output_embeddings().weight

    def share(vector):
        normed = through(anatomy.final_norm, vector)
        return float(sum(x * (unembed[target, i] - unembed[foil, i]) for i, x in enumerate(normed)))

    shares = {"embedding": share(seen[anatomy.embedding][1][0, position]), "position embedding": 0.0}
    if anatomy.position_embedding is not None:
        shares["position embedding"] = share(seen[anatomy.position_embedding][1][0, position])
    for layer, projection in enumerate(anatomy.output_projections):
        mixed = seen[projection][0][0, position]
        matrix = projection.weight if name == "gpt2" else projection.weight.T  # (in, out)
        size = len(mixed) // HEADS
        written = {
            f"layer {layer} head {head}": mixed[head * size : (head + 1) * size]
            @ matrix[head * size : (head + 1) * size]
            for head in range(HEADS)
        }
        written[f"layer {layer} attention bias"] = (
            torch.zeros(model.config.hidden_size) if projection.bias is None else projection.bias
        )
        if "gemma" in name:
            norm = anatomy.blocks[layer].post_attention_layernorm
            written = {part: through(norm, vector) for part, vector in written.items()}
        shares |= {part: share(vector) for part, vector in written.items()}
        mlp = anatomy.blocks[layer].post_feedforward_layernorm if "gemma" in name else anatomy.mlps[layer]
        shares[f"layer {layer} MLP"] = share(seen[mlp][1].reshape(7, -1)[position])
    bias = getattr(anatomy.final_norm, "bias", torch.zeros(model.config.hidden_size))
    shares["final norm's bias"] = float(bias @ (unembed[target] - unembed[foil]))
    return shares


@pytest.mark.parametrize("name", DECODERS)
def test_each_part_by_hand(build, name):
    model = build(name)
    with torch.no_grad():
        expected = by_hand(model, name, 7, 8, 4)
    parts = gb.logit_attribution(model, None, IDS, target=7, foil=8, position=4).parts
    assert parts.pop("unembedding's bias") == 0
    assert list(parts) == list(expected)
    for part, share in expected.items():
        assert parts[part] == pytest.approx(share, abs=2e-5), part


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "opt", "llama"])
def test_without_a_head_its_share_is_gone(build, name):
    """Silence a head of the last layer, with the MLP above it and the final norm's scale held as they were."""
    model = build(name, dtype=torch.float64)
    anatomy = gb.anatomy(model)
    own = torch.arange(model.config.hidden_size).chunk(HEADS)[2]  # where the head's mixed values stand
    kept = {}

    def silence(module, inputs):
        return (inputs[0].index_fill(-1, own, 0.0),)

    def hold(module, inputs, output):
        return kept.setdefault("mlp", output)

    def end(*hooks):
        """What enters the final norm, (width,)."""
        hooks = [*hooks, anatomy.final_norm.register_forward_pre_hook(lambda norm, inputs: kept.update(end=inputs[0]))]
        with torch.no_grad():
            model(input_ids=IDS, use_cache=False)
        for hook in hooks:
            hook.remove()
        return kept["end"][0, -1]

    def held():
        return anatomy.mlps[-1].register_forward_hook(hold)

    full = end(held())
    without = end(held(), anatomy.output_projections[-1].register_forward_pre_hook(silence))
    norm = anatomy.final_norm
    written = full - without
    if name == "llama":
        scale = (full.square().mean() + norm.variance_epsilon).rsqrt()
    else:
        scale, written = (full.var(unbiased=False) + norm.eps).rsqrt(), written - written.mean()
    lost = ((written * scale * norm.weight) @ model.get_output_embeddings().weight[7]).detach()
    assert float(gb.logit_attribution(model, None, IDS, target=7).heads[-1, 2]) == pytest.approx(float(lost), rel=1e-6)


def test_the_unembedding_s_bias_has_a_share(build):
    model = build("gpt2")
    model.lm_head.bias = torch.nn.Parameter(torch.linspace(-1, 1, 300), requires_grad=False)
    answer = gb.logit_attribution(model, None, IDS, target=7, foil=200)
    assert answer.unembedding_bias == pytest.approx(float(model.lm_head.bias[7] - model.lm_head.bias[200]))
    assert answer.value == pytest.approx(logit(model, 7, 200), abs=1e-5)
    assert sum(answer.parts.values()) == pytest.approx(answer.value, abs=1e-5)


def test_a_projection_between_norm_and_unembedding(build):
    config = build("opt").config
    model = hf.OPTForCausalLM(hf.OPTConfig(**config.to_dict() | {"word_embed_proj_dim": 24})).eval()
    answer = gb.logit_attribution(model, None, IDS, target=7, foil=8)
    assert answer.value == pytest.approx(logit(model, 7, 8), abs=1e-6)
    assert sum(answer.parts.values()) == pytest.approx(answer.value, abs=1e-6)
    assert answer.embedding != 0


def test_gemma_2_is_explained_before_its_cap(build):
    model = build("gemma2")
    answer = gb.logit_attribution(model, None, IDS)
    with torch.no_grad():
        capped = model(input_ids=IDS).logits[0, -1, answer.target]
    assert float(capped) == pytest.approx(4 * float(torch.tensor(answer.value / 4).tanh()), abs=1e-5)
    assert abs(answer.value - float(capped)) > 0.1


def test_own_prediction_names_and_repr(build, tokenizer):
    model = build("gpt2")
    answer = gb.logit_attribution(model, tokenizer, "The Eiffel Tower is in", foil=" Paris")
    own = gb.explain(model, tokenizer, "The Eiffel Tower is in", method="rollout", foil=" Paris")
    assert (answer.target, answer.foil, answer.position) == (own.target, own.foil, own.position)
    assert (answer.target_token, answer.foil_token) == (own.target_token, " Paris")
    assert answer.value == pytest.approx(own.value, abs=1e-5)
    first, share = answer.top(1)[0]
    assert abs(share) == max(map(abs, answer.parts.values()))
    assert repr(answer).splitlines()[0] == answer.heading
    assert f"{share:.3f}  {first}" in repr(answer).splitlines()[1]
    assert "rather than ' Paris'" in repr(answer)
    assert [abs(share) for _, share in answer.top(5)] == sorted((abs(s) for _, s in answer.top(5)), reverse=True)


def test_figure(build):
    answer = gb.logit_attribution(build("gpt2"), None, IDS, target=7)
    axes = answer.plot(title="Finding").axes[0]
    shown = torch.tensor(axes.images[0].get_array())
    assert torch.allclose(shown[:, :HEADS], answer.heads) and torch.allclose(shown[:, -1], answer.mlps)
    assert [label.get_text() for label in axes.get_xticklabels()] == [*(f"head {n}" for n in range(4)), "bias", "MLP"]
    low, high = axes.images[0].get_clim()
    assert -low == high == pytest.approx(float(shown.abs().max()))


def test_where_gradients_are_switched_off_and_with_frozen_parameters(build):
    model = build("llama").requires_grad_(False)
    before = gb.logit_attribution(build("llama"), None, IDS, target=7).parts
    for switch in (torch.no_grad, torch.inference_mode):
        with switch():
            assert gb.logit_attribution(model, None, IDS.clone(), target=7).parts == before
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", [*ENCODERS, "opt-350m"])
def test_norms_on_the_stream_are_refused(build, name):
    with pytest.raises(ModelError, match="has norms on the residual stream itself; allowed: a decoder"):
        gb.logit_attribution(build(name), None, IDS)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_are_refused(build, name):
    with pytest.raises(ModelError, match="predicts classes|norms on the residual stream"):
        gb.logit_attribution(build(name), None, IDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(target=lambda output: output.logits.sum()), "a function has no share"),
        (dict(target=7, foil=7), "target and foil are the same"),
        (dict(target=300), "target 300 is no token of this model"),
        (dict(position=9), "there is no position 9"),
    ],
)
def test_bad_input(build, options, message):
    with pytest.raises(InputError, match=message):
        gb.logit_attribution(build("gpt2"), None, IDS, **options)
