"""What passes through a model's parts while it runs: recorded, or one hidden state of it put in another's place.

Hidden state l of the residual stream is what enters block l: 0 is the embedding, and L, after all blocks, is what
enters the final norm. Each is (batch, seq, width).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

Seen = dict[nn.Module, tuple[torch.Tensor | None, torch.Tensor]]


@contextmanager
def recorded(modules: Iterable[nn.Module]) -> Iterator[Seen]:
    """For each of the modules its first input (None where it takes only keywords) and its output, once it has run."""
    seen: Seen = {}

    def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        seen[module] = inputs[0] if inputs else None, output

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def hidden_states(blocks: Sequence[nn.Module], seen: Seen) -> list[torch.Tensor]:
    """Hidden states 0 to L, each (batch, seq, width), from what was recorded of all blocks."""
    return [seen[blocks[0]][0], *(seen[block][1] for block in blocks)]


@contextmanager
def overwritten(blocks: Sequence[nn.Module], layer: int, position: int, vector: torch.Tensor) -> Iterator[None]:
    """While the model runs, hidden state `layer` holds `vector` (width,) at `position`."""

    def patch(hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden.clone()  # (batch, seq, width)
        hidden[:, position] = vector.to(hidden)
        return hidden

    if layer < len(blocks):
        handle = blocks[layer].register_forward_pre_hook(lambda block, inputs: (patch(inputs[0]), *inputs[1:]))
    else:
        handle = blocks[-1].register_forward_hook(lambda block, inputs, output: patch(output))
    try:
        yield
    finally:
        handle.remove()
