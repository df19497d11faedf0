"""Steering vectors: what they are, that they push by just so much just there, also while the model generates."""

import numpy as np
import pytest
import torch
from tests.glassbox.architectures import DECODERS, ENCODERS, build

import glassbox as gb
import smallworld
from glassbox.errors import InputError, ModelError
from glassbox.steering import SteeringVector, first_component

IDS = torch.tensor([[5, 9, 120, 7, 33, 250, 41]])
SEQ = IDS.shape[1]


def texts(count, seed, seq=6):
    return list(torch.randint(1, 300, (count, 1, seq), generator=torch.Generator().manual_seed(seed)))


POSITIVE, NEGATIVE = texts(4, 1), texts(4, 2)


def block_outputs(model, ids=IDS):
    """What each block gives, (layer, batch, seq, width), by hooks of our own."""
    seen = []
    handles = [
        block.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
        for block in gb.anatomy(model).blocks
    ]
    with torch.no_grad():
        model(ids, attention_mask=torch.ones_like(ids))
    for handle in handles:
        handle.remove()
    return torch.stack(seen)


def last_tokens(model, several, layer, position=-1):
    return torch.stack([block_outputs(model, ids)[layer, 0, position] for ids in several])  # (text, width)


def vector_of(model, layer=1, **options):
    return gb.steering_vector(model, None, positive=POSITIVE, negative=NEGATIVE, layer=layer, **options)


@pytest.fixture(scope="module")
def gpt2():
    return build("gpt2")


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_the_mean_difference_of_what_the_block_gives(name):
    model = build(name, dtype=torch.float64)
    for layer in range(3):
        ups, downs = last_tokens(model, POSITIVE, layer), last_tokens(model, NEGATIVE, layer)
        v = vector_of(model, layer)
        assert (v.layer, v.how, v.vector.dtype) == (layer, "mean", torch.float64)
        assert torch.allclose(v.vector, sum(ups) / 4 - sum(downs) / 4, rtol=0, atol=1e-12)
        both = torch.cat([ups, downs]).numpy()
        assert v.norm == pytest.approx(np.linalg.norm(both, axis=1).mean())
        assert v.spread == pytest.approx(np.std(both @ v.vector.numpy() / np.linalg.norm(v.vector), ddof=1))


def test_another_position_and_lists_of_unequal_length(gpt2):
    v = gb.steering_vector(gpt2, None, positive=POSITIVE[:3], negative=NEGATIVE[:1], layer=-1, position=2)
    expected = last_tokens(gpt2, POSITIVE[:3], 2, 2).mean(0) - last_tokens(gpt2, NEGATIVE[:1], 2, 2)[0]
    assert v.layer == 2
    assert torch.allclose(v.vector, expected, atol=1e-5)


def test_texts_are_read_by_the_tokenizer(gpt2, tokenizer):
    v = gb.steering_vector(gpt2, tokenizer, positive=["The Eiffel Tower"], negative=["The London"], layer=0)
    ids = [torch.tensor([tokenizer(text)["input_ids"]]) for text in ("The Eiffel Tower", "The London")]
    assert torch.allclose(v.vector, last_tokens(gpt2, ids[:1], 0)[0] - last_tokens(gpt2, ids[1:], 0)[0], atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_component_another_way(seed):
    ups, downs = torch.randn(2, 6, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ups = ups + 0.5
    component = first_component(ups, downs)
    # The direction that keeps most of the differences' squared length: an eigenvector of DᵀD, not of the covariance.
    differences = (ups - downs).numpy()
    values, vectors = np.linalg.eigh(differences.T @ differences)
    expected = vectors[:, -1] * np.sign(differences.mean(0) @ vectors[:, -1])
    assert values[-1] > 1.05 * values[-2]
    assert np.allclose(component, expected, rtol=0, atol=1e-12)
    assert float(component.norm()) == pytest.approx(1, abs=1e-12)
    centred = np.linalg.svd(differences - differences.mean(0))[2][0]
    assert abs(centred @ expected) < 0.99  # centring finds another direction


def test_the_component_of_equal_differences_is_the_mean_difference():
    shift = torch.tensor([3.0, 0, -4.0])
    downs = torch.randn(5, 3)
    assert torch.allclose(first_component(downs + shift, downs), shift / 5, atol=1e-5)
    assert torch.allclose(first_component(downs, downs + shift), -shift / 5, atol=1e-5)


def test_pca_of_a_model(gpt2):
    v = vector_of(gpt2, how="pca")
    expected = first_component(last_tokens(gpt2, POSITIVE, 1), last_tokens(gpt2, NEGATIVE, 1))
    assert v.how == "pca" and torch.allclose(v.vector, expected, atol=1e-5)
    assert float(v.vector @ vector_of(gpt2).vector) > 0


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
@pytest.mark.parametrize(("unit", "per_strength"), [
    ("raw", lambda v: v.vector),
    ("spread", lambda v: v.spread * v.vector / v.vector.norm()),
    ("norm", lambda v: v.norm * v.vector / v.vector.norm()),
])  # fmt: skip
def test_steering_adds_just_so_much_just_there(name, unit, per_strength):
    model = build(name, dtype=torch.float64)
    v = vector_of(model)
    before = block_outputs(model)
    for positions, pushed in ((None, range(SEQ)), ([1, -1, 30], [1, SEQ - 1]), (2, [2]), (range(3), [0, 1, 2])):
        with gb.steer(model, v, -1.5, unit=unit, positions=positions):
            after = block_outputs(model)
        expected = torch.zeros(SEQ, 32, dtype=torch.float64)
        expected[list(pushed)] = -1.5 * per_strength(v)
        assert torch.allclose(after[1] - before[1], expected, rtol=0, atol=1e-12)
        assert torch.equal(after[0], before[0]) and not torch.allclose(after[2], before[2])
    assert torch.equal(block_outputs(model), before)


def test_another_layer_and_a_plain_direction(gpt2):
    before, direction = block_outputs(gpt2), torch.linspace(-1, 1, 32)
    with gb.steer(gpt2, direction, 2, unit="raw", layer=0):
        assert torch.allclose(block_outputs(gpt2)[0] - before[0], 2 * direction.expand(SEQ, 32), atol=1e-5)
    v = vector_of(gpt2)
    with gb.steer(gpt2, v, 2, unit="raw", layer=-1):
        after = block_outputs(gpt2)
    assert torch.equal(after[:2], before[:2])
    assert torch.allclose(after[2] - before[2], 2 * v.vector.expand(SEQ, 32), atol=1e-5)


def test_strength_zero_changes_nothing(gpt2):
    plain = gpt2(IDS).logits
    with gb.steer(gpt2, vector_of(gpt2), 0.0):
        assert torch.equal(gpt2(IDS).logits, plain)
    with gb.steer(gpt2, vector_of(gpt2), 0.0, positions=[1]):
        assert torch.equal(gpt2(IDS).logits, plain)


def test_two_vectors_add_up(gpt2):
    v, w, before = vector_of(gpt2), vector_of(gpt2, how="pca"), block_outputs(gpt2)[1]
    with gb.steer(gpt2, v, 1, unit="raw"), gb.steer(gpt2, w, 3, unit="raw"):
        assert torch.allclose(block_outputs(gpt2)[1] - before, (v.vector + 3 * w.vector).expand(SEQ, 32), atol=1e-4)


def generated(model):
    """Six tokens by the model's own loop with its cache, and the logits that they were chosen by."""
    told = dict(max_new_tokens=6, do_sample=False, attention_mask=torch.ones_like(IDS), eos_token_id=None)
    output = model.generate(IDS, pad_token_id=0, return_dict_in_generate=True, output_logits=True, **told)
    return output.sequences, torch.stack(output.logits, dim=1)  # (1, step, vocabulary)


def generated_by_hand(model):
    """The same, the whole text anew for each token."""
    ids, steps = IDS, []
    for _ in range(6):
        with torch.no_grad():
            steps.append(model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[:, -1])
        ids = torch.cat([ids, steps[-1].argmax(-1, keepdim=True)], dim=1)
    return ids, torch.stack(steps, dim=1)


@pytest.mark.parametrize("positions", [None, [4], [2, SEQ, SEQ + 2], range(SEQ, 100)])
@pytest.mark.parametrize("name", DECODERS)
def test_generating_with_the_cache_is_generating_without_it(name, positions):
    model = build(name)
    v, plain = vector_of(model), generated(model)
    with gb.steer(model, v, positions=positions):
        ids, logits = generated(model)
        expected_ids, expected_logits = generated_by_hand(model)
    assert torch.equal(ids, expected_ids)
    assert torch.allclose(logits, expected_logits, rtol=0, atol=1e-4)
    assert (logits - plain[1]).abs().max() > 0.1
    assert torch.equal(generated(model)[1], plain[1])


def test_negative_positions_count_from_the_end_of_the_prompt(gpt2):
    v = vector_of(gpt2)
    with gb.steer(gpt2, v, positions=[-2]):
        negative = generated(gpt2)[1]
    with gb.steer(gpt2, v, positions=[SEQ - 2]):
        assert torch.equal(generated(gpt2)[1], negative)


def test_a_batch_is_steered_alike(gpt2):
    batch = torch.cat([IDS, IDS.flip(1)])
    with gb.steer(gpt2, vector_of(gpt2), positions=[0, -1]):
        together = block_outputs(gpt2, batch)
        assert torch.allclose(together[:, :1], block_outputs(gpt2, IDS), atol=1e-5)
        assert torch.allclose(together[:, 1:], block_outputs(gpt2, IDS.flip(1)), atol=1e-5)


@pytest.mark.parametrize("earlier", [False, True])
def test_the_hidden_states_that_transformers_gives_are_the_steered_ones(earlier):
    model = build("gpt2")
    if earlier:  # its hooks stay on the model, and stand before ours
        model(IDS, output_hidden_states=True)
    v, plain = vector_of(model), block_outputs(model)
    with gb.steer(model, v, 1, unit="raw"):
        hidden = model(IDS, output_hidden_states=True).hidden_states
        with gb.ablate(model, v, layers=[1]):
            ablated = model(IDS, output_hidden_states=True).hidden_states[2] @ v.vector
    assert torch.allclose(hidden[2] - plain[1], v.vector.expand(1, SEQ, 32), atol=1e-5)
    assert ablated.abs().max() < 1e-3  # the inner block has the last word


def test_an_explanation_of_the_steered_model(gpt2):
    v = vector_of(gpt2)
    alone = gb.explain(gpt2, None, IDS, method="rollout")
    with gb.steer(gpt2, v, 4.0):
        steered = gb.explain(gpt2, None, IDS, method="rollout", target=alone.target)
        assert steered.value == pytest.approx(gpt2(IDS).logits[0, -1, alone.target].item(), abs=1e-5)
    assert abs(steered.value - alone.value) > 0.1
    assert not torch.allclose(steered.scores, alone.scores)


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_nothing_points_along_an_ablated_direction(name):
    model = build(name, dtype=torch.float64)
    v, parts, seen = vector_of(model), gb.anatomy(model), []
    direction = v.vector / v.vector.norm()
    before = block_outputs(model)
    writers = [*parts.attention_writes, *parts.mlp_writes, *parts.blocks]
    with gb.ablate(model, v):
        handles = [
            part.register_forward_hook(lambda m, i, o: seen.append(o[0] if isinstance(o, tuple) else o))
            for part in writers
        ]
        handles.append(parts.blocks[0].register_forward_pre_hook(lambda m, i: seen.append(i[0])))
        with torch.no_grad():
            model(IDS)
        for handle in handles:
            handle.remove()
    assert len(seen) == 10
    assert max(float((hidden @ direction).abs().max()) for hidden in seen) < 1e-12
    assert (before @ direction).abs().max() > 1
    assert torch.equal(block_outputs(model), before)


def test_ablation_leaves_the_rest_alone(gpt2):
    v, before = vector_of(gpt2), block_outputs(gpt2)
    direction = v.vector / v.vector.norm()
    with gb.ablate(gpt2, v, layers=[-1]):
        after = block_outputs(gpt2)
    assert torch.equal(after[:2], before[:2])
    assert (after[2] @ direction).abs().max() < 1e-5
    # Block 2 reads what it read; of what its attention and MLP write only the direction is missing, up to what the
    # MLP makes of attention that no longer writes along it. So it is exact where the MLP writes nothing.
    for part in gpt2.transformer.h[2].mlp.parameters():
        part.data.zero_()
    before = block_outputs(gpt2)[2]
    with gb.ablate(gpt2, v, layers=2):
        after = block_outputs(gpt2)[2]
    assert torch.allclose(after, before - (before @ direction)[..., None] * direction, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    model = build("llama", dtype=dtype)
    v, exact = vector_of(model), vector_of(build("llama"))
    assert v.vector.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(v.vector, exact.vector, dim=0) > 0.999
    before = block_outputs(model)[1].float()
    with gb.steer(model, v, 2.0, unit="raw"):
        pushed = block_outputs(model)[1].float() - before
    size = torch.finfo(dtype).eps * before.abs().max() * 4
    assert (pushed - 2 * v.vector).abs().max() < size
    there = gb.project(model, None, IDS, v, layer=2)
    with gb.ablate(model, v):
        left = gb.project(model, None, IDS, v, layer=2)
    # Measured: 0.15 and 0.17 epsilons of it, by rounding the result; 0.4 where all is computed in half precision.
    assert left.abs().max() < 0.25 * torch.finfo(dtype).eps * there.abs().max()


@pytest.mark.parametrize("name", DECODERS + ENCODERS)
def test_projection(name):
    model = build(name)
    v = vector_of(model)
    for layer in (None, 0, -1):
        hidden = block_outputs(model)[1 if layer is None else layer, 0]
        along = gb.project(model, None, IDS, v, layer=layer)
        assert along.dtype == torch.float32 and along.shape == (SEQ,)
        assert torch.allclose(along, hidden @ v.vector / v.vector.norm(), atol=1e-5)
        assert torch.equal(gb.project(model, None, IDS, v.vector, layer=1 if layer is None else layer), along)


def test_on_the_small_world(smallworld_model):
    """A direction from bad reviews to good ones, made of some, sorts others, and turns what is said of them."""
    model, tokenizer = smallworld_model
    reviews = list(dict.fromkeys((s.prompt, s.answer) for s in smallworld.sample("review_plain", 60, seed=1)))
    good, bad = ([prompt for prompt, said in reviews if said == verdict] for verdict in (" positive", " negative"))
    v = gb.steering_vector(model, tokenizer, positive=good[:16], negative=bad[:16], layer=3)
    good, bad = good[16:28], bad[16:28]
    assert min(len(good), len(bad)) >= 8

    ends = [[float(gb.project(model, tokenizer, text, v)[-1]) for text in texts] for texts in (good, bad)]
    assert np.mean([[up > down for up in ends[0]] for down in ends[1]]) > 0.95

    def called_good(texts):
        told = dict(max_new_tokens=1, do_sample=False, pad_token_id=0)
        answers = [model.generate(**tokenizer(text, return_tensors="pt"), **told)[0, -1] for text in texts]
        return sum(tokenizer.decode(answer) == " positive" for answer in answers) / len(texts)

    assert called_good(good) == 1 and called_good(bad) == 0
    with gb.steer(model, v, 2.0):
        assert called_good(bad) > 0.9
    with gb.steer(model, v, -2.0):
        assert called_good(good) < 0.1
    anything = torch.randn(192, generator=torch.Generator().manual_seed(0))
    with gb.steer(model, 2 * v.spread * anything / anything.norm(), 1, unit="raw", layer=3):
        assert called_good(good) > 0.9 and called_good(bad) < 0.1
    with gb.ablate(model, v):
        assert called_good(good) - called_good(bad) < 0.2


def test_what_a_vector_says_of_itself(gpt2):
    v = SteeringVector(torch.tensor([3.0, 4.0]), 2, "mean", 12.345, 0.5)
    assert repr(v) == "SteeringVector(layer 2, mean, length 5; the layer's norm 12.3, its spread along it 0.5)"


BAD_VECTORS = {
    "one text": (dict(positive="joy"), "positive is 'joy'; allowed: a list of one text or more"),
    "a batch": (dict(negative=torch.ones(2, 3)), "(?s)negative is tensor.*allowed: a list"),
    "no text": (dict(negative=[]), r"negative is \[\]; allowed: a list of one text or more"),
    "an empty text": (dict(positive=[""]), "a text needs its tokenizer|the text is empty"),
    "layer": (dict(layer=3), "there is no layer 3; allowed: -3 to 2"),
    "no whole layer": (dict(layer=1.5), "layer is 1.5; allowed: a whole number"),
    "how": (dict(how="median"), "how is 'median'; allowed: 'mean', 'pca'"),
    "position": (dict(position=6), "there is no position 6; allowed: -6 to 5"),
    "no pairs": (dict(how="pca", negative=NEGATIVE[:3]), "4 positive texts and 3 negative ones are no pairs"),
    "the same texts": (dict(negative=POSITIVE), "on average nothing differs between the texts"),
    "the same pairs": (dict(negative=POSITIVE, how="pca"), "on average nothing differs between the texts"),
}


@pytest.mark.parametrize("case", BAD_VECTORS)
def test_bad_texts(gpt2, case):
    options, message = BAD_VECTORS[case]
    with pytest.raises(InputError, match=message):
        gb.steering_vector(gpt2, None, **{"positive": POSITIVE, "negative": NEGATIVE, "layer": 1, **options})


PLAIN = torch.ones(32)
BAD_STEERING = {
    "unit": (dict(unit="sigma"), "unit is 'sigma'; allowed with a SteeringVector: 'raw', 'spread', 'norm'"),
    "a tensor has no spread": (dict(v=PLAIN, layer=1), "unit is 'spread'; allowed with a Tensor: 'raw'"),
    "a tensor has no layer": (dict(v=PLAIN, unit="raw"), "does not say which layer"),
    "width": (dict(v=torch.ones(31), layer=1), r"the direction is \(31,\); allowed: .*tensor \(32,\)"),
    "several directions": (dict(v=torch.ones(2, 32), layer=1), r"the direction is \(2, 32\); allowed"),
    "a list": (dict(v=[1.0] * 32, layer=1), "the direction is list; allowed"),
    "no direction": (dict(v=torch.zeros(32), layer=1), "the direction has the length 0.0; allowed"),
    "nan": (dict(v=PLAIN / 0 * 0, layer=1), "the direction has the length nan; allowed"),
    "infinite strength": (dict(strength=torch.inf), "strength is inf; allowed: a finite number"),
    "strength in words": (dict(strength="high"), "strength is 'high'; allowed: a finite number"),
    "layer": (dict(layer=-4), "there is no layer -4; allowed: -3 to 2"),
    "no position": (dict(positions=[]), r"positions is \[\]; allowed: a whole number, a list"),
    "half a position": (dict(positions=[1, 2.5]), r"positions is \[1, 2.5\]; allowed: a whole number, a list"),
}


@pytest.mark.parametrize("case", BAD_STEERING)
def test_bad_steering(gpt2, case):
    options, message = BAD_STEERING[case]
    with pytest.raises(InputError, match=message), gb.steer(gpt2, **{"v": vector_of(gpt2), **options}):
        pass
    assert not any(module._forward_hooks for module in gpt2.modules())


def test_a_position_that_the_text_does_not_have(gpt2):
    message = "there is no position -8; allowed: -7 to 6"
    with gb.steer(gpt2, vector_of(gpt2), positions=[-8]), pytest.raises(InputError, match=message):
        gpt2(IDS)


def test_bad_ablation_and_projection(gpt2):
    with pytest.raises(InputError, match="there is no layer 3; allowed: -3 to 2"), gb.ablate(gpt2, PLAIN, layers=[3]):
        pass
    with pytest.raises(InputError, match=r"layers is \[\]; allowed"), gb.ablate(gpt2, PLAIN, layers=[]):
        pass
    with pytest.raises(InputError, match="the direction is int"), gb.ablate(gpt2, 3):
        pass
    with pytest.raises(InputError, match="pass layer="):
        gb.project(gpt2, None, IDS, PLAIN)


def test_weights_that_are_not_finite():
    model = build("gpt2")
    model.transformer.h[1].mlp.c_proj.bias.data[0] = torch.inf
    with pytest.raises(ModelError, match="what block 1 gives is not finite"):
        vector_of(model)
