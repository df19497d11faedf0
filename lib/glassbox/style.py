"""The look of every figure: its colours, its ground, its grid and its names."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

GROUND, INK, FAINT_INK, GRID = "#fcfcfb", "#1b1b1a", "#5f5e59", "#e3e2dd"
BLUE, ORANGE, GREY = "#2468b4", "#d95926", "#a9a8a1"
LINES = [BLUE, ORANGE, "#158a62", "#b07a00", "#8a4fc4", "#d0457f", "#4c4c48", "#38a3c7"]
# The low end rises fast: most weights are small, and the first row of causal attention is always 1.
SHARE = LinearSegmentedColormap.from_list(
    "share", [(0, "#edf2f9"), (0.15, "#b5d0f0"), (0.4, "#6ba3e0"), (0.7, BLUE), (1, "#0d2f5e")]
)
SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#8f3208", ORANGE, "#f3c3ab", "#f1f0ec", "#b5d0f0", BLUE, "#0d2f5e"]
)

_STYLE = {
    "figure.facecolor": GROUND, "axes.facecolor": GROUND, "savefig.facecolor": GROUND,
    "figure.dpi": 120, "figure.constrained_layout.use": True, "font.family": "DejaVu Sans", "font.size": 10,
    "text.color": INK, "axes.labelcolor": FAINT_INK, "axes.edgecolor": GRID, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "figure.titlesize": 12,
    "figure.titleweight": "bold", "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.09, "figure.constrained_layout.w_pad": 0.09,
}  # fmt: skip


@contextmanager
def sheet(title: str, width: float, height: float, rows: int = 1, columns: int = 1) -> Iterator:
    """A figure in the house's style. Closed for pyplot, or a notebook would show it twice."""
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=rows * columns == 1)
        try:
            figure.suptitle(plain(title), x=0.01, ha="left", wrap=True)
            yield figure, axes
        finally:
            plt.close(figure)


def colour_bar(figure: Figure, image: AxesImage, axes: Axes, label: str) -> None:
    bar = figure.colorbar(image, ax=axes, label=label, shrink=0.8, aspect=25, pad=0.02)
    bar.outline.set_visible(False)


def grid_lines(axes: Axes, direction: str) -> None:
    axes.grid(axis=direction, color=GRID, lw=0.8)
    axes.set_axisbelow(True)


def token_ticks(axes: Axes, tokens: Sequence[str], **text: float) -> None:
    axes.set_xticks(range(len(tokens)), tick_labels(tokens), rotation=45, ha="right", rotation_mode="anchor", **text)


def tick_labels(tokens: Sequence[str]) -> list[str]:
    """Tokens as tick labels: one line, no leading space, at most 16 characters."""
    names = [repr(token)[1:-1].strip() or "␣" for token in tokens]  # a line break shows as \n
    return [plain(name if len(name) <= 16 else name[:15] + "…") for name in names]


def plain(text: str) -> str:
    """Text as it is: a dollar sign opens no formula, and a letter that the font lacks is a box without a warning."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    known = "".join(letter if font.get_char_index(ord(letter)) or letter == "\n" else "□" for letter in text)
    return known.replace("$", r"\$")
