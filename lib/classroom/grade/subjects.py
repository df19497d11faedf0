"""What a check hands to a student's function that is no plain data: models, tokenizers and functions.

They can't cross into the sandbox as they are. A model crosses as its class, its configuration and its weights, and is
built again there; a tokenizer as its own description; a function stays where it is, and what stands for it in the
sandbox asks the grader for each value, and for gradients, so that its insides stay hidden. After a call, whatever the
student's function left behind on a model (hooks, gradients, changed weights) is put on the grader's model too, where
the check looks for it.

Both sides use this file. What a sandbox sends is data to be judged; what the grader sends is trusted by the sandbox.
"""

import builtins
import importlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn

from classroom.grade.wire import Reader, WireError, Writer

HOOKS = {
    "forward": ("_forward_hooks", "register_forward_hook"),
    "before": ("_forward_pre_hooks", "register_forward_pre_hook"),
    "backward": ("_backward_hooks", "register_full_backward_hook"),
}


def model_node(model: nn.Module, writer: Writer, number: Callable[[Callable], int]) -> dict[str, Any]:
    """A model of transformers, or a module made of torch's own, as data."""
    from transformers import PreTrainedModel

    hooks = [
        [name, kind, number(partial(hook, part))]
        for name, part in model.named_modules()
        for kind, (place, _) in HOOKS.items()
        for hook in getattr(part, place).values()
        if not _is_its_own(hook)
    ]
    form = _pretrained(model) if isinstance(model, PreTrainedModel) else {"parts": _parts(model)}
    return form | {
        "weights": [[name, writer.node(weight.detach())] for name, weight in _weights(model)],
        "frozen": [name for name, weight in model.named_parameters() if not weight.requires_grad],
        "training": [name for name, part in model.named_modules() if part.training],
        "hooks": hooks,
    }


def build_model(content: dict[str, Any], reader: Reader, ask: Callable) -> nn.Module:
    """The model that `model_node` described."""
    if "parts" in content:
        model = _assemble(content["parts"])
    else:
        transformers = importlib.import_module("transformers")
        config = getattr(transformers, content["config class"]).from_dict(json.loads(content["config"]))
        config._attn_implementation = content["attention"]
        model = getattr(transformers, content["class"])(config)
    weights, frozen, training = dict(_weights(model)), set(content["frozen"]), set(content["training"])
    if weights.keys() != {name for name, _ in content["weights"]}:
        raise WireError("a model whose parts are not those of its class can't cross")
    for name, node in content["weights"]:
        weights[name].data = reader.value(node)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in frozen)
    parts = dict(model.named_modules())
    for name, part in parts.items():
        part.training = name in training
    for name, kind, key in content["hooks"]:
        getattr(parts[name], HOOKS[kind][1])(lambda part, *given, key=key: ask(key, given, {}))
    return model


def _pretrained(model: nn.Module) -> dict[str, Any]:
    return {
        "class": type(model).__name__,
        "config class": type(model.config).__name__,
        "config": model.config.to_json_string(use_diff=False),
        "attention": model.config._attn_implementation,
    }


def _weights(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _is_its_own(hook: Callable) -> bool:
    """Transformers leaves hooks on a model that is asked for hidden states; they are no student's."""
    return (getattr(hook, "__module__", "") or "").startswith(("transformers.", "torch."))


def _parts(module: nn.Module) -> dict[str, Any]:
    kind = type(module)
    if not kind.__module__.startswith("torch.nn."):
        raise WireError(f"a {kind.__name__} can't cross into the sandbox: build it of torch's own modules")
    plain = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (value is None or isinstance(value, (bool, int, float, str, tuple)))
    }
    return {
        "kind": [kind.__module__, kind.__name__],
        "plain": [[name, list(v) if isinstance(v, tuple) else v, isinstance(v, tuple)] for name, v in plain.items()],
        "parameters": [[name, part is None] for name, part in module._parameters.items()],
        "buffers": [[name, buffer is None] for name, buffer in module._buffers.items()],
        "children": [[name, _parts(child)] for name, child in module.named_children()],
    }


def _assemble(parts: dict[str, Any]) -> nn.Module:
    module_name, kind = parts["kind"]
    if not module_name.startswith("torch.nn."):
        raise WireError("only torch's own modules can be put together")
    cls = getattr(importlib.import_module(module_name), kind)
    module = cls.__new__(cls)
    nn.Module.__init__(module)
    for name, value, is_tuple in parts["plain"]:
        setattr(module, name, tuple(value) if is_tuple else value)
    for name, missing in parts["parameters"]:
        module.register_parameter(name, None if missing else nn.Parameter(torch.empty(0)))
    for name, missing in parts["buffers"]:
        module.register_buffer(name, None if missing else torch.empty(0))
    for name, child in parts["children"]:
        module.add_module(name, _assemble(child))
    return module


def state_of(model: nn.Module) -> dict[str, Any]:
    """What a student's function may leave behind on a model, to be compared afterwards."""
    return {
        "hooks": {
            (name, kind): sum(not _is_its_own(hook) for hook in getattr(part, place).values())
            for name, part in model.named_modules()
            for kind, (place, _) in HOOKS.items()
        },
        "weights": {
            name: (weight._version, weight.data_ptr(), weight.detach().clone()) for name, weight in _weights(model)
        },
        "frozen": {name: not weight.requires_grad for name, weight in model.named_parameters()},
        "training": {name: part.training for name, part in model.named_modules()},
    }


def left_on(model: nn.Module, before: dict[str, Any], writer: Writer) -> dict[str, Any]:
    """What is not as it was, as data."""
    after = state_of(model)
    changed = [
        [name, writer.node(value)]
        for name, (_, _, value) in after["weights"].items()
        if name in before["weights"] and not _same(value, before["weights"][name][2])
    ]
    return {
        "hooks": [
            [name, kind, number - before["hooks"].get((name, kind), 0)]
            for (name, kind), number in after["hooks"].items()
            if number > before["hooks"].get((name, kind), 0)
        ],
        "gradients": [name for name, weight in model.named_parameters() if weight.grad is not None],
        "weights": changed,
        "frozen": [[n, v] for n, v in after["frozen"].items() if before["frozen"].get(n) != v],
        "training": [[n, v] for n, v in after["training"].items() if before["training"].get(n) != v],
    }


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())


def put_on(model: nn.Module, left: Any, reader: Reader) -> None:
    """Put what the sandbox says was left behind on the grader's model. `left` is not to be trusted."""
    if not isinstance(left, dict):
        raise WireError("what was left on a model is no object")
    parts, weights = dict(model.named_modules()), dict(_weights(model))
    for name, kind, number in _rows(left.get("hooks"), 3):
        if name in parts and kind in HOOKS and isinstance(number, int):
            for _ in range(min(number, 3)):
                getattr(parts[name], HOOKS[kind][1])(lambda *given: None)
    for (name,) in _rows([[name] for name in _list(left.get("gradients"))], 1):
        if isinstance(weights.get(name), nn.Parameter):
            weights[name].grad = torch.zeros_like(weights[name])
    for name, node in _rows(left.get("weights"), 2):
        value = reader.value(node)
        if name in weights and isinstance(value, torch.Tensor) and value.shape == weights[name].shape:
            weights[name].data = value.detach().to(weights[name].dtype)
    for name, frozen in _rows(left.get("frozen"), 2):
        if isinstance(weights.get(name), nn.Parameter):
            weights[name].requires_grad_(frozen is not True)
    for name, training in _rows(left.get("training"), 2):
        if name in parts:
            parts[name].training = training is True


def _list(value: Any) -> list:
    if not isinstance(value, list) or len(value) > 10_000:
        raise WireError("a list that is none")
    return value


def _rows(value: Any, width: int) -> Iterator[list]:
    for row in _list(value):
        if not isinstance(row, list) or len(row) != width or not isinstance(row[0], str):
            raise WireError("a row that is none")
        if width == 3 and not isinstance(row[1], str):
            raise WireError("a row that is none")
        yield row


def tokenizer_node(tokenizer: Any) -> dict[str, Any]:
    """A fast tokenizer as its own description."""
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    return {"class": type(tokenizer).__name__, "description": tokenizer.backend_tokenizer.to_str(), "special": special}


def build_tokenizer(content: dict[str, Any]) -> Any:
    """The tokenizer that `tokenizer_node` described."""
    import tokenizers
    import transformers

    described = tokenizers.Tokenizer.from_str(content["description"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=described, **content["special"])


class Refused(Exception):
    """What a function of the check says to somebody who calls it wrongly."""


def error_of(refused: Any, key: int | None) -> Exception:
    """The error that a function of the grader's raised, as it would have been raised beside the student's code."""
    kind, words = refused
    found = getattr(builtins, kind, None)
    known = isinstance(found, type) and issubclass(found, Exception)
    try:
        error = found(words) if known else Refused(words)
    except TypeError:
        error = Refused(words)
    error.asked = key
    return error


def stand_in(key: int, name: str, ask: Callable) -> Callable:
    """A function that asks the grader for its value, and for gradients if there are any to come back."""

    def function(*args: Any, **kwargs: Any) -> Any:
        places = [place for place, value in enumerate(args) if isinstance(value, torch.Tensor) and value.requires_grad]
        if not places or not torch.is_grad_enabled():
            return ask(key, args, kwargs)
        value, tape = ask(key, args, kwargs, {"tape": places})
        if tape is None or not isinstance(value, torch.Tensor):
            return value
        return _Bridge.apply(lambda slope: ask(key, (slope,), {}, {"back": tape}), value, *(args[p] for p in places))

    function.__name__ = function.__qualname__ = name
    return function


class _Bridge(torch.autograd.Function):
    """A value that the grader computed: what flows back from it goes through the grader."""

    @staticmethod
    def forward(ctx: Any, back: Callable, value: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        ctx.back = back
        return value.detach().clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple:
        return None, None, *ctx.back(slope)


class Functions:
    """The functions of a check that stand in the sandbox under a number: each is asked here for its values."""

    NUMBERS = 65_536  # in one question: no check has a reason to be asked about more
    TAPES = 20_000

    def __init__(self) -> None:
        self.functions: list[Callable] = []
        self.errors: list[BaseException] = []
        self.tapes: list[tuple[list[torch.Tensor], torch.Tensor]] = []

    def add(self, function: Callable) -> int:
        """The number that `function` goes by."""
        self.functions.append(function)
        return len(self.functions) - 1

    def answer(self, order: dict[str, Any], raw: memoryview) -> tuple[dict[str, Any], list[bytes]]:
        """What to send back for a question from the sandbox, which is not to be trusted."""
        reader, writer = Reader(raw), Writer()
        args, kwargs = reader.value(order.get("args")), reader.value(order.get("kwargs"))
        key = order["ask"]
        if type(key) is not int or not 0 <= key < len(self.functions):
            raise WireError("a function that was never handed over")
        if not isinstance(args, tuple) or not isinstance(kwargs, dict) or not all(type(k) is str for k in kwargs):
            raise WireError("a question without arguments")
        if len(raw) > 8 * self.NUMBERS:
            return {"refused": ["ValueError", f"more than {self.NUMBERS} numbers are not asked about at once"]}, []
        try:
            if "back" in order:
                return {"value": writer.node(self._back(order["back"], args))}, writer.raw
            value, tape = self._forward(key, args, kwargs, order.get("tape"))
        except WireError:
            raise
        except (Exception, SystemExit) as error:
            self.errors.append(error)
            refused = [type(error).__name__, str(error)[:1000]]
            return {"refused": refused, "asked": len(self.errors) - 1}, []
        return {"value": writer.node(value)} | ({"tape": tape} if "tape" in order else {}), writer.raw

    def _forward(self, key: int, args: tuple, kwargs: dict[str, Any], places: Any) -> tuple[Any, int | None]:
        if places is None:
            with torch.no_grad():
                return self.functions[key](*args, **kwargs), None
        if not isinstance(places, list) or not all(type(p) is int and 0 <= p < len(args) for p in places):
            raise WireError("gradients by arguments that are none")
        inputs = [args[place] for place in places]
        if not all(isinstance(value, torch.Tensor) and value.requires_grad for value in inputs):
            raise WireError("gradients by arguments that have none")
        with torch.enable_grad():
            value = self.functions[key](*args, **kwargs)
        if not isinstance(value, torch.Tensor) or not value.requires_grad:
            return value, None
        if len(self.tapes) >= self.TAPES:
            raise WireError(f"more than {self.TAPES} values with gradients")
        self.tapes.append((inputs, value))
        return value.detach(), len(self.tapes) - 1

    def _back(self, tape: Any, args: tuple) -> list[torch.Tensor | None]:
        if type(tape) is not int or not 0 <= tape < len(self.tapes):
            raise WireError("gradients of a value that was never asked for")
        inputs, value = self.tapes[tape]
        if len(args) != 1 or not isinstance(args[0], torch.Tensor) or args[0].shape != value.shape:
            raise WireError("gradients of another shape")
        slope = args[0].detach().to(value.dtype)
        return list(torch.autograd.grad(value, inputs, slope, retain_graph=True, allow_unused=True))
