"""The logit lens against the model itself, loops, and the mistake of norming twice."""

import matplotlib
import pytest
import torch
from tests.glassbox.architectures import CLASSIFIERS, DECODERS, ENCODERS

import glassbox as gb
from glassbox.errors import InputError, ModelError

IDS = torch.tensor([[5, 17, 203, 44, 9, 120, 61]])
TOWER = "The Eiffel Tower is located in the city of"
LAYERS = 3  # of the small models


def own_states(model, ids=IDS):
    """The model's logits, and hidden states 0 to L as transformers gives them, the last one normed already."""
    with torch.no_grad():
        output = model(input_ids=ids, output_hidden_states=True, use_cache=False)
    return output.logits[0], output.hidden_states


@pytest.mark.parametrize("name", DECODERS + ENCODERS + ["opt-350m"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_last_layer_is_the_model_itself(build, name, dtype):
    model = build(name, dtype=dtype)
    reading = gb.logit_lens(model, None, IDS)
    own, states = own_states(model)
    assert reading.logits.shape == (LAYERS + 1, 7, 300)
    assert reading.logits.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(reading.logits[-1].to(dtype), own) and torch.equal(reading.final.to(dtype), own)
    # The reading takes the model's word for it; the head that all other layers pass must come to the very same.
    anatomy = gb.anatomy(model)
    seen = []
    handle = anatomy.blocks[-1].register_forward_hook(lambda block, inputs, output: seen.append(output))
    own_states(model)
    handle.remove()
    with torch.no_grad():
        assert torch.equal(anatomy.head(seen[0])[0], own)


@pytest.mark.parametrize("name", DECODERS)
def test_each_layer_is_what_the_model_would_say_if_it_ended_there(build, name):
    model = build(name)
    reading = gb.logit_lens(model, None, IDS)
    blocks = gb.anatomy(model).blocks
    for layer in range(LAYERS):
        # Blocks from this layer on hand through what they are given: the model's own end then reads this layer.
        handles = [block.register_forward_hook(lambda block, inputs, output: inputs[0]) for block in blocks[layer:]]
        cut_short, _ = own_states(model)
        for handle in handles:
            handle.remove()
        assert torch.allclose(reading.logits[layer], cut_short, atol=1e-6, rtol=1e-5)
        assert not torch.allclose(reading.logits[layer], reading.final, atol=0.1)


@pytest.mark.parametrize("name", [name for name in DECODERS if name != "gemma2"])
def test_norming_twice_is_another_thing(build, name):
    model = build(name)
    reading = gb.logit_lens(model, None, IDS)
    own, states = own_states(model)
    with torch.no_grad():
        twice = gb.anatomy(model).head(states[-1])[0]
    assert (twice - own).norm() / own.norm() > 0.01
    assert torch.equal(reading.logits[-1], own)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox", "opt"])
def test_without_the_norm_the_raw_stream_is_unembedded(build, name):
    model = build(name)
    reading = gb.logit_lens(model, None, IDS, norm=False)
    weight = model.get_output_embeddings().weight
    _, states = own_states(model)
    for layer in range(LAYERS):
        assert torch.allclose(reading.logits[layer], (states[layer][0] @ weight.T).detach(), atol=1e-5)
    assert not torch.allclose(reading.logits[-1], reading.final, atol=0.1)  # that one is normed


def test_some_layers_and_positions_are_those_of_all(build):
    model = build("qwen2")
    every = gb.logit_lens(model, None, IDS)
    some = gb.logit_lens(model, None, IDS, layers=[-1, 1], positions=[-2, 0, 3])
    assert (some.layers, some.positions) == ([3, 1], [5, 0, 3])
    assert torch.allclose(some.logits, every.logits[[3, 1]][:, [5, 0, 3]], atol=1e-6)
    assert torch.equal(some.logits[0], some.final)
    assert torch.equal(some.ranks(), every.ranks()[[3, 1]][:, [5, 0, 3]])
    assert some.top(position=3, k=2) == [
        [(word, pytest.approx(share, rel=1e-4)) for word, share in every.top(position=3, k=2)[layer]]
        for layer in (3, 1)
    ]


def test_ranks_probabilities_and_divergence_by_loops(build):
    reading = gb.logit_lens(build("gpt2"), None, IDS)
    ranks, probabilities = reading.ranks(44), reading.probabilities(44)
    own_ranks, own_probabilities = reading.ranks(), reading.probabilities()
    divergence = reading.divergence()
    for layer in range(LAYERS + 1):
        for position in range(7):
            logits = reading.logits[layer, position].double().tolist()
            total = sum(torch.tensor(logits).exp().tolist())
            shares = [float(torch.tensor(logit).exp()) / total for logit in logits]
            final = reading.final[position].double().softmax(-1).tolist()
            own = max(range(300), key=final.__getitem__)
            assert ranks[layer, position] == 1 + sum(other > logits[44] for other in logits)
            assert own_ranks[layer, position] == 1 + sum(other > logits[own] for other in logits)
            assert float(probabilities[layer, position]) == pytest.approx(shares[44], rel=1e-5)
            assert float(own_probabilities[layer, position]) == pytest.approx(shares[own], rel=1e-5)
            kl = sum(p * (torch.tensor(p).log() - torch.tensor(q).log()) for p, q in zip(final, shares, strict=True))
            assert float(divergence[layer, position]) == pytest.approx(float(kl), rel=1e-4, abs=1e-6)
    assert not divergence[-1].any()


def test_first_top_is_the_lowest_layer_that_says_it(build):
    reading = gb.logit_lens(build("llama"), None, IDS)
    best = reading.logits.argmax(-1)  # (layer, position)
    expected = [
        next(layer for layer in range(LAYERS + 1) if best[layer, place] == best[-1, place]) for place in range(7)
    ]
    assert reading.first_top() == expected
    never = next(word for word in range(300) if word not in best)
    assert reading.first_top(never) == [None] * 7
    picked = gb.logit_lens(build("llama"), None, IDS, layers=[3, 2])
    assert picked.first_top() == [3] * 7  # the first of the layers as they were asked for


def test_equal_words_share_the_best_rank(build):
    reading = gb.logit_lens(build("gpt2"), None, IDS)
    reading.logits = torch.tensor([[[1.0, 3, 3, 0]]])
    reading.final, reading.layers, reading.positions = torch.zeros(1, 4), [0], [6]
    assert [int(reading.ranks(word)) for word in range(4)] == [3, 1, 1, 4]


def test_words_and_repr(build, tokenizer):
    reading = gb.logit_lens(build("gpt2"), tokenizer, "The Eiffel Tower is in")
    word, share = reading.top(k=1)[-1][0]
    assert f"layer   3  {word!r}"[:10] in repr(reading) and f"{share:.3f}" in repr(reading)
    assert repr(reading).startswith(f"logit lens at token {len(reading.tokens) - 1} ' in'")
    assert len(repr(reading).splitlines()) == 1 + LAYERS + 1
    assert torch.equal(reading.ranks(" Paris"), reading.ranks(tokenizer.convert_tokens_to_ids("ĠParis")))


def test_figure(build, tokenizer):
    reading = gb.logit_lens(build("gpt2"), tokenizer, "The Eiffel Tower is in", positions=[1, 2, 4])
    figure = reading.plot()
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    assert torch.allclose(torch.tensor(shown), reading.logits.softmax(-1).amax(-1))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Eiffel", "Tower", "in"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3"]
    assert axes.get_ylim()[0] < axes.get_ylim()[1]  # the last layer stands on top
    assert len(axes.texts) == 12
    ink = {matplotlib.colors.to_hex(text.get_color()) for text in axes.texts}
    assert ink <= {"#1b1b1a", "#fcfcfb"}
    assert reading.plot(title="Finding").get_suptitle() == "Finding"


def test_small_world_knows_paris_before_its_end(smallworld_model):
    model, tokenizer = smallworld_model
    reading = gb.logit_lens(model, tokenizer, TOWER)
    assert reading.top(k=1)[-1][0][0] == " Paris"
    assert reading.first_top(" Paris")[-1] in range(1, 6)
    assert reading.ranks(" Paris")[0, -1] > 10  # the embedding of " of" does not say so
    own, _ = own_states(model, tokenizer(TOWER, return_tensors="pt")["input_ids"])
    for place in range(len(own)):  # to the last bit, however few positions are read
        assert torch.equal(gb.logit_lens(model, tokenizer, TOWER, positions=[place]).logits[-1, 0], own[place])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(layers=[4]), "there is no layer 4; allowed: -4 to 3"),
        (dict(layers=[-5]), "there is no layer -5"),
        (dict(layers=[]), "no layer is asked for"),
        (dict(layers=2), "layers are 2; allowed: a list"),
        (dict(positions=[7]), "there is no position 7; allowed: -7 to 6"),
        (dict(positions=["a"]), "position is 'a'; allowed: a whole number"),
        (dict(positions=()), "no position is asked for"),
    ],
)
def test_bad_input(build, options, message):
    with pytest.raises(InputError, match=message):
        gb.logit_lens(build("gpt2"), None, IDS, **options)


def test_bad_words_and_unread_positions(build, tokenizer):
    reading = gb.logit_lens(build("gpt2"), tokenizer, IDS, positions=[2, 3])
    with pytest.raises(InputError, match="there is no word 300; allowed: -300 to 299"):
        reading.ranks(300)
    with pytest.raises(InputError, match="word 'Nowhere' is not one token"):
        reading.ranks("Nowhere")
    with pytest.raises(InputError, match="position 6 was not read; allowed: 2, 3"):
        reading.top()


@pytest.mark.parametrize("name", ENCODERS + ["opt-350m"])
def test_where_there_is_no_final_norm_it_can_not_be_left_out(build, name):
    with pytest.raises(InputError, match="has none; allowed: norm=True"):
        gb.logit_lens(build(name), None, IDS, norm=False)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_predicts_no_words(build, name):
    with pytest.raises(ModelError, match="predicts classes; a lens needs a model that predicts words"):
        gb.logit_lens(build(name), None, IDS)


def test_a_model_without_a_head(build):
    with pytest.raises(ModelError, match="predicts nothing"):
        gb.logit_lens(build("bare bert"), None, IDS)


def test_weights_that_are_not_finite(build):
    model = build("gpt2")
    model.transformer.ln_f.weight.data[3] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        gb.logit_lens(model, None, IDS)


def test_it_looks_on_while_the_model_is_steered(build):
    model = build("gpt2")
    before = gb.logit_lens(model, None, IDS)
    block = gb.anatomy(model).blocks[1]
    handle = block.register_forward_hook(lambda block, inputs, output: output + 1.5 * torch.arange(32) / 32)
    steered = gb.logit_lens(model, None, IDS)
    handle.remove()
    assert torch.equal(before.logits[:2], steered.logits[:2])
    assert not torch.allclose(before.logits[2], steered.logits[2], atol=0.1)
    assert torch.equal(gb.logit_lens(model, None, IDS).logits, before.logits)
