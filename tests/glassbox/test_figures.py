"""Figures say what they show: labels, scales, colours; and drawing leaves matplotlib as it was."""

import io
import warnings
from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import glassbox as gb
from glassbox import charts, figures, style
from glassbox.attention import rollout, uniform_attention
from glassbox.errors import InputError

TOKENS = ["<|start|>", "The", " Tower", " of"]


@pytest.fixture(autouse=True)
def _no_screen():
    matplotlib.use("agg")


@pytest.fixture
def attribution(model, tokenizer):
    return gb.explain(model, tokenizer, "The unseen Tower is in", method="rollout")


def causal(panels=1):
    weights = torch.rand(panels, 4, 4).tril()
    return weights / weights.sum(-1, keepdim=True)


def every_figure(attribution):
    signed = gb.Attribution(
        **{**vars(attribution), "scores": torch.linspace(-1, 1, len(attribution.tokens)), "details": {}}
    )
    evidence = [True, False, False, True, False, False]
    return {
        "plot": attribution.plot(title="Finding"),
        "evidence": figures.token_bars(attribution, title="Finding", evidence=evidence),
        "signed": figures.token_bars(signed, title="Finding"),
        "strip": figures.token_strip([attribution, signed], title="Finding"),
        "rates": figures.rates(
            {"one": {"a": 0.2, "b": 1.0}}, title="Finding", label="share", chance={"a": 0.1, "b": 0}, by="family"
        ),
        "map": figures.attention_map(causal()[0], TOKENS, title="Finding"),
        "one panel": figures.attention_grid(causal(1), TOKENS, title="Finding"),
        "five panels": figures.attention_grid(causal(5), TOKENS, title="Finding"),
        "every head": figures.attention_grid(causal(48), TOKENS, title="Finding"),
        "bars": charts.bars(TOKENS, torch.linspace(-1, 1, 4), title="Finding", label="share", names_are="token"),
        "curves": charts.curves([1, 5], {"a": [0.1, 0.3]}, title="Finding", label="share", over="steps"),
        "eight panels": figures.attention_grid(causal(8), TOKENS, title="Finding"),
        "lines": figures.layer_lines(torch.rand(6, 4), TOKENS, title="Finding", label="share"),
    }


def axis_names(figure):
    """The labels of the x and the y axis, whether they stand at the axes or at the whole figure."""
    x = {figure.get_supxlabel(), *(axes.get_xlabel() for axes in figure.axes)} - {""}
    y = {figure.get_supylabel(), *(axes.get_ylabel() for axes in figure.axes)} - {""}
    return x, y


def drawn(figure):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


def test_every_figure_has_title_and_axis_names_and_draws_without_a_warning(attribution):
    before = dict(matplotlib.rcParams)
    for name, figure in every_figure(attribution).items():
        assert figure.get_suptitle() == "Finding", name
        assert all(axis_names(figure)), name
        assert drawn(figure).startswith(b"\x89PNG"), name
        assert matplotlib.colors.to_hex(figure.get_facecolor()) == style.GROUND, name
    assert dict(matplotlib.rcParams) == before
    assert not plt.get_fignums()  # a figure that pyplot still held would show twice in a notebook


def test_nothing_is_left_open_by_a_figure_that_fails(attribution):
    with pytest.raises(ValueError):
        figures.token_strip([attribution], title="Finding", names=["one", "too many"])
    assert not plt.get_fignums()


def test_token_bars(attribution):
    axes = attribution.plot().axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(attribution.scores.tolist())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["The", "un", "seen", "Tower", "is", "in"]
    [marks] = [line for line in axes.lines if line.get_label() == "uniform attention"]
    assert marks.get_xdata() == pytest.approx(rollout(uniform_attention(3, 6))[0, -1].numpy(), abs=1e-6)
    assert axes.yaxis_inverted()  # the text runs from top to bottom
    assert attribution.plot().get_suptitle() == attribution.heading


def test_colours_of_bars(attribution):
    def colours(figure):
        return [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches]

    figure = figures.token_bars(attribution, evidence=[True, False, False, True, False, False])
    assert colours(figure) == [style.BLUE if mark else style.GREY for mark in (1, 0, 0, 1, 0, 0)]
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == [
        "evidence",
        "other tokens",
        "uniform attention",
    ]
    attribution.scores = torch.tensor([1.0, -1, 1, -1, 1, 0])
    assert colours(figures.token_bars(attribution)) == [
        style.BLUE if s >= 0 else style.ORANGE for s in attribution.scores
    ]


def test_evidence_must_fit(attribution):
    with pytest.raises(InputError, match="evidence has 2 entries; allowed: 6"):
        figures.token_bars(attribution, evidence=[True, False])


def test_future_is_blank_for_causal_weights_only():
    shown = figures.attention_map(causal()[0], TOKENS, title="x").axes[0].images[0].get_array()
    assert np.array_equal(np.ma.getmaskarray(np.ma.masked_invalid(shown)), np.triu(np.ones((4, 4)), 1))
    full = figures.attention_map(torch.full((4, 4), 0.25), TOKENS, title="x").axes[0].images[0].get_array()
    assert not np.ma.getmaskarray(np.ma.masked_invalid(full)).any()


def test_panels_share_one_scale():
    weights = torch.stack([torch.full((4, 4), 0.1), torch.full((4, 4), 0.25), torch.full((4, 4), 0.9)])
    figure = figures.attention_grid(weights, TOKENS, title="x", names=["a", "b", "c"])
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]
    assert [image.get_clim() for image in images] == [(0, pytest.approx(0.9))] * 3


def test_strip_scales_each_row_by_its_largest(attribution):
    twice = gb.Attribution(**{**vars(attribution), "scores": -2 * attribution.scores})
    rows = figures.token_strip([attribution, twice], title="x").axes[0].images[0].get_array()
    assert np.allclose(rows[0], attribution.scores / attribution.scores.max())
    assert np.allclose(rows[1], -rows[0])


def test_strip_is_of_one_text(attribution, model, tokenizer):
    other = gb.explain(model, tokenizer, "The Tower", method="rollout")
    with pytest.raises(InputError, match="different texts"):
        figures.token_strip([attribution, other], title="x")


def test_odd_tokens_are_shown_as_they_are():
    tokens = ["$x$", " \n", " ", " 日本", " internationalisation"]
    figure = figures.attention_map(torch.eye(5), tokens, title="$5 to $6")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [r"\$x\$", r"\n", "␣", "□□", "internationalis…"]
    assert figure.get_suptitle() == r"\$5 to \$6"
    drawn(figure)


def boxes(texts, figure):
    figure.canvas.draw()
    return [text.get_window_extent() for text in texts if text.get_text()]


@pytest.mark.parametrize("values", [torch.full((3, 8), 0.5), torch.eye(8), torch.arange(2)[:, None].expand(2, 8)])
def test_names_of_lines_do_not_overlap(values):
    figure = figures.layer_lines(values, [f"name {number}" for number in range(8)], title="x", label="share")
    names = sorted(boxes(figure.axes[0].texts, figure), key=lambda box: box.y0)
    frame = figure.axes[0].get_window_extent()
    assert len(names) == 8
    assert not any(one.overlaps(other) for one, other in pairwise(names))
    assert frame.y0 - 10 < names[0].y0 and names[-1].y1 < frame.y1 + 10
    assert all(frame.x1 - 30 < name.x0 and name.x1 <= figure.bbox.x1 for name in names)


@pytest.mark.parametrize("tokens", [TOKENS, TOKENS * 6])
def test_names_of_tokens_do_not_overlap(tokens):
    figure = figures.attention_map(torch.eye(len(tokens)), tokens, title="x")
    names = boxes(figure.axes[0].get_yticklabels(), figure)
    assert len(names) == len(tokens)
    assert not any(one.overlaps(other) for one, other in pairwise(names))


@pytest.mark.parametrize("weights", [torch.ones(3, 3), torch.ones(2, 4, 4)])
def test_map_needs_one_matrix_that_fits(weights):
    with pytest.raises(InputError, match=r"allowed: panels of \(4, 4\), for the 4 tokens"):
        figures.attention_map(weights, TOKENS, title="x")


@pytest.mark.parametrize(
    ("values", "names"), [(torch.ones(3, 2), ["a"]), (torch.ones(3), ["a"]), (torch.ones(3, 9), "abcdefghi")]
)
def test_lines_need_a_name_each_and_at_most_eight(values, names):
    with pytest.raises(InputError, match=r"allowed: \(layer, name\), with 1 to 8 names"):
        figures.layer_lines(values, names, title="x", label="y")


def test_rates_stand_in_the_order_of_chance_and_tell_what_they_compare():
    values = {"rollout": {"b": 0.25, "a": 0.5}, "last layer": {"a": 1.0, "b": 0.0}}
    axes = figures.rates(values, title="x", label="y", chance={"a": 0.1, "b": 0.2}, by="family").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    drawn = {line.get_label(): list(line.get_xdata()) for line in axes.lines}
    assert drawn == {"rollout": [0.5, 0.25], "last layer": [1.0, 0.0], "chance": [0.1, 0.2]}
    assert len({line.get_marker() for line in axes.lines}) == 3  # told apart without colour too
    with pytest.raises(InputError, match="a rate for each group"):
        figures.rates({"one": {"a": 1.0}}, title="x", label="y", chance={"b": 1.0}, by="z")


def test_a_strip_without_negative_scores_has_a_scale_from_zero(attribution):
    strip = figures.token_strip([attribution], title="x", label="layer")
    assert strip.axes[0].images[0].get_clim() == (0, 1)
    assert strip.axes[0].get_ylabel() == "layer"


def test_bars_are_coloured_by_their_sign_and_stand_in_order():
    figure = charts.bars(["up", "down"], torch.tensor([2.0, -1.0]), title="x", label="y", names_are="word")
    painted = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches]
    assert painted == [style.BLUE, style.ORANGE]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["up", "down"]
    with pytest.raises(InputError, match="one for each name"):
        charts.bars(["a"], torch.zeros(2), title="x", label="y", names_are="word")


def test_curves_are_at_most_eight_and_named():
    figure = charts.curves([1, 2], {"a": [1.0, 2.0], "b": [0.0, 1.0]}, title="x", label="y", over="steps")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([1.0, 2.0])
    with pytest.raises(InputError, match="1 to 8"):
        charts.curves([1], {str(n): [0.0] for n in range(9)}, title="x", label="y", over="steps")
