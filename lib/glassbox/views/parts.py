"""The architecture view: the model as a map from the embedding to the logits, drawn from its own modules.

Nothing here knows an architecture. Which parts there are is read off the model's modules, in which order they work and
what shapes pass between them is seen while it runs on a few tokens, and blocks are one box because they are alike. The
anatomy's table, where it has the model, only adds which parts write into the residual stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from glassbox.models import ROWS, anatomy
from glassbox.text import encode
from glassbox.trace import undisturbed
from glassbox.views.view import Table, View

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COLUMNS = ["part", "kind", "output", "parameters", "counted above"]
TRY = 7  # tokens that the model is run on, to see the shapes


@dataclass(frozen=True, eq=False)
class Part:
    """A module, or several that are alike.

    name:       its own name, and path: the whole way to it; of several, the first's and "first–last".
    kind:       its class.                 times: how many are alike.
    shape:      of its output, in words, such as "batch, seq, 192"; "" where none was seen.
    takes:      the same of its input; "numbers" for token ids and positions.
    own:        its own parameters, by name: (shape, whether it stands elsewhere already).
    count:      how many parameters it holds with its parts, those of all alike together, each counted once.
    shared:     how many more it holds that were counted at an earlier part.
    stream:     whether what it gives is added to the residual stream.
    used:       whether it took part when the model ran.
    parts:      what it is made of, in the order in which they work.
    """

    name: str
    path: str
    kind: str
    shape: str
    takes: str
    own: dict[str, tuple[tuple[int, ...], bool]]
    count: int
    shared: int
    stream: bool
    used: bool
    times: int = 1
    parts: list[Part] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Part]]:
        """Itself and all that it holds, each with its depth."""
        yield depth, self
        for part in self.parts:
            yield from part.walk(depth + 1)


def parts_of(model: PreTrainedModel) -> Part:
    """The model as a tree of its modules. Containers that only list modules give way to what they hold."""
    seen = _watched(model)
    order = {module: place for place, module in enumerate(seen)}
    adds = set()
    if model.config.model_type in ROWS:
        body = anatomy(model)
        adds = {*body.attention_writes, *body.mlp_writes}
    counted: set[nn.Parameter] = set()

    def read(name: str, path: str, module: nn.Module) -> Part:
        own = {}
        count = shared = 0
        for key, parameter in module.named_parameters(recurse=False):
            own[key] = (tuple(parameter.shape), parameter in counted)
            if parameter in counted:
                shared += parameter.numel()
            else:
                count += parameter.numel()
                counted.add(parameter)
        children = sorted(_children(module, path), key=lambda child: _first(child[2], order))
        parts = [read(*child) for child in children]
        return Part(
            name,
            path,
            type(module).__name__,
            *seen.get(module, ("", ""))[::-1],
            own,
            count + sum(part.count for part in parts),
            shared + sum(part.shared for part in parts),
            module in adds,
            _first(module, order) < len(order),
            parts=_stacked(parts),
        )

    return read(type(model).__name__, "", model)


def architecture(model: PreTrainedModel, *, title: str | None = None) -> View:
    """The model as a map: each box tells its shape and its parameters, and opens to show its parts."""
    whole = parts_of(model)
    boxes = _boxes(whole)
    rows = []
    for depth, part in [each for box in boxes for each in box.walk()]:
        name = f"{'– ' * depth}{part.name}"
        rows.append([name, _kind(part), part.shape or "–", *_counts(part)])
    rows.append([whole.name, "everything", whole.shape or "–", f"{whole.count:,}", ""])
    return View(
        "architecture",
        title or f"{whole.name}: {whole.count:,} parameters, from the tokens to the prediction",
        {"name": whole.name, "count": whole.count, "shape": whole.shape, "boxes": [_data(box) for box in boxes]},
        [Table("Parts in the order in which they work", COLUMNS, rows)],
        lambda title: _figure(boxes, title),
    )


def _watched(model: PreTrainedModel) -> dict[nn.Module, tuple[str, str]]:
    """Each module that ran, in the order in which they began to, with the shapes of its input and output in words."""
    longest = getattr(model.config, "max_position_embeddings", None) or TRY
    length = min(TRY, longest)
    ids = encode(model, None, torch.zeros(1, length, dtype=torch.int64))
    seen: dict[nn.Module, tuple[str, str]] = {}

    def words(*several: Any) -> str:
        """The shape of the first tensor among these."""
        tensor = next((each for each in several if isinstance(each, torch.Tensor)), None)
        if tensor is None or not tensor.is_floating_point():
            return "" if tensor is None else "numbers"
        first, *more = tensor.shape
        sizes = ["seq" if size == length and place < 2 else str(size) for place, size in enumerate(more)]
        return ", ".join(["batch · seq" if first == length else "batch", *sizes])  # OPT's MLPs take all texts' tokens

    def begin(module: nn.Module, inputs: tuple, named: dict[str, Any]) -> None:
        seen.setdefault(module, (words(*inputs, *named.values()), ""))

    def end(module: nn.Module, inputs: tuple, output: Any) -> None:
        # transformers' outputs are dictionaries.
        given = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple) else [output]
        seen[module] = seen[module][0], words(*given)

    with undisturbed(model), torch.no_grad():
        for module in model.modules():
            module.register_forward_pre_hook(begin, with_kwargs=True)
            module.register_forward_hook(end)
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return seen


def _first(module: nn.Module, order: dict[nn.Module, int]) -> int:
    """When the first of a module's parts began to work; later than all others if none did."""
    return min((order[part] for part in module.modules() if part in order), default=len(order))


def _children(module: nn.Module, path: str) -> list[tuple[str, str, nn.Module]]:
    """A module's parts by name; a list's own parts instead of the list. Dropout works in training only: left out."""
    found = []
    for name, child in module.named_children():
        here = f"{path}.{name}" if path else name
        if isinstance(child, (nn.Dropout, nn.Identity)):
            continue
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            found += [(f"{name}.{inner}", way, part) for inner, way, part in _children(child, here)]
        else:
            found.append((name, here, child))
    return found


def _stacked(parts: list[Part]) -> list[Part]:
    """Neighbours that are alike in all but their names become one, with the counts of all."""
    stacks: list[list[Part]] = []
    for part in parts:
        if stacks and part.parts and _form(stacks[-1][-1]) == _form(part):
            stacks[-1].append(part)
        else:
            stacks.append([part])
    return [
        stack[0]
        if len(stack) == 1
        else replace(
            stack[0],
            name=_range(stack[0].name, stack[-1].name),
            path=_range(stack[0].path, stack[-1].path),
            count=sum(each.count for each in stack),
            shared=sum(each.shared for each in stack),
            times=len(stack),
        )
        for stack in stacks
    ]


def _range(first: str, last: str) -> str:
    return f"{first}–{last.rpartition('.')[2]}"


def _form(part: Part) -> tuple:
    """All that has to be the same for two parts to be alike."""
    inner = tuple((each.name, each.times, _form(each)) for each in part.parts)
    return part.kind, part.shape, part.takes, tuple(part.own.items()), part.count, part.stream, part.used, inner


def _boxes(whole: Part) -> list[Part]:
    """The top of the map: whatever holds the stack of blocks gives way to its parts, until the stack is in the row."""

    def opens(part: Part) -> bool:
        return part.times == 1 and not part.own and any(inner.times > 1 for _, inner in part.walk())

    return [box for part in whole.parts for box in (_boxes(part) if opens(part) else [part])]


def _kind(part: Part) -> str:
    many = f"{part.times} × " if part.times > 1 else ""
    stream = ", adds to the residual stream" if part.stream else ""
    return f"{many}{part.kind}{stream}{'' if part.used else ', not used'}"


def _counts(part: Part) -> tuple[str, str]:
    return f"{part.count:,}", f"{part.shared:,}" if part.shared else ""


def _data(part: Part) -> dict:
    data = {"name": part.name, "path": part.path, "kind": part.kind, "shape": part.shape, "count": part.count}
    if part.takes:
        data["takes"] = part.takes
    if part.times > 1:
        data["times"] = part.times
    if part.shared:
        data["shared"] = part.shared
    if part.stream:
        data["stream"] = True
    if not part.used:
        data["unused"] = True
    if part.own:
        data["own"] = [[key, list(shape), shared] for key, (shape, shared) in part.own.items()]
    if part.parts:
        data["parts"] = [_data(inner) for inner in part.parts]
    return data


def _figure(boxes, title):
    from glassbox import charts  # matplotlib loads when something is drawn, not before

    shown = [(box.times, part) for box in boxes for part in (box.parts if box.times > 1 else [box])]
    names = [part.path if times == 1 else f"{times} × {part.name}" for times, part in shown]
    counts = torch.tensor([times * part.count for times, part in shown])
    return charts.bars(names, counts, title=title, label="parameters", names_are="part")
