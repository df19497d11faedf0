"""Figures: the same few forms and colours in every chapter.

Each figure paints its own light ground, so it reads the same on light and dark pages. Blue is for, orange against, grey
is everything else; the shades differ in lightness too, so they hold in grey print and for colour-blind readers.
`title` should state what the figure shows ("Rollout follows the first token, not the evidence"). Each function returns
the figure, which a notebook shows when it is a cell's last line.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from glassbox.errors import InputError
from glassbox.style import (
    BLUE,
    FAINT_INK,
    GREY,
    GROUND,
    INK,
    LINES,
    ORANGE,
    SHARE,
    SIGNED,
    colour_bar,
    grid_lines,
    plain,
    sheet,
    tick_labels,
    token_ticks,
)
from glassbox.weights import is_causal

if TYPE_CHECKING:
    from glassbox.attribution import Attribution


def token_bars(attribution: Attribution, *, title: str | None = None, evidence: Sequence[bool] | None = None) -> Figure:
    """A bar for each token, in the order of the text, beside the method's baseline if it has one.

    evidence: one truth value per token; bars of the evidence are blue and all others grey.
    """
    scores = attribution.scores.tolist()
    marked, otherwise = ([score >= 0 for score in scores], ORANGE) if evidence is None else (list(evidence), GREY)
    if len(marked) != len(scores):
        raise InputError(f"evidence has {len(marked)} entries; allowed: {len(scores)}, one for each token")
    places = range(len(scores))
    with sheet(title or attribution.heading, 7, 1.5 + 0.27 * len(scores)) as (figure, axes):
        axes.barh(places, scores, height=0.66, color=[BLUE if mark else otherwise for mark in marked])
        handles = []
        if evidence is not None:
            handles += [Patch(color=BLUE, label="evidence"), Patch(color=GREY, label="other tokens")]
        if "baseline" in attribution.details:
            mark = {"marker": "|", "markersize": 11, "markeredgewidth": 1.8, "color": INK, "linestyle": ""}
            halo = [withStroke(linewidth=4, foreground=GROUND)]  # keeps the mark apart from a dark bar
            baseline = attribution.details["baseline"].numpy()
            handles += axes.plot(baseline, places, **mark, path_effects=halo, label="uniform attention")
        axes.set_yticks(places, tick_labels(attribution.tokens))
        axes.set_ylim(len(scores) - 0.5, -0.5)
        axes.axvline(0, color=FAINT_INK, lw=0.8)
        axes.set(xlabel=f"{attribution.method} score", ylabel="token")
        grid_lines(axes, "x")
        if handles:
            axes.legend(handles=handles, loc="best")
    return figure


def token_strip(
    attributions: Sequence[Attribution], *, title: str, names: Sequence[str] | None = None, label: str = "method"
) -> Figure:
    """Several attributions of one text, one below the other; each is scaled by its largest absolute score.

    names:  what to call each of them, where it is not the method; label: what the names are.
    """
    tokens = attributions[0].tokens
    for attribution in attributions:
        if attribution.tokens != tokens:
            raise InputError("the attributions are of different texts; allowed: one text")
    scores = torch.stack([attribution.scaled for attribution in attributions])  # (row, seq)
    with sheet(title, 1.8 + 0.52 * len(tokens), 1.6 + 0.42 * len(attributions)) as (figure, axes):
        colours, lowest = (SIGNED, -1) if (scores < 0).any() else (SHARE, 0)
        image = axes.imshow(scores.numpy(), cmap=colours, vmin=lowest, vmax=1, aspect="auto")
        token_ticks(axes, tokens)
        axes.set_yticks(range(len(attributions)), names or [attribution.method for attribution in attributions])
        axes.set(xlabel="token", ylabel=label)
        colour_bar(figure, image, axes, "score / largest")
    return figure


def attention_map(
    weights: torch.Tensor, tokens: Sequence[str], *, title: str, label: str = "attention weight"
) -> Figure:
    """One matrix (query, key): which token looks at which. What a causal mask forbids stays blank."""
    weights = _matrices(weights[None], tokens)[0]  # (query, key)
    side = 1.6 + 0.3 * len(tokens)
    with sheet(title, max(side + 1, 4.5), max(side, 3.5)) as (figure, axes):
        image = _map(axes, weights, float(weights.max()))
        token_ticks(axes, tokens)
        axes.set_yticks(range(len(tokens)), tick_labels(tokens))
        axes.set(xlabel="key: looked at", ylabel="query: looking")
        colour_bar(figure, image, axes, label)
    return figure


def attention_grid(
    weights: torch.Tensor,
    tokens: Sequence[str],
    *,
    title: str,
    names: Sequence[str] | None = None,
    label: str = "attention weight",
) -> Figure:
    """Several matrices (panel, query, key) in one scale, for instance one per layer or one per head."""
    weights = _matrices(weights, tokens)
    names = names or [f"layer {number}" for number in range(len(weights))]
    many = len(weights) > 16  # then the patterns are to be seen, and no token can be named
    columns = 8 if many else min(len(weights), 3 if len(weights) in (5, 6, 9) else 4)
    rows = ceil(len(weights) / columns)
    side = 1.05 if many else min(max(0.19 * len(tokens), 1.6), 3.2)  # of one panel, in inches
    size = min(8, 64 * side / len(tokens))
    with sheet(title, 1.9 + (side + 0.15) * columns, 1.5 + (side + 0.2) * rows, rows, columns) as (figure, axes):
        panels = axes.flat if len(weights) > 1 else [axes]
        for number, panel in enumerate(panels):
            if number >= len(weights):
                panel.set_visible(False)
                continue
            image = _map(panel, weights[number], float(weights.max()))
            panel.set_title(names[number])
            panel.set(xticks=[], yticks=[])
            if number % columns == 0 and not many:
                panel.set_yticks(range(len(tokens)), tick_labels(tokens), fontsize=size)
            if number + columns >= len(weights) and not many:
                token_ticks(panel, tokens, fontsize=size)
        figure.supxlabel("key: looked at", fontsize=10, color=FAINT_INK)
        figure.supylabel("query: looking", fontsize=10, color=FAINT_INK)
        colour_bar(figure, image, axes, label)
    return figure


def layer_lines(values: torch.Tensor, names: Sequence[str], *, title: str, label: str) -> Figure:
    """A line for each name over the layers; values (layer, name). At most eight, since more can't be told apart."""
    values = torch.as_tensor(values).detach().float()
    if values.ndim != 2 or values.shape[1] != len(names) or not 1 <= len(names) <= len(LINES):
        shape, allowed = tuple(values.shape), f"(layer, name), with 1 to {len(LINES)} names"
        raise InputError(f"values have the shape {shape} for {len(names)} names; allowed: {allowed}")
    layers = range(len(values))
    with sheet(title, 7, 4) as (figure, axes):
        for line, colour in zip(values.T.numpy(), LINES, strict=False):
            axes.plot(layers, line, color=colour, lw=2, marker="o", ms=4)
        low, high = axes.get_ylim()
        heights = _spread(values[-1].tolist(), gap=0.055 * (high - low), top=high)
        for name, height, colour in zip(tick_labels(names), heights, LINES, strict=False):
            axes.annotate(name, (layers[-1], height), (8, 0), textcoords="offset points", va="center", color=colour)
        axes.set_xticks(layers)
        axes.set(xlabel="layer", ylabel=label)
        grid_lines(axes, "y")
    return figure


def rates(values: dict[str, dict[str, float]], *, title: str, label: str, chance: dict[str, float], by: str) -> Figure:
    """For each group a mark between 0 and 1 for each thing compared, and one for chance.

    values: {what is compared: {group: rate}}, at most eight; chance: {group: rate}, in the order to be shown; by: what
    the groups are.
    """
    if not 1 <= len(values) <= len(LINES) or any(set(rate) != set(chance) for rate in values.values()):
        raise InputError(f"allowed: 1 to {len(LINES)} things to compare, each with a rate for each group of chance")
    places = range(len(chance))
    with sheet(title, 7, 1.6 + 0.27 * len(chance)) as (figure, axes):
        for (name, rate), colour, form in zip(values.items(), LINES, "osD^vPX*", strict=False):
            axes.plot([rate[group] for group in chance], places, form, color=colour, ms=6, alpha=0.85, label=name)
        axes.plot(list(chance.values()), places, "|", color=INK, ms=11, mew=1.8, label="chance")
        axes.set_yticks(places, [plain(group) for group in chance])
        axes.set_ylim(len(chance) - 0.5, -0.5)
        axes.set(xlabel=label, ylabel=by, xlim=(-0.02, 1.02))
        grid_lines(axes, "both")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _matrices(weights: torch.Tensor, tokens: Sequence[str]) -> torch.Tensor:
    weights = torch.as_tensor(weights).detach().float().cpu()
    if weights.ndim != 3 or weights.shape[1:] != (len(tokens), len(tokens)):
        shape, seq = tuple(weights.shape), len(tokens)
        raise InputError(f"weights have the shape {shape}; allowed: panels of ({seq}, {seq}), for the {seq} tokens")
    return weights


def _map(axes: Axes, weights: torch.Tensor, largest: float) -> AxesImage:
    """One matrix as an image; a triangle that holds nothing at all is left blank."""
    future = torch.ones_like(weights).triu(1).bool()
    shown = weights.masked_fill(future, torch.nan) if is_causal(weights) else weights
    axes.spines[:].set_visible(False)
    return axes.imshow(shown.numpy(), cmap=SHARE, vmin=0, vmax=largest or 1.0, interpolation="nearest")


def _spread(heights: list[float], gap: float, top: float) -> list[float]:
    """The same heights moved apart, upwards and then down from the top, so that labels at them do not overlap."""
    moved = list(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for lower, upper in pairwise(order):
        moved[upper] = max(moved[upper], moved[lower] + gap)
    moved[order[-1]] = min(moved[order[-1]], top)
    for upper, lower in pairwise(reversed(order)):
        moved[lower] = min(moved[lower], moved[upper] - gap)
    return moved
