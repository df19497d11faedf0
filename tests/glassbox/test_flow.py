"""Attention flow against numbers worked by hand, and against networkx's maximum flow."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES
from tests.glassbox.test_attention import attentions, close, is_encoder, random_attentions, run

import glassbox as gb
from glassbox.attention import layer_steps
from glassbox.errors import InputError
from glassbox.flow import attention_flow, maximum_flow


def test_maximum_flow_by_hand():
    # From token 2 at the top: 0.6 reaches token 1 in the middle, where 0.9 goes on to token 0 but only 0.1 to itself.
    below = torch.tensor([[1.0, 0, 0], [0.9, 0.1, 0], [0, 0.2, 0.8]], dtype=torch.float64)
    above = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.1, 0.6, 0.3]], dtype=torch.float64)
    assert close(maximum_flow([below, above], 2), [0.1 + 0.6, 0.1 + 0.2, 0.3], 1e-8)
    assert close(maximum_flow([below, above], 2), maximum_flow([below, above], -1), 0)


def by_networkx(steps, position, tokens=None):
    graph = nx.DiGraph()
    for layer, step in enumerate(steps, start=1):
        for query, row in enumerate(step.tolist()):
            graph.add_edges_from(
                ((layer, query), (layer - 1, key), {"capacity": width}) for key, width in enumerate(row)
            )
    top = (len(steps), position)
    return np.array([nx.maximum_flow_value(graph, top, (0, j)) for j in tokens or range(len(steps[0]))])


@settings(deadline=None, max_examples=30)
@given(layers=attentions(), data=st.data())
def test_attention_flow_against_networkx(layers, data):
    position = data.draw(st.integers(0, layers[0].shape[-1] - 1))
    flow = attention_flow(layers, position)
    for text in range(len(flow)):
        steps = [(layer[text].mean(0) + torch.eye(layer.shape[-1])) / 2 for layer in layers]
        widths = by_networkx(steps, position)
        agree("attention_flow", "random weights", "networkx", maximum_flow(steps, position), widths, 1e-6)
        agree("attention_flow", "random weights", "networkx", flow[text], widths / widths.sum(), 1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_sixty_four_tokens_in_six_layers(causal):
    layers = random_attentions(layers=6, batch=1, heads=2, seq=64, causal=causal)
    steps = [step[0] for step in layer_steps(layers)]
    some = [0, 31]  # networkx takes a second for each
    agree("attention_flow", "random weights", "networkx", maximum_flow(steps, 63)[some], by_networkx(steps, 63, some))


def test_attention_flow_passes_its_options_on():
    layers = random_attentions(layers=2, batch=1)
    step = [(0.7 * layer.amax(1) + 0.3 * torch.eye(5))[0] for layer in layers]
    widths = by_networkx([matrix / matrix.sum(-1, keepdim=True) for matrix in step], 4)
    assert close(attention_flow(layers, residual_weight=0.3, fuse="max")[0], widths / widths.sum(), 1e-6)


def test_attention_flow_of_bad_input():
    with pytest.raises(InputError, match="there is no position 5; allowed: -5 to 4"):
        attention_flow(random_attentions(), position=5)
    with pytest.raises(InputError, match="no attention weights"):
        attention_flow([])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_explain_by_attention_flow(build, name):
    model, ids = build(name), torch.randint(1, 300, (1, 7))
    layers = [layer.double() for layer in run(model, ids)]
    a = gb.explain(model, None, ids, method="attention_flow", position=3, residual_weight=0.3, fuse="max")
    widths = by_networkx([step[0] for step in layer_steps(layers, 0.3, "max")], 3)
    agree("attention_flow", name, "networkx", a.scores, widths / widths.sum())
    first = is_encoder(name) and "classifier" in name
    b = gb.explain(model, None, ids, method="attention_flow")
    assert close(b.scores, attention_flow(layers, 0 if first else -1)[0], 1e-6)
