"""Raw attention and rollout against numbers worked by hand, loops, the authors' formula, and what must always hold."""

import weakref

import numpy as np
import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.architectures import ARCHITECTURES, CLASSIFIERS, ENCODERS

import glassbox as gb
from glassbox.attention import discard_smallest, raw_attention, rollout, uniform_attention
from glassbox.errors import InputError, ModelError

MODELS = ["gpt2", "llama", "bert"]
FUSE = {"mean": np.mean, "max": np.max, "min": np.min}


def random_attentions(layers=3, batch=2, heads=4, seq=5, causal=True, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    scores = 3 * torch.randn(layers, batch, heads, seq, seq, generator=generator, dtype=torch.float64)
    if causal:
        scores = scores.masked_fill(torch.ones(seq, seq).triu(1).bool(), -torch.inf)
    return [layer.to(dtype) for layer in scores.softmax(-1)]


_EITHER = st.booleans()


@st.composite
def attentions(draw, causal=_EITHER):
    sizes = {name: draw(st.integers(1, most)) for name, most in dict(layers=4, batch=3, heads=3, seq=6).items()}
    return random_attentions(**sizes, causal=draw(causal), seed=draw(st.integers(0, 10**6)))


def options(**changed):
    return st.fixed_dictionaries(
        dict(residual_weight=st.floats(0.05, 1), fuse=st.sampled_from(list(FUSE)), discard_ratio=st.floats(0, 0.99))
        | changed
    )


def by_loops(layers, residual_weight, fuse, discard_ratio, causal):
    """Rollout entry by entry, for one text: layers is a list of arrays (head, query, key)."""
    seq = layers[0].shape[-1]
    flow = np.eye(seq)
    for layer in layers:
        allowed = [(i, j) for i in range(seq) for j in range(seq) if j <= i or not causal]
        fused = {(i, j): FUSE[fuse]([head[i, j] for head in layer]) for i, j in allowed}
        for entry in sorted(allowed, key=fused.get)[: int(discard_ratio * len(allowed) + 1e-9)]:
            fused[entry] = 0.0
        mixed = np.zeros((seq, seq))
        for (i, j), weight in fused.items():
            mixed[i, j] = (1 - residual_weight) * weight + residual_weight * (i == j)
        for i in range(seq):
            mixed[i] /= sum(mixed[i])
        above = flow
        flow = np.zeros((seq, seq))
        for i in range(seq):
            for j in range(seq):
                flow[i, j] = sum(mixed[i, k] * above[k, j] for k in range(seq))
    return flow


def joint_attention(layers):
    """The authors' formula: heads averaged, identity added, rows divided by their sum, each layer times those below."""
    fused = np.stack([layer.mean(0) for layer in layers]) + np.eye(layers[0].shape[-1])
    fused /= fused.sum(-1)[..., None]
    joint = [fused[0]]
    for layer in fused[1:]:
        joint.append(layer.dot(joint[-1]))
    return joint[-1]


def close(got, want, tolerance=1e-12):
    return np.abs(np.asarray(got) - np.asarray(want)).max() <= tolerance


# By hand. Heads fused:        with the residual:
#   1     0    0                1      0      0
#   1/2  1/2   0                1/4   3/4     0
#   1/4  1/4  1/2               1/8   1/8    3/4
# and the second layer         1      0      0
#   2/5  3/5   0                1/5   4/5     0
#   1/5  2/5  2/5               1/10  1/5    7/10
FIRST = [[[1, 0, 0], [0.8, 0.2, 0], [0.1, 0.4, 0.5]], [[1, 0, 0], [0.2, 0.8, 0], [0.4, 0.1, 0.5]]]
SECOND = [[[1, 0, 0], [0.4, 0.6, 0], [0.2, 0.4, 0.4]]] * 2
BY_HAND = [[1, 0, 0], [0.4, 0.6, 0], [0.2375, 0.2375, 0.525]]


def test_three_tokens_by_hand():
    layers = [torch.tensor([layer], dtype=torch.float64) for layer in (FIRST, SECOND)]
    assert close(rollout(layers)[0], BY_HAND, 1e-15)
    swapped = rollout(layers[::-1])[0]
    assert not close(swapped, BY_HAND, 1e-3)  # later layers stand on the left


def test_discarding_by_hand():
    layer = torch.tensor([SECOND], dtype=torch.float64)
    # Six entries are allowed; a good third drops the 0.2 and the earliest 0.4, before the identity is added.
    kept = [[1, 0, 0], [0, 0.6, 0], [0, 0.4, 0.4]]
    mixed = [[1, 0, 0], [0, 1, 0], [0, 0.4 / 1.8, 1.4 / 1.8]]
    assert close(rollout([layer], residual_weight=0, discard_ratio=0.34)[0], np.array(kept) / np.sum(kept, -1)[:, None])
    assert close(rollout([layer], discard_ratio=0.34)[0], mixed)
    assert close(rollout([layer], discard_ratio=0.33)[0], [[1, 0, 0], [0.2, 0.8, 0], [0, 0.4 / 1.8, 1.4 / 1.8]])


def test_discarding_counts_what_the_mask_allows():
    [layer] = random_attentions(layers=1, batch=1, heads=1, seq=10)
    left = rollout([layer], residual_weight=0, discard_ratio=0.4)
    assert int((layer > 0).sum()) == 55
    assert int((left > 0).sum()) == 33  # a quantile over all 100 entries would have dropped zeros only
    assert close(rollout([layer], discard_ratio=0.29), by_loops([layer[0].numpy()], 0.5, "mean", 0.29, True))


def test_a_share_of_a_hundred_is_that_many():
    [layer] = random_attentions(layers=1, batch=1, heads=1, seq=10, causal=False)
    for percent in range(100):
        left = discard_smallest(layer[0], percent / 100, torch.ones(1, 10, 10, dtype=torch.bool))
        assert int((left == 0).sum()) == percent  # 0.29 · 100 is a little less than 29 in floating point


def test_no_row_is_emptied_by_discarding():
    flow = rollout(random_attentions(seq=8), discard_ratio=0.99)
    assert flow.sum(-1).allclose(torch.ones(2, 8, dtype=torch.float64))


@settings(deadline=None, max_examples=60)
@given(layers=attentions(), chosen=options())
def test_against_loops(layers, chosen):
    causal = not layers[0].triu(1).any()
    flow = rollout(layers, **chosen)
    for text in range(len(flow)):
        assert close(flow[text], by_loops([layer[text].numpy() for layer in layers], **chosen, causal=causal))


@settings(deadline=None, max_examples=60)
@given(layers=attentions(), chosen=options())
def test_rows_sum_to_one_and_nothing_is_negative(layers, chosen):
    flow = rollout(layers, **chosen)
    assert close(flow.sum(-1), torch.ones(flow.shape[:2]))
    assert flow.min() >= 0


@settings(deadline=None, max_examples=30)
@given(layers=attentions(causal=st.just(True)), chosen=options())
def test_causal_stays_causal(layers, chosen):
    assert not rollout(layers, **chosen).triu(1).any()


@settings(deadline=None, max_examples=30)
@given(layers=attentions(), chosen=options(), data=st.data())
def test_texts_of_a_batch_do_not_meet(layers, chosen, data):
    order = data.draw(st.permutations(range(len(layers[0]))))
    assert torch.equal(
        rollout([layer[list(order)] for layer in layers], **chosen), rollout(layers, **chosen)[list(order)]
    )
    one = order[0]
    assert close(
        rollout([layer[one : one + 1] for layer in layers], **chosen)[0], rollout(layers, **chosen)[one], 1e-14
    )


@settings(deadline=None, max_examples=30)
@given(layers=attentions(), chosen=options(discard_ratio=st.just(0.0)))
def test_identity_attention_moves_nothing(layers, chosen):
    identity = torch.eye(layers[0].shape[-1], dtype=torch.float64)
    assert close(
        rollout([identity.expand_as(layer) for layer in layers], **chosen), identity.expand(len(layers[0]), -1, -1)
    )


@settings(deadline=None, max_examples=30)
@given(layers=attentions())
def test_ends_of_the_residual_weight(layers):
    identity = torch.eye(layers[0].shape[-1], dtype=torch.float64)
    assert close(rollout(layers, residual_weight=1), identity.expand(len(layers[0]), -1, -1))
    product = layers[0].mean(1)
    for layer in layers[1:]:
        product = torch.einsum("bij,bjk->bik", layer.mean(1), product)
    assert close(rollout(layers, residual_weight=0), product)


@settings(deadline=None, max_examples=30)
@given(layers=attentions(), fuse=st.sampled_from(list(FUSE)))
def test_too_little_to_discard_changes_nothing(layers, fuse):
    seq = layers[0].shape[-1]
    assert torch.equal(rollout(layers, fuse=fuse, discard_ratio=0.99 / seq**2), rollout(layers, fuse=fuse))


@pytest.mark.parametrize(("seq", "share"), [(28, 0.24), (10, 0.40)])
def test_uniform_causal_attention_favours_the_first_token(seq, share):
    flow = rollout(uniform_attention(layers=5, seq=seq))[0]
    assert round(float(flow[-1, 0]), 2) == share
    assert int(flow[-1].argmax()) == 0
    step = (np.tri(seq) / np.arange(1, seq + 1)[:, None] + np.eye(seq)) / 2
    assert close(flow, np.linalg.matrix_power(step, 5))


@pytest.mark.parametrize("residual_weight", [0.5, 0.2])
def test_uniform_attention_of_an_encoder_favours_nothing(residual_weight):
    kept = residual_weight**4  # the share that has stayed a token's own through four layers; the rest is even
    flow = rollout(uniform_attention(layers=4, seq=6, causal=False), residual_weight)[0]
    assert close(flow, kept * np.eye(6) + (1 - kept) / 6)


def run(model, ids, **more):
    with torch.no_grad():
        return model(ids, output_attentions=True, **more).attentions


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_authors_formula_on_a_model(build, name):
    layers = run(build(name, dtype=torch.float64), torch.randint(1, 300, (2, 12)))
    flow = rollout(layers)
    assert flow.dtype == torch.float64
    for text in range(2):
        assert close(flow[text], joint_attention([layer[text].numpy() for layer in layers]))  # measured: 3e-16


# BERT counts its positions from the left, so padding there changes the model's own weights.
@pytest.mark.parametrize(("name", "side"), [("gpt2", "left"), ("llama", "left"), *[(name, "right") for name in MODELS]])
@pytest.mark.parametrize("chosen", [{}, {"discard_ratio": 0.5}, {"fuse": "max"}])
def test_padding_changes_nothing(build, name, side, chosen):
    model = build(name)
    short, long = torch.randint(1, 300, (1, 5)), torch.randint(1, 300, (1, 8))
    padding = (3, 0) if side == "left" else (0, 3)
    padded = torch.nn.functional.pad(torch.ones_like(short), padding)
    mask = torch.cat([padded, torch.ones_like(long)])  # (2, 8)
    ids = torch.cat([torch.nn.functional.pad(short, padding), long])
    places = {} if name == "bert" else {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    flow = rollout(run(model, ids, attention_mask=mask, **places), attention_mask=mask, **chosen)
    tokens = padded[0].bool()
    assert close(flow[0][tokens][:, tokens], rollout(run(model, short), **chosen)[0], 1e-5)
    assert close(flow[1], rollout(run(model, long), **chosen)[0], 1e-5)
    assert not flow[0][tokens][:, ~tokens].any()
    assert close(flow.sum(-1), torch.ones(2, 8), 1e-6)


def test_padding_rows_may_hold_anything():
    layers, mask = random_attentions(), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    for layer in layers:
        layer[0, :, 3:] = torch.nan
    assert close(rollout(layers, attention_mask=mask)[0, :3], rollout(random_attentions())[0, :3])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("chosen", [{}, {"fuse": "max"}, {"fuse": "min"}])
def test_half_precision(dtype, chosen):
    layers = random_attentions(layers=6, seq=24)
    flow = rollout([layer.to(dtype) for layer in layers], **chosen)
    assert flow.dtype == torch.float32
    # Each weight is off by half an epsilon of itself at most, and so is each of the six factors.
    assert close(flow, rollout(layers, **chosen), 6 * torch.finfo(dtype).eps)


def test_half_precision_model(build):
    model, ids = build("gpt2"), torch.randint(0, 300, (1, 12))
    exact = gb.explain(model, None, ids, method="rollout").scores
    half = gb.explain(model.bfloat16(), None, ids, method="rollout").scores
    assert half.dtype == torch.float32
    assert close(half, exact, 0.02)


def test_anything_that_holds_numbers_will_do():
    layers = random_attentions()
    flow = rollout(layers)
    assert torch.equal(rollout(torch.stack(layers)), flow)
    assert torch.equal(rollout(layer for layer in layers), flow)
    assert torch.equal(rollout([layer.numpy() for layer in layers]), flow)
    assert close(rollout([layer.tolist() for layer in layers]), flow, 1e-6)


def test_input_is_left_alone():
    layers = random_attentions()
    copies = [layer.clone() for layer in layers]
    rollout(layers, discard_ratio=0.5, attention_mask=torch.ones(2, 5))
    assert all(map(torch.equal, layers, copies))


def test_raw_attention_takes_one_layer():
    layers = random_attentions()
    assert close(raw_attention(layers), layers[2].sum(1) / 4)
    assert close(raw_attention(layers, layer=0), layers[0].sum(1) / 4)
    assert torch.equal(raw_attention(layers, layer=-3), raw_attention(layers, layer=0))


def changed(number, change):
    layers = random_attentions()
    layers[number] = change(layers[number].clone())
    return layers


def fill(value):
    def change(layer):
        layer[0, 0, 1, 0] = value
        return layer

    return change


BAD = {
    "none at all": (dict(attentions=()), "no attention weights: only eager attention keeps them"),
    "nothing": (dict(attentions=None), "no attention weights: only eager attention keeps them"),
    "a layer missing": (dict(attentions=[None, None]), "no attention weights: only eager attention keeps them"),
    "one layer without its list": (dict(attentions=random_attentions()[0]), r"\(4, 5, 5\); .*wrap a single layer"),
    "heads already fused": (dict(attentions=[torch.eye(3)]), r"shape \(3, 3\); allowed: \(batch, head, seq, seq\)"),
    "not square": (dict(attentions=[torch.ones(1, 2, 3, 4)]), r"shape \(1, 2, 3, 4\); allowed"),
    "empty": (dict(attentions=[torch.ones(1, 2, 0, 0)]), r"shape \(1, 2, 0, 0\); allowed"),
    "words": (dict(attentions=["abc"]), "layer 0 are a str; allowed: a tensor"),
    "ragged": (dict(attentions=[[[[1.0], [1.0, 2.0]]]]), "layer 0 are a list; allowed: a tensor"),
    "another length": (dict(attentions=[*random_attentions(), *random_attentions(seq=4)]),
                       "layer 3 are for 2 texts of 4 tokens after 2 texts of 5 tokens"),
    "another batch": (dict(attentions=[*random_attentions(), *random_attentions(batch=1)]), "layer 3 are for 1 texts"),
    "nan": (dict(attentions=changed(1, fill(torch.nan))), "layer 1 are not finite"),
    "infinite": (dict(attentions=changed(2, fill(torch.inf))), "layer 2 are not finite"),
    "negative": (dict(attentions=changed(1, lambda layer: 2 * torch.eye(5) - layer)), "no weights .lowest -1"),
    "scores before the softmax": (dict(attentions=changed(1, lambda layer: 4 * layer)), "a row's sum misses one by 3"),
    "key before query": (dict(attentions=changed(0, lambda layer: layer.mT)), "no weights .*query before key"),
    "dropout": (dict(attentions=changed(0, fill(0.9))), "no weights .*in evaluation mode"),
    "mask of another shape": (dict(attention_mask=torch.ones(5)), r"attention_mask has the shape \(5,\); .*\(2, 5\)"),
    "padding that is looked at": (dict(attention_mask=torch.tensor([[0, 1, 1, 1, 1]] * 2)), "layer 0 look at padding"),
    "residual above one": (dict(residual_weight=1.5), "residual_weight is 1.5; allowed: 0 to 1"),
    "residual below nothing": (dict(residual_weight=-0.1), "residual_weight is -0.1; allowed: 0 to 1"),
    "residual not a number": (dict(residual_weight=float("nan")), "residual_weight is nan; allowed: 0 to 1"),
    "unknown fusion": (dict(fuse="median"), "fuse is 'median'; allowed: 'mean', 'max', 'min'"),
    "all discarded": (dict(discard_ratio=1), "discard_ratio is 1; allowed: at least 0 and below 1"),
    "less than nothing discarded": (dict(discard_ratio=-0.1), "discard_ratio is -0.1; allowed"),
    "a row emptied": (dict(residual_weight=0, discard_ratio=0.9), "a row has no weight left after .*above 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    arguments, message = BAD[case]
    with pytest.raises(InputError, match=message):
        rollout(**{"attentions": random_attentions(), **arguments})


@pytest.mark.parametrize("layer", [3, -4])
def test_layer_that_does_not_exist(model, layer):
    with pytest.raises(InputError, match=f"there is no layer {layer}; allowed: -3 to 2"):
        gb.explain(model, None, torch.tensor([[1, 2, 3]]), method="attention", layer=layer)


def is_encoder(name):
    return name in ENCODERS or name in CLASSIFIERS and name != "gpt2-classifier"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explain_reads_the_row_of_the_position(build, name):
    model, ids = build(name), torch.randint(1, 300, (1, 7))
    layers = run(model, ids)
    a = gb.explain(model, None, ids, method="rollout", position=3)
    assert close(a.scores, joint_attention([layer[0].double().numpy() for layer in layers])[3], 1e-6)
    assert close(a.details["baseline"], rollout(uniform_attention(3, 7, causal=not is_encoder(name)))[0, 3], 1e-6)
    b = gb.explain(model, None, ids, method="attention", position=3, layer=1)
    assert close(b.scores, layers[1][0, :, 3].mean(0), 1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("method", ["rollout", "attention"])
def test_a_classifier_is_explained_where_its_head_reads(build, name, method):
    model, ids = build(name), torch.randint(1, 300, (1, 7))
    place = 0 if is_encoder(name) else 6
    read = {"rollout": rollout, "attention": raw_attention}[method](run(model, ids))[0]  # (query, key)
    assert close(gb.explain(model, None, ids, method=method).scores, read[place], 1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_rollout_lets_go_of_each_layer_before_the_next(build, name):
    model, alive, earlier = build(name), [], []

    def look(module, inputs, output):
        alive.append(sum(weights() is not None for weights in earlier))
        earlier.append(weakref.ref(output[1]))

    for attention in gb.anatomy(model).attentions:
        attention.register_forward_hook(look)
    gb.explain(model, None, torch.randint(1, 300, (1, 7)), method="rollout")
    assert alive == [0, 0, 0]


@pytest.fixture
def unknown_model():
    """An architecture that is not in the table."""

    def made(attn_implementation):
        config = hf.Olmo2Config(
            vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
            pad_token_id=0, bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        return hf.Olmo2ForCausalLM._from_config(config, attn_implementation=attn_implementation).eval()

    return made


def test_an_architecture_that_is_not_in_the_table(unknown_model):
    model, ids = unknown_model("eager"), torch.randint(1, 50, (1, 7))
    with pytest.raises(ModelError, match="not known"):
        gb.anatomy(model)
    layers = run(model, ids)
    assert close(gb.explain(model, None, ids, method="rollout").scores, rollout(layers)[0, -1], 1e-6)
    assert close(gb.explain(model, None, ids, method="attention").scores, raw_attention(layers)[0, -1], 1e-6)


@pytest.mark.parametrize("method", ["attention", "rollout", "attention_flow", "grad_attention"])
@pytest.mark.parametrize("known", [True, False])
def test_attention_without_weights_is_refused(build, unknown_model, known, method):
    model = build("llama", "sdpa") if known else unknown_model("sdpa")
    with pytest.raises(ModelError, match="only eager attention keeps them. Load the model with glassbox.load"):
        gb.explain(model, None, torch.randint(1, 50, (1, 7)), method=method)
    assert not any(module._forward_hooks for module in model.modules())


def test_bad_options_and_weights_are_refused_on_a_model_too(build):
    model, ids = build("gpt2"), torch.tensor([[1, 2, 3]])
    with pytest.raises(InputError, match="fuse is 'median'; allowed"):
        gb.explain(model, None, ids, method="rollout", fuse="median")
    with torch.no_grad():
        model.transformer.h[1].attn.c_attn.weight.fill_(torch.nan)
    with pytest.raises(InputError, match="weights of layer 1 are not finite"):
        gb.explain(model, None, ids, method="rollout")


def test_explain_passes_its_options_on(model):
    ids = torch.randint(0, 300, (1, 9))
    chosen = dict(residual_weight=0.3, fuse="max", discard_ratio=0.4)
    a = gb.explain(model, None, ids, method="rollout", **chosen)
    assert torch.equal(a.scores, rollout(run(model, ids), **chosen)[0, -1])
    assert close(a.details["baseline"], rollout(uniform_attention(3, 9), 0.3)[0, -1], 1e-6)


def test_on_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    a = gb.explain(model, tokenizer, "The Eiffel Tower is located in the city of", method="rollout")
    assert a.target_token == " Paris"
    assert a.tokens[0] == "<|start|>" and a.tokens[2:4] == [" Eiffel", " Tower"]
    ids = torch.tensor([tokenizer("The Eiffel Tower is located in the city of")["input_ids"]])
    assert close(a.scores, joint_attention([layer[0].double().numpy() for layer in run(model, ids)])[-1], 1e-6)
    assert abs(float(a.scores.sum()) - 1) < 1e-5
