"""Charts of numbers that belong to no token of one text: a bar for each name, a line over a knob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from glassbox.errors import InputError
from glassbox.style import (
    BLUE,
    GROUND,
    INK,
    LINES,
    ORANGE,
    SIGNED,
    colour_bar,
    grid_lines,
    plain,
    sheet,
    tick_labels,
)


def bars(names: Sequence[str], values: torch.Tensor, *, title: str, label: str, names_are: str) -> Figure:
    """A bar for each name from the top down, blue for positive values and orange for negative.

    label: what the values are; names_are: what the names are.
    """
    values = torch.as_tensor(values).detach().float()
    if values.shape != (len(names),) or not len(names):
        raise InputError(f"values have the shape {tuple(values.shape)}; allowed: ({len(names)},), one for each name")
    with sheet(title, 6.5, 1.4 + 0.28 * len(names)) as (figure, axes):
        places = range(len(names))
        axes.barh(places, values.tolist(), color=[BLUE if value >= 0 else ORANGE for value in values.tolist()])
        axes.set_yticks(places, tick_labels(names))
        axes.invert_yaxis()
        axes.set(xlabel=label, ylabel=names_are)
        grid_lines(axes, "x")
    return figure


def curves(
    knob: Sequence[float],
    values: Mapping[str, torch.Tensor],
    *,
    title: str,
    label: str,
    over: str,
) -> Figure:
    """A line over a knob's settings for each name, at most eight; label: what values are; over: what the knob is."""
    if not 1 <= len(values) <= len(LINES):
        raise InputError(f"there are {len(values)} lines; allowed: 1 to {len(LINES)}, since more can't be told apart")
    with sheet(title, 6.5, 3.6) as (figure, axes):
        for (name, line), colour, mark in zip(values.items(), LINES, "os^Dv<>p", strict=False):
            axes.plot(list(knob), [float(value) for value in line], color=colour, marker=mark, markersize=4, label=name)
        axes.set_xlabel(over)
        axes.set_ylabel(label)
        if len(values) > 1:
            axes.legend()
        grid_lines(axes, "y")
    return figure


def agreement(values: np.ndarray, names: Sequence[str], *, title: str, label: str) -> Figure:
    """A square of numbers from -1 to 1, (name, name), written on their colours; label: what the values are."""
    if values.shape != (len(names), len(names)) or not len(names):
        allowed = f"({len(names)}, {len(names)}), for each name a row and a column"
        raise InputError(f"values have the shape {values.shape}; allowed: {allowed}")
    side = 2.2 + 0.55 * len(names)
    with sheet(title, side + 2, side) as (figure, axes):
        image = axes.imshow(values, cmap=SIGNED, vmin=-1, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            ink = GROUND if abs(value) > 0.6 else INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=8, color=ink)
        axes.spines[:].set_visible(False)
        shown = [plain(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), shown)
        axes.set(xlabel="method", ylabel="method")
        colour_bar(figure, image, axes, label)
    return figure
