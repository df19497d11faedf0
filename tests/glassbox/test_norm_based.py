"""Norm-based attention against numbers worked by hand, and against what W_O itself gives for one look at a time."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.architectures import ARCHITECTURES
from tests.glassbox.test_attention import close, is_encoder, run, unknown_model  # noqa: F401 (a fixture)
from transformers.pytorch_utils import Conv1D

import glassbox as gb
from glassbox.attention_function import attention_by
from glassbox.errors import InputError, ModelError
from glassbox.norm_based import norms_by_head, norms_together, transformed_values

IDS = torch.tensor([[5, 17, 250, 3, 99, 42]])


def linear(weight):
    """A map whose output is x @ weight."""
    layer = torch.nn.Linear(len(weight), len(weight[0]), bias=False)
    layer.weight.data = torch.tensor(weight, dtype=torch.float64).T
    return layer


# Two heads of one dimension; values (batch, head, key, dim) of two tokens. The first head writes to the first number of
# the stream, the second to both.
VALUES = torch.tensor([[[[3.0], [0.1]], [[1.0], [-10.0]]]], dtype=torch.float64)
W_O = [[2.0, 0.0], [3.0, 4.0]]
WEIGHTS = torch.tensor([[[[1.0, 0.0], [0.2, 0.8]], [[1.0, 0.0], [0.5, 0.5]]]], dtype=torch.float64)


def test_two_tokens_by_hand():
    transformed = transformed_values(VALUES, linear(W_O))
    assert close(transformed, [[[[6, 0], [0.2, 0]], [[3, 4], [-30, -40]]]])
    # The second token looks four times as much at itself with the first head, which brings a seventh of what it might.
    assert close(norms_by_head(WEIGHTS, transformed), [[[[6, 0], [1.2, 0.16]], [[5, 0], [2.5, 25]]]])
    together = [[(9**2 + 4**2) ** 0.5, 0], [(2.7**2 + 2**2) ** 0.5, (14.84**2 + 20**2) ** 0.5]]
    assert close(norms_together(WEIGHTS, transformed), [together])


def test_half_precision_is_left_before_anything_is_multiplied():
    # Float16 ends at 65504, and has no 2049.
    transformed = transformed_values(torch.tensor([[[[683.0]]]]).half(), linear([[3.0, 100.0]]).half())
    assert transformed.dtype == torch.float32 and transformed.flatten().tolist() == [2049, 68300]
    assert norms_together(torch.ones(1, 1, 1, 1).half(), transformed).isfinite().all()


def test_heads_that_write_against_each_other_cancel():
    transformed = transformed_values(torch.tensor([[[[1.0]], [[1.0]]]]).double(), linear([[1.0, 2.0], [-1.0, -2.0]]))
    weights = torch.ones(1, 2, 1, 1, dtype=torch.float64)
    assert close(norms_by_head(weights, transformed), 5**0.5)
    assert close(norms_together(weights, transformed), 0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.booleans(), st.integers(0, 10**6))
def test_against_loops(batch, heads, dim, seq, conv, seed):
    draw = torch.Generator().manual_seed(seed)
    weights = torch.rand(batch, heads, seq, seq, generator=draw, dtype=torch.float64)
    values = torch.randn(batch, heads, seq, dim, generator=draw, dtype=torch.float64)
    projection = (Conv1D(7, heads * dim) if conv else torch.nn.Linear(heads * dim, 7)).double()
    transformed = transformed_values(values, projection)
    apart, together = norms_by_head(weights, transformed), norms_together(weights, transformed)
    for text in range(batch):
        for i in range(seq):
            for j in range(seq):
                brought = torch.zeros(7, dtype=torch.float64)
                for head in range(heads):
                    mixed = torch.zeros(heads * dim, dtype=torch.float64)
                    mixed[head * dim : (head + 1) * dim] = weights[text, head, i, j] * values[text, head, j]
                    vector = projection(mixed) - projection.bias
                    assert close(apart[text, head, i, j].detach(), vector.norm().detach())
                    brought += vector
                assert close(together[text, i, j], brought.norm().detach())
    assert (together <= apart.sum(1) + 1e-12).all()


def looks_one_by_one(model, layer, position):
    """What W_O gives, less its bias, when all but one head are silent and it takes the value of one token only.

    By the model's own attention, (head, key, width).
    """
    parts = gb.anatomy(model)
    attention, projection, heads = parts.attentions[layer], parts.output_projections[layer], parts.heads
    brought = torch.zeros(heads, IDS.shape[1], model.config.hidden_size, dtype=torch.float64)
    for head in range(heads):
        for token in range(IDS.shape[1]):

            def one_look(module, query, key, value, *rest, head=head, token=token, **more):
                own = sys.modules[type(module).__module__].eager_attention_forward
                if module is attention:
                    value = torch.zeros_like(value).index_copy(2, torch.tensor([token]), value[:, :, token : token + 1])
                mixed, weights = own(module, query, key, value, *rest, **more)  # (batch, seq, head, dim)
                if module is attention:
                    silent = torch.ones(heads, 1, dtype=mixed.dtype).index_fill(0, torch.tensor([head]), 0)
                    mixed = mixed - silent * mixed
                return mixed, weights

            seen = []
            handle = projection.register_forward_hook(lambda module, inputs, output: seen.append(output))  # noqa: B023
            with attention_by(model, one_look), torch.no_grad():
                model(IDS)
            handle.remove()
            bias = 0 if projection.bias is None else projection.bias.detach()
            brought[head, token] = seen[0][0, position] - bias
    return brought


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_on_every_architecture(build, name):
    model = build(name, dtype=torch.float64)
    brought = looks_one_by_one(model, layer=1, position=4)
    a = gb.explain(model, None, IDS, method="attention_norms", position=4, layer=1)
    largest = float(brought.norm(dim=-1).max())
    # Llama and its kin round their weights to float32, and the scores are float32.
    assert close(a.scores / largest, brought.sum(0).norm(dim=-1) / largest, 1e-6)
    assert close(a.details["norms"] / largest, brought.norm(dim=-1) / largest, 1e-6)
    assert close(a.details["weights"], run(model, IDS)[1][0, :, 4], 1e-6)
    assert close(a.details["norms"], a.details["weights"] * a.details["value_norms"], 1e-6 * largest)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_row_by_default_and_the_last_layer(build, name):
    model = build(name)
    first = is_encoder(name) and "classifier" in name
    default = gb.explain(model, None, IDS, method="attention_norms").scores
    chosen = gb.explain(model, None, IDS, method="attention_norms", position=0 if first else 5, layer=2).scores
    assert torch.equal(default, chosen)


def test_any_attention_implementation_will_do(build):
    eager, fused = build("llama"), build("llama", "sdpa")
    a, b = (gb.explain(model, None, IDS, method="attention_norms") for model in (eager, fused))
    assert close(a.scores, b.scores, 1e-5)
    assert fused.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision(build, name, dtype):
    exact = gb.explain(build(name), None, IDS, method="attention_norms").scores
    half = gb.explain(build(name, dtype=dtype), None, IDS, method="attention_norms").scores
    assert half.dtype == torch.float32
    assert close(half / exact.max(), exact / exact.max(), 4 * torch.finfo(dtype).eps)  # measured: 3.4


def test_what_cannot_be_done(build, unknown_model):  # noqa: F811
    with pytest.raises(InputError, match="there is no layer 3; allowed: -3 to 2"):
        gb.explain(build("gpt2"), None, IDS, method="attention_norms", layer=3)
    with pytest.raises(ModelError, match="is not known, and this method needs it"):
        gb.explain(unknown_model("eager"), None, IDS % 50, method="attention_norms")


def test_a_head_may_look_at_the_start_token_and_bring_little_of_it(smallworld_model):
    a = gb.explain(*smallworld_model, "The Eiffel Tower is located in the city of", method="attention_norms", layer=0)
    share = {what: a.details[what][:, 0].sum() / a.details[what].sum() for what in ("weights", "norms")}
    assert share["norms"] < share["weights"]
