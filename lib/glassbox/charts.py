"""Charts of numbers that belong to no token of one text: a bar for each name, a line over a knob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from glassbox.errors import InputError
from glassbox.figures import (
    BLUE,
    GROUND,
    INK,
    LINES,
    ORANGE,
    SIGNED,
    _colour_bar,
    _figure,
    _grid,
    _labels,
    _plain,
)


def bars(names: Sequence[str], values: torch.Tensor, *, title: str, label: str) -> Figure:
    """A bar for each name from the top down, blue for positive values and orange for negative; label: what they are."""
    values = torch.as_tensor(values).detach().float()
    if values.shape != (len(names),) or not len(names):
        raise InputError(f"values have the shape {tuple(values.shape)}; allowed: ({len(names)},), one for each name")
    with _figure(title, 6.5, 1.4 + 0.28 * len(names)) as (figure, axes):
        places = range(len(names))
        axes.barh(places, values.tolist(), color=[BLUE if value >= 0 else ORANGE for value in values.tolist()])
        axes.set_yticks(places, _labels(names))
        axes.invert_yaxis()
        axes.set_xlabel(label)
        _grid(axes, "x")
    return figure


def curves(
    knob: Sequence[float],
    values: Mapping[str, torch.Tensor],
    *,
    title: str,
    label: str,
    over: str,
    band: Mapping | None = None,
) -> Figure:
    """A line over a knob's settings for each name, at most eight; label: what the values are; over: what the knob is.

    band:  name -> (lowest, highest), each one value for each setting, drawn as a shade.
    """
    if not 1 <= len(values) <= len(LINES):
        raise InputError(f"there are {len(values)} lines; allowed: 1 to {len(LINES)}, since more can't be told apart")
    with _figure(title, 6.5, 3.6) as (figure, axes):
        for (name, line), colour, mark in zip(values.items(), LINES, "os^Dv<>p", strict=False):
            axes.plot(list(knob), [float(value) for value in line], color=colour, marker=mark, markersize=4, label=name)
            if band and name in band:
                low, high = ([float(value) for value in edge] for edge in band[name])
                axes.fill_between(list(knob), low, high, color=colour, alpha=0.18, lw=0)
        axes.set_xlabel(over)
        axes.set_ylabel(label)
        if len(values) > 1:
            axes.legend()
        _grid(axes, "y")
    return figure


def agreement(values: np.ndarray, names: Sequence[str], *, title: str, label: str) -> Figure:
    """A square of numbers from -1 to 1, (name, name), written on their colours; label: what the values are."""
    if values.shape != (len(names), len(names)) or not len(names):
        allowed = f"({len(names)}, {len(names)}), for each name a row and a column"
        raise InputError(f"values have the shape {values.shape}; allowed: {allowed}")
    side = 2.2 + 0.55 * len(names)
    with _figure(title, side + 2, side) as (figure, axes):
        image = axes.imshow(values, cmap=SIGNED, vmin=-1, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            ink = GROUND if abs(value) > 0.6 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=8, color=ink)
        axes.spines[:].set_visible(False)
        shown = [_plain(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), shown)
        axes.set(xlabel="method", ylabel="method")
        _colour_bar(figure, image, axes, label)
    return figure
