"""Leaving no trace: a model is given back as it was found, also after an exception."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Two calls at a time on one model would each restore what the other changed.
_one_at_a_time = threading.RLock()
# transformers leaves hooks behind when it is asked for attention weights, and this mark not to place them twice.
_MARK = "_output_capturing_hooks_installed"


@contextmanager
def undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode inside; afterwards each module has its mode and its hooks as before, also after an exception."""
    with _one_at_a_time:
        before = [(part, part.training, dict(part._forward_hooks), _MARK in vars(part)) for part in model.modules()]
        try:
            model.eval()
            yield
        finally:
            for part, training, hooks, marked in before:
                part.training = training
                part._forward_hooks.clear()
                part._forward_hooks.update(hooks)
                if _MARK in vars(part) and not marked:
                    delattr(part, _MARK)
