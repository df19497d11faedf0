"""Grids: a row for each layer, the last on top, and in each cell what was found there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from glassbox.errors import InputError
from glassbox.style import GROUND, INK, SHARE, SIGNED, colour_bar, sheet, tick_labels, token_ticks


def layer_grid(
    values: torch.Tensor,
    layers: Sequence[int],
    names: Sequence[str],
    *,
    title: str,
    label: str,
    columns: str,
    rows: str = "layer",
    texts: Sequence[Sequence[str]] | None = None,
    signed: bool = False,
) -> Figure:
    """One value for each layer and column as colour, and a text in each cell.

    values:  (layer, column), 0 to 1 or, if signed, of any size; names: of the columns; columns, rows: what these are.
    texts:   a row for each layer, a text for each column; None leaves the cells empty.
    """
    values = torch.as_tensor(values).detach().float().cpu()
    if values.shape != (len(layers), len(names)) or not values.numel():
        allowed = f"({len(layers)}, {len(names)}), a row for each layer and a column for each name"
        raise InputError(f"values have the shape {tuple(values.shape)}; allowed: {allowed}")
    largest = float(values.abs().max()) or 1.0
    limits = {"cmap": SIGNED, "vmin": -largest, "vmax": largest} if signed else {"cmap": SHARE, "vmin": 0, "vmax": 1}
    with sheet(title, 1.9 + 0.8 * len(names), 1.7 + 0.3 * len(layers)) as (figure, axes):
        image = axes.imshow(values.numpy(), aspect="auto", origin="lower", **limits)
        for row, line in enumerate(texts or ()):
            for column, text in enumerate(tick_labels(line)):
                red, green, blue, _ = image.to_rgba(float(values[row, column]))
                dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.55
                text = text if len(text) <= 10 else text[:9] + "…"
                axes.text(column, row, text, ha="center", va="center", size=8, color=GROUND if dark else INK)
        axes.spines[:].set_visible(False)
        token_ticks(axes, names)
        axes.set_yticks(range(len(layers)), list(layers))
        axes.set(xlabel=columns, ylabel=rows)
        colour_bar(figure, image, axes, label)
    return figure
