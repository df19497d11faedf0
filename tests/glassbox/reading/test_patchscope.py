"""Patchscope against hooks placed by hand, and what must not change."""

import pytest
import torch
from tests.glassbox.architectures import CLASSIFIERS, DECODERS, ENCODERS

import glassbox as gb
from glassbox.errors import InputError, ModelError

IDS = torch.tensor([[5, 17, 203, 44, 9, 120, 61]])
PROMPT = torch.tensor([[88, 2, 150, 31, 77]])
LAYERS = 3


def states(model, ids):
    """Hidden states 0 to L, none of them normed, each (seq, width)."""
    seen = []
    blocks = gb.anatomy(model).blocks
    handles = [blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0][0]))]
    handles += [block.register_forward_hook(lambda block, inputs, output: seen.append(output[0])) for block in blocks]
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return seen, logits


def patched_by_hand(model, ids, layer, position, vector):
    """Run the blocks below as they are, then put the vector in at the output of the part below the layer."""

    def put_in(hidden):
        hidden = hidden.clone()
        hidden[0, position] = vector
        return hidden

    blocks = gb.anatomy(model).blocks
    if layer == 0:
        handle = blocks[0].register_forward_pre_hook(lambda block, inputs: (put_in(inputs[0]), *inputs[1:]))
    else:
        handle = blocks[layer - 1].register_forward_hook(lambda block, inputs, output: put_in(output))
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits[0, -1]
    handle.remove()
    return logits


@pytest.mark.parametrize("name", [*DECODERS, "opt-350m"])
def test_its_own_state_changes_nothing(build, name):
    model = build(name)
    _, logits = states(model, PROMPT)
    for layer in range(LAYERS + 1):
        for position in (0, 2, -1):
            answer = gb.patchscope(
                model, None, PROMPT, PROMPT, layer=layer, position=position, prompt_position=position
            )
            assert torch.equal(answer.logits, logits[-1]) and torch.equal(answer.unpatched, logits[-1])


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(("layer", "prompt_layer"), [(0, 0), (1, 1), (2, 0), (1, 2), (3, 3), (3, 1)])
def test_against_hooks_by_hand(build, name, layer, prompt_layer):
    model = build(name)
    vector = states(model, IDS)[0][layer][4]
    for place in (1, 4):
        answer = gb.patchscope(
            model, None, IDS, PROMPT, layer=layer, position=4, prompt_layer=prompt_layer, prompt_position=place
        )
        expected = patched_by_hand(model, PROMPT, prompt_layer, place, vector)
        assert torch.equal(answer.logits, expected)
        # Above the last block no position reads another, so only the last one's state can matter.
        assert torch.equal(answer.logits, answer.unpatched) == (prompt_layer == LAYERS and place == 1)


def test_the_layer_put_in_is_the_layer_read_unless_another_is_named(build):
    model = build("llama")
    same = gb.patchscope(model, None, IDS, PROMPT, layer=2, position=3)
    assert torch.equal(same.logits, gb.patchscope(model, None, IDS, PROMPT, layer=2, position=3, prompt_layer=2).logits)
    other = gb.patchscope(model, None, IDS, PROMPT, layer=2, position=3, prompt_layer=1)
    assert not torch.allclose(same.logits, other.logits, atol=1e-2)


def test_negative_layers_and_positions_count_from_the_end(build):
    model = build("gpt2")
    first = gb.patchscope(model, None, IDS, PROMPT, layer=-2, position=-3, prompt_layer=-3, prompt_position=-2)
    second = gb.patchscope(model, None, IDS, PROMPT, layer=2, position=4, prompt_layer=1, prompt_position=3)
    assert torch.equal(first.logits, second.logits) and first.heading == second.heading


def test_last_state_put_in_at_the_end_says_what_its_own_text_says(build):
    model = build("qwen3")
    answer = gb.patchscope(model, None, IDS, PROMPT, layer=LAYERS)
    assert torch.allclose(answer.logits, states(model, IDS)[1][-1], atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "gemma3"])
def test_it_goes_on_with_the_state_in_its_place(build, name):
    model = build(name)
    answer = gb.patchscope(model, None, IDS, PROMPT, layer=1, position=4, prompt_position=2, new_tokens=4)
    vector, ids, words = states(model, IDS)[0][1][4], PROMPT, []
    for _ in range(4):
        words.append(int(patched_by_hand(model, ids, 1, 2, vector).argmax()))
        ids = torch.cat([ids, torch.tensor([[words[-1]]])], dim=1)
    assert answer.continuation == [str(word) for word in words]
    assert answer.top(1)[0][0] == str(words[0])


def test_words_and_repr(build, tokenizer):
    answer = gb.patchscope(build("gpt2"), tokenizer, "The Eiffel Tower", "in un is", layer=1, prompt_position=0)
    assert repr(answer).startswith("patchscope: layer 1 at token 2 ' Tower', put in at layer 1, token 0 ")
    word, share = answer.top(1)[0]
    assert f"{share:.3f}  {word!r}" in repr(answer) and "goes on with" in repr(answer)
    assert sum(share for _, share in answer.top(300)) == pytest.approx(1, abs=1e-5)


def test_the_model_is_as_before_also_when_interrupted(build, monkeypatch):
    model = build("gpt2")
    before = states(model, PROMPT)[1]
    monkeypatch.setattr(model.lm_head, "forward", lambda hidden: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        gb.patchscope(model, None, IDS, PROMPT, layer=1)
    monkeypatch.undo()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    gb.patchscope(model, None, IDS, PROMPT, layer=1)
    assert torch.equal(states(model, PROMPT)[1], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(layer=4), "there is no layer 4; allowed: -4 to 3"),
        (dict(layer=1, prompt_layer=-5), "there is no layer -5"),
        (dict(layer=1, position=7), "there is no position 7; allowed: -7 to 6"),
        (dict(layer=1, prompt_position=5), "there is no position 5; allowed: -5 to 4"),
        (dict(layer=1, new_tokens=0), "new_tokens is 0; allowed: 1 or more"),
        (dict(layer=1, new_tokens=21), "has 25 tokens, and the model reads at most 24"),
    ],
)
def test_bad_input(build, options, message):
    with pytest.raises(InputError, match=message):
        gb.patchscope(build("gpt2"), None, IDS, PROMPT, **options)


def test_as_many_new_tokens_as_there_is_room(build):
    answer = gb.patchscope(build("gpt2"), None, IDS, PROMPT, layer=1, new_tokens=20)
    assert len(answer.continuation) == 20


@pytest.mark.parametrize("name", [*ENCODERS, *CLASSIFIERS, "bare bert"])
def test_what_does_not_go_on_with_a_text_is_refused(build, name):
    with pytest.raises(ModelError, match="does not go on with a text; allowed: a decoder"):
        gb.patchscope(build(name), None, IDS, PROMPT, layer=1)
