"""How far has a long loop come? A bar under the cell, which goes when the loop ends."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

SECONDS = 1.0  # what takes less needs no bar
FORM = "{percentage:3.0f} % |{bar:30}| {n_fmt} of {total_fmt}{unit}, about {remaining} left{postfix}"


def progress(
    items: Iterable[Any] | None = None, *, unit: str = "", total: int | None = None, show: bool = True
) -> tqdm:
    """The same items one by one, with a bar that says how many are done and how long the rest will take.

    unit:   what is counted, such as "sentences".
    total:  how many there will be, where `items` can't tell; without items, call `update` on what this returns.
    show:   False shows no bar, nor does the environment variable TQDM_DISABLE=1.

    The bar is written to the standard output: nbgrader takes what stands on the other stream for an error.
    """
    from tqdm import tqdm  # loads when a bar is asked for, not before

    hidden = {} if show else {"disable": True}  # only what is left out can be set by the environment
    unit = f" {unit}" if unit else ""
    return tqdm(items, total=total, unit=unit, bar_format=FORM, file=sys.stdout, delay=SECONDS, leave=False, **hidden)
