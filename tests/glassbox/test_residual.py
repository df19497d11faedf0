"""What is recorded is what the model computed, what is overwritten is there, and no hook stays."""

import pytest
import torch
from tests.glassbox.architectures import ARCHITECTURES

import glassbox as gb
from glassbox.residual import hidden_states, overwritten, recorded

IDS = torch.tensor([[5, 17, 203, 44, 9, 120, 61]])


def hooks(model):
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_hidden_states_are_those_of_transformers_but_for_the_last(build, name):
    model = build(name)
    anatomy = gb.anatomy(model)
    with torch.no_grad():
        theirs = model(input_ids=IDS, output_hidden_states=True).hidden_states
        with recorded(anatomy.blocks) as seen:
            output = model(input_ids=IDS)
        ours = hidden_states(anatomy.blocks, seen)
        assert len(ours) == len(theirs)
        for own, other in zip(ours[:-1], theirs[:-1], strict=True):
            assert torch.equal(own, other)
        last = ours[-1] if anatomy.final_norm is None else anatomy.final_norm(ours[-1])
        assert torch.equal(last, theirs[-1])
        assert output.logits.isfinite().all()


@pytest.mark.parametrize("layer", range(4))
def test_what_is_overwritten_is_there_at_that_position_only(build, layer):
    model, vector = build("gpt2"), torch.linspace(-1, 1, 32)
    blocks = gb.anatomy(model).blocks
    with torch.no_grad():
        with recorded(blocks) as plain:
            model(input_ids=IDS)
        with overwritten(blocks, layer, 4, vector), recorded([*blocks, model.transformer.ln_f]) as seen:
            model(input_ids=IDS)
    entered = [seen[part][0][0] for part in (*blocks, model.transformer.ln_f)]  # each (seq, width)
    before = [state[0] for state in hidden_states(blocks, plain)]
    assert torch.equal(entered[layer][4], vector)
    for place in (0, 1, 2, 3, 5, 6):
        assert torch.equal(entered[layer][place], before[layer][place])
    assert all(torch.equal(entered[below], before[below]) for below in range(layer))
    if 0 < layer < 3:  # what the block below said is still what it said
        assert torch.equal(seen[blocks[layer - 1]][1][0], before[layer])


def test_no_hook_stays_also_after_an_exception(build):
    model = build("gpt2")
    blocks, before = gb.anatomy(model).blocks, hooks(model)
    for layer in (0, 3):
        with (
            pytest.raises(KeyboardInterrupt),
            recorded(blocks),
            overwritten(blocks, layer, 0, torch.zeros(32)),
        ):
            assert hooks(model) == before + 4
            raise KeyboardInterrupt
        assert hooks(model) == before
