"""Shuffling weights from the top down: everything once, in order, on a copy; what falls and what can't."""

import copy

import matplotlib
import pytest
import torch
from tests.glassbox.architectures import ARCHITECTURES

import glassbox as gb
from glassbox.errors import ModelError
from glassbox.judging.rank_agreement import spearman
from glassbox.judging.sanity import sanity_check, shuffle, stages
from glassbox.methods import METHODS

IDS = torch.tensor([[5, 9, 17, 8, 33, 2, 41, 77]])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_is_shuffled_once_from_the_top_down(build, name):
    model = build(name)
    found = stages(model)
    names = list(found)
    assert names[-4:] == ["layer 2", "layer 1", "layer 0", "embedding"] and names[:-4] in ([], ["head"])
    numbers = [id(parameter) for parameters in found.values() for parameter in parameters]
    assert sorted(numbers) == sorted(map(id, model.parameters()))
    anatomy = gb.anatomy(model)
    assert any(parameter is anatomy.embedding.weight for parameter in found["embedding"])
    for number, block in enumerate(anatomy.blocks):
        assert set(map(id, found[f"layer {number}"])) == set(map(id, block.parameters()))
    if anatomy.final_norm is not None:
        assert set(map(id, anatomy.final_norm.parameters())) <= set(map(id, found["head"]))
    if anatomy.unembedding is not None and anatomy.unembedding.weight is not anatomy.embedding.weight:
        assert any(parameter is anatomy.unembedding.weight for parameter in found["head"])


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_a_stage_changes_nothing_below_itself(build, name):
    model, ids = build(name), IDS
    with torch.no_grad():
        before = model(ids, output_hidden_states=True).hidden_states
        for parameter in stages(model)["layer 1"]:
            shuffle(parameter, torch.Generator().manual_seed(0))
        after = model(ids, output_hidden_states=True).hidden_states
    assert torch.equal(before[1], after[1]) and not before[2].allclose(after[2], atol=1e-3)


def test_shuffling_keeps_the_entries():
    parameter = torch.nn.Parameter(torch.randn(7, 9))
    before = parameter.detach().clone()
    shuffle(parameter, torch.Generator().manual_seed(0))
    assert torch.equal(parameter.flatten().sort().values, before.flatten().sort().values)
    assert (parameter == before).float().mean() < 0.2


def test_against_shuffling_by_hand(build):
    model = build("llama")
    found = sanity_check(model, None, IDS, method="gradient_x_input", seed=3)
    original = gb.explain(model, None, IDS, method="gradient_x_input")
    broken, generator = copy.deepcopy(model), torch.Generator().manual_seed(3)
    for number, parameters in enumerate(stages(broken).values()):
        for parameter in parameters:
            shuffle(parameter, generator)
        after = gb.explain(broken, None, IDS, method="gradient_x_input", target=original.target)
        assert float(found.correlation[number, 0]) == spearman(original.scores, after.scores)
        assert float(found.of_sizes[number, 0]) == spearman(original.scores.abs(), after.scores.abs())
    assert found.stages == list(stages(model)) and len(found.correlation) == len(found.stages)


def test_what_the_scores_do_not_depend_on_they_survive(model):
    blind = sanity_check(model, None, IDS, method="random")
    assert torch.equal(blind.correlation, torch.ones(5, 1, dtype=torch.float64))
    attention = sanity_check(model, None, IDS, method="attention", layer=1)
    kept = dict(zip(attention.stages, attention.correlation[:, 0].tolist(), strict=True))
    assert kept["head"] == kept["layer 2"] == 1  # shuffled above the layer that is read
    assert kept["layer 1"] < 1


def test_on_the_small_world(smallworld_model):
    model, tokenizer = smallworld_model
    texts = ["The Eiffel Tower is located in the city of", "The capital of France is", "Tall is the opposite of"]
    found = sanity_check(model, tokenizer, texts, method="gradient_x_input")
    assert found.correlation.shape == (len(found.stages), 3)
    assert abs(float(found.correlation[-1].mean())) < 0.6


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_model_stays_as_it_was(model, interrupted):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments[0])
        if interrupted and len(calls) == 4:
            raise KeyboardInterrupt
        return METHODS["rollout"](*arguments, **options)

    METHODS["counted"] = counted
    try:
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                sanity_check(model, None, IDS, method="counted")
        else:
            sanity_check(model, None, IDS, method="counted")
            assert len(calls) == 6
    finally:
        del METHODS["counted"]
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    model.eval()


def test_the_result_says_what_it_is(model):
    found = sanity_check(model, None, [IDS, IDS[:, :5]], method="rollout")
    assert "rollout" in repr(found) and "2 text(s)" in repr(found) and "embedding" in repr(found)
    assert f"{float(found.correlation[-1].mean()):.2f}" in repr(found)
    matplotlib.use("agg")
    axes = found.plot().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == found.stages


def test_a_model_whose_layers_are_not_known():
    from transformers import BloomConfig, BloomForCausalLM

    strange = BloomForCausalLM(BloomConfig(vocab_size=100, hidden_size=16, n_layer=1, n_head=2)).eval()
    with pytest.raises(ModelError):
        sanity_check(strange, None, IDS, method="random")
