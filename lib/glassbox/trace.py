"""Leaving no trace: a model is given back as it was found, also after an exception or an interruption.

Methods place hooks, switch dropout off, freeze or unfreeze parameters, ask for another attention function, and
transformers leaves marks of its own. Instead of each of them cleaning up after itself, one context manager notes the
state of the whole model before, and puts it back after. What it does not watch over is the numbers in the weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import is_
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Edit = tuple[nn.Module, Callable[..., Any]]

# Two calls at a time on one model would each put back what the other changed. One lock for all models, because two
# models may share modules, as a model and its own `base_model` do.
_one_at_a_time = threading.RLock()


@contextmanager
def undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode and no gradients inside; afterwards the model is as before.

    Put back are each module's attributes, hooks, parts and mode, the configurations (the attention function stands
    there), and each parameter's `requires_grad` and `grad`. Threads that ask about models wait for each other.
    """
    with _one_at_a_time:
        attributes = [vars(thing) for thing in _modules_and_configurations(model)]
        # Hooks, parameters and submodules are dictionaries among a module's attributes, most of them empty.
        inner = [value for held in attributes for value in held.values() if isinstance(value, dict)]
        states = [(held, dict(held)) for held in attributes + inner if held]
        empty = [held for held in inner if not held]
        parameters = [(each, each.requires_grad, each.grad) for each in model.parameters()]
        try:
            model.eval()
            for parameter, _, gradient in parameters:
                if gradient is not None:
                    parameter.grad = None  # laid aside: what came to be added to it could not be taken out again
            yield
        finally:
            for held in empty:
                if held:
                    held.clear()
            for held, before in states:
                _put_back(held, before)
            for parameter, required, gradient in parameters:
                if parameter.requires_grad != required:
                    parameter.requires_grad_(required)
                if parameter.grad is not gradient:
                    parameter.grad = gradient


def _modules_and_configurations(model: PreTrainedModel) -> list[Any]:
    modules = list(model.modules())
    configurations = [part.config for part in modules if hasattr(part, "config")]
    for config in configurations:  # grows while it is read: parts of parts have their own
        names = getattr(config, "sub_configs", ())
        configurations += [getattr(config, name) for name in names if getattr(config, name, None) is not None]
    return modules + list({id(config): config for config in configurations}.values())


def _put_back(held: dict, before: dict) -> None:
    if len(held) == len(before) and all(map(is_, held, before)) and all(map(is_, held.values(), before.values())):
        return
    for name in held.keys() - before.keys():  # rather than to empty it, while another thread may run the model
        del held[name]
    if list(held) != list(before):  # hooks run in the order in which they stand
        held.clear()
    held.update(before)


@contextmanager
def edited(after: Iterable[Edit], before: Iterable[Edit] = ()) -> Iterator[None]:
    """Hooks that change what modules give or are given, for as long as the block lasts.

    after:   (module, hook(module, inputs, keywords, output)) that returns the new output.
    before:  (module, hook(module, inputs)) that returns the new inputs.

    They run before all hooks that only look, whenever those were placed, so that these see what the model goes on with;
    and among themselves in the order of their blocks, outer first. Whoever runs the model meanwhile gets it edited.
    """
    handles = []

    def place(hook: Callable, hooks: dict, register: Callable[..., Any], **kind: bool) -> None:
        lookers = [key for key, other in hooks.items() if not hasattr(other, "edits")]
        hook.edits = True
        handles.append(register(hook, **kind))
        for key in lookers:
            hooks.move_to_end(key)

    try:
        with _one_at_a_time:  # an explanation in another thread would take them away, or put them back
            for module, hook in after:
                place(hook, module._forward_hooks, module.register_forward_hook, with_kwargs=True)
            for module, hook in before:
                place(hook, module._forward_pre_hooks, module.register_forward_pre_hook)
        yield
    finally:
        with _one_at_a_time:
            for handle in handles:
                handle.remove()
