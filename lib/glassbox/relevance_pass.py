"""LRP in one backward pass: which changes turn the gradient into relevance?

Each rule of `glassbox.relevance_rules` has the form R_x = x ⊙ (something linear in R_z / z). So let G = R_z / z. Then a
rule is the operation's own gradient, applied to G, but for a few changes; and where G arrives, R = x ⊙ G:

    linear, residual, A V, q kᵀ    G · z / stab(z) in place of G; and z / stab(z) = |z| / (|z| + ε)
    LayerNorm, RMSNorm             σ is a constant
    activation                     φ(x) / x in place of φ'(x)
    φ(g) ⊙ u,  A V,  q kᵀ          G / 2, for each of the two inputs would claim the whole of it
    softmax                        as it is

That is "attnlrp" (Achtibat et al. 2024, "AttnLRP", section 3). Under "cp" attention weights and gates are constants, so
that nothing is halved, and all of the relevance goes to the values and to u (Ali et al. 2022, "XAI for Transformers").

The changes are made where the operation is: as the model runs, PyTorch asks a `TorchFunctionMode` about each operation,
and that one hangs the rule on its result. The forward pass gives what it always gives, and the model is not touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from glassbox.errors import InputError, ModelError
from glassbox.relevance_rules import EPSILON

RULES = ("attnlrp", "cp")


class RelevancePass(TorchFunctionMode):
    """While it is on, each operation of the forward pass gets its rule for the backward pass.

    >>> pixels = images[:1].flatten(1).requires_grad_()  # (1, 64)
    >>> with RelevancePass() as lrp:
    ...     logits = network(pixels)  # (1, 10)
    >>> [relevance] = lrp.relevance(logits[0, 3], [pixels])  # (1, 64)

    rule, epsilon:  "attnlrp" or "cp"; the ε of the stabiliser, above 0. InputError for others.
    absorbed:       how much of the last `relevance` the "biases", the "softmax" and "epsilon" have kept.

    Parameters count as constants. An operation without a rule may take part (it may help to compute σ), but when
    relevance comes to it, ModelError names it, since to go on with its gradient would be wrong in silence.
    """

    def __init__(self, rule: str = "attnlrp", epsilon: float = EPSILON) -> None:
        super().__init__()
        if rule not in RULES:
            raise InputError(f"rule is {rule!r}; allowed: {', '.join(map(repr, RULES))}")
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < math.inf:
            raise InputError(f"epsilon is {epsilon!r}; allowed: a number above 0")
        self.rule, self.epsilon = rule, epsilon
        self.absorbed = {"biases": 0.0, "softmax": 0.0, "epsilon": 0.0}

    def relevance(
        self,
        outputs: torch.Tensor | Sequence[torch.Tensor],
        inputs: Sequence[torch.Tensor],
        start: Sequence[torch.Tensor] | None = None,
    ) -> list[torch.Tensor]:
        """x ⊙ G for each input x that required a gradient in the forward pass: of its shape, and at least float32.

        outputs, start:  where relevance starts: at one scalar f with R = f, or at tensors with the G of each.
        """
        self.absorbed = dict.fromkeys(self.absorbed, 0.0)
        gradients = torch.autograd.grad(outputs, inputs, start, allow_unused=True)
        return [
            torch.zeros_like(wide(x)) if gradient is None else wide(x.detach()) * wide(gradient)
            for x, gradient in zip(inputs, gradients, strict=True)
        ]

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        args = [_constant(each) for each in args]
        kwargs = {name: _constant(each) for name, each in (kwargs or {}).items()}
        rule = _RULE_OF.get(func.__name__, RelevancePass.no_rule)
        return rule(self, func, *args, **kwargs)

    def linear(self, func: Callable, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None):
        """z = x Wᵀ + b: the ε-rule. (Bach et al. 2015, equation 58)"""
        return self._stabilise(func(x, weight, bias), bias)

    def transposed_linear(self, func: Callable, bias: torch.Tensor, x: torch.Tensor, weight: torch.Tensor):
        """z = b + x W: GPT-2 keeps its weights as (in, out)."""
        return self._stabilise(func(bias, x, weight), bias)

    def residual(self, func: Callable, a: Any, b: Any):
        """z = a + b: the ε-rule (AttnLRP, equation 8). A constant, such as a mask, keeps its share as a bias does."""
        z = func(a, b)
        if _depends(a) and _depends(b):
            return self._stabilise(z)
        if _depends(z):
            constant = torch.as_tensor(b if _depends(a) else a)
            z.register_hook(self._absorb("biases", constant))
        return z

    def layer_norm(self, func: Callable, x: torch.Tensor, shape: Sequence[int], weight=None, bias=None, eps=1e-5):
        """σ is a constant, the mean is not. (AttnLRP, proposition 3.4)"""
        if not _depends(x):
            return func(x, shape, weight, bias, eps)
        last = list(range(-len(shape), 0))
        sigma = (wide(x.detach()).var(last, unbiased=False, keepdim=True) + eps).sqrt()
        y = (wide(x) - wide(x).mean(last, keepdim=True)) / sigma
        y = y if weight is None else y * weight
        return self._stabilise((y if bias is None else y + bias).to(x.dtype), bias)

    def rms_norm_scale(self, func: Callable, x: torch.Tensor):
        """1 / σ is a constant, so that R_x = R_y. (AttnLRP, proposition 3.4)"""
        return func(x.detach())

    def activation(self, func: Callable, x: torch.Tensor, *more: Any, inplace: bool = False, **options: Any):
        """R_x = R_z (AttnLRP, equation 9). Never in place: the operation before needs its own result to divide by."""
        return as_activation(x, func(x.detach(), *more, **options))

    def product(self, func: Callable, a: Any, b: Any):
        """z = a ⊙ b: half to each (AttnLRP, proposition 3.2), or under "cp" none to the gate. Constants only scale."""
        if self.rule == "cp" and _depends(a) and _depends(b):
            a, b = (a.detach(), b) if hasattr(a, "from_activation") else (a, b)
            a, b = (a, b.detach()) if hasattr(b, "from_activation") else (a, b)
        return _halved(func(a, b), a, b)

    def matrix_product(self, func: Callable, a: torch.Tensor, b: torch.Tensor):
        """The ε-rule, and half to each of two inputs. (AttnLRP, proposition 3.3)"""
        return _halved(self._stabilise(func(a, b)), a, b)

    def softmax(self, func: Callable, scores: torch.Tensor, *more: Any, **options: Any):
        """Its own gradient is the rule (AttnLRP, proposition 3.1); under "cp" attention weights are constants."""
        if self.rule == "cp" or not _depends(scores):
            return func(scores.detach(), *more, **options)
        scores = scores.view_as(scores)  # so that the hook counts what comes through this softmax only
        weights = func(scores, *more, **options)
        weights.register_hook(self._absorb("softmax", weights.detach()))
        scores.register_hook(self._absorb("softmax", scores.detach(), sign=-1))  # less what it hands on
        return weights

    def no_rule(self, func: Callable, *args: Any, **kwargs: Any):
        """Views and sums hand relevance back by their own gradient. Through anything else it must not come."""
        result = func(*args, **kwargs)
        if func.__name__ not in _OWN_GRADIENT or (func.__name__ == "div" and _depends(args[1])):
            for each in result if isinstance(result, tuple | list) else [result]:
                if _depends(each):
                    each.register_hook(_refusal(func.__name__))
        return result

    def _stabilise(self, z: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """G · z / stab(z) in place of G in the backward pass; counts what ε and the bias keep of z ⊙ G."""
        if not _depends(z):
            return z
        value = z.detach()  # a hook that held z itself would keep all of the graph alive

        def backward(gradient: torch.Tensor) -> torch.Tensor:
            # G - G · ε / (|z| + ε), which is G · z / stab(z), in few passes over memory: that is what takes the time.
            kept = wide(value).abs().add_(self.epsilon).reciprocal_().mul_(self.epsilon).mul_(gradient)
            self.absorbed["epsilon"] += float(torch.dot(wide(value).reshape(-1), kept.reshape(-1)))
            damped = kept.neg_().add_(gradient)
            if bias is not None:
                by_place = damped @ bias.to(damped) if bias.dim() == 1 else damped * bias  # (..., place)
                self.absorbed["biases"] += float(by_place.sum(dtype=torch.float64))
            return damped.to(gradient.dtype)

        z.register_hook(backward)
        return z

    def _absorb(self, where: str, x: torch.Tensor, sign: int = 1) -> Callable[[torch.Tensor], None]:
        """A hook that counts the relevance x ⊙ G and changes nothing."""

        def count(gradient: torch.Tensor) -> None:
            self.absorbed[where] += sign * total(_finite(x), gradient)

        return count


_RULE_OF = {
    "linear": RelevancePass.linear,
    "addmm": RelevancePass.transposed_linear,
    "add": RelevancePass.residual,
    "layer_norm": RelevancePass.layer_norm,
    "rsqrt": RelevancePass.rms_norm_scale,
    "gelu": RelevancePass.activation,
    "relu": RelevancePass.activation,
    "silu": RelevancePass.activation,
    "tanh": RelevancePass.activation,
    "mul": RelevancePass.product,
    "matmul": RelevancePass.matrix_product,
    "softmax": RelevancePass.softmax,
}
_OWN_GRADIENT = """
    __get__ __getitem__ cat chunk clone contiguous detach div dropout expand flatten float mean neg permute repeat
    repeat_interleave requires_grad_ reshape select split squeeze stack sum to transpose type type_as unbind unflatten
    unsqueeze view view_as
""".split()


def as_activation(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """z = φ(x), with φ(x) / x for its gradient, so that R_x = x ⊙ G_x = z ⊙ G_z = R_z."""
    ratio = (z.detach() / x.detach()).nan_to_num(0.0)  # φ(0) / 0: there is no relevance to hand back
    z = x * ratio
    z.from_activation = True  # read by `product`: it may be a gate
    return z


def total(x: torch.Tensor, gradient: torch.Tensor) -> float:
    """Σ x ⊙ G: rows are summed as they are, which is fast, and the sums in float64, which is exact."""
    return float((x * wide(gradient)).sum(dim=-1).sum(dtype=torch.float64))


def _halved(z: torch.Tensor, a: Any, b: Any) -> torch.Tensor:
    if _depends(a) and _depends(b):
        z.register_hook(lambda gradient: gradient / 2)
    return z


def _depends(x: Any) -> bool:
    """Whether x was computed from the inputs whose relevance is asked for."""
    return isinstance(x, torch.Tensor) and x.requires_grad


def _constant(x: Any) -> Any:
    return x.detach() if _depends(x) and x.is_leaf and isinstance(x, nn.Parameter) else x


def wide(x: torch.Tensor) -> torch.Tensor:
    """At least float32: to a half-precision number, ε is nothing."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _finite(x: torch.Tensor) -> torch.Tensor:
    """-∞, as masks have it, as the lowest number: it meets G = 0, and shall give no relevance rather than nan."""
    return x.clamp(min=torch.finfo(x.dtype).min) if x.is_floating_point() else x


def _refusal(operation: str) -> Callable[[torch.Tensor], None]:
    def refuse(_: torch.Tensor) -> None:
        known = ", ".join(_RULE_OF)
        raise ModelError(f"LRP has no rule for {operation!r}, by which this model computes; it has rules for {known}")

    return refuse
