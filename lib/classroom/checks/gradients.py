"""Checks of chapter 03: gradients of a score by embeddings and by attention weights, their use, and integrals of them.

The functions that the student's code is given are small ones whose gradients are known, and random GPT-2 models.
"""

from collections.abc import Callable

import torch

from classroom.checks import Mistake, call, choice, expect_tensor, judge, judge_all, passed, quiet
from classroom.checks.attention import drawn, rows
from classroom.checks.start_here import small_gpt2

HAND = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 5.0]], dtype=torch.float64)


def by_hand(x: torch.Tensor) -> torch.Tensor:
    return 3 * x[0, 0] - 4 * x[0, 1] + 2 * x[1, 0] * x[2, 1]


def functions(seed: int) -> list[tuple[Callable, torch.Tensor, str]]:
    """Functions of embeddings with a point each: the chapter's example, a linear one, and one that is neither."""
    slope, centre = drawn(seed, 4, 3), drawn(seed + 1, 4, 3)
    return [
        (by_hand, HAND, "the chapter's example"),
        (lambda x: (slope * x).sum(), drawn(seed + 2, 4, 3), "a linear function"),
        (lambda x: ((x - centre).tanh() * slope).sum() + x[0] @ x[-1], drawn(seed + 3, 4, 3), "a curved function"),
    ]


def slope_of(f: Callable, x: torch.Tensor) -> torch.Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


def differences(f: Callable, x: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """The gradient by moving each entry a little in both directions."""
    slope = torch.zeros_like(x)
    for place in range(x.numel()):
        move = torch.zeros_like(x)
        move.view(-1)[place] = step
        slope.view(-1)[place] = (f(x + move) - f(x - move)) / (2 * step)
    return slope


def _judge_gradients(student: Callable, seed: int, right: Callable, mistakes: dict[str, Callable]) -> None:
    """`right` and the mistakes make a result of the gradient and the point."""
    cases = functions(seed)
    slopes = [differences(f, x) for f, x, _ in cases]
    judge_all(
        [call(student, f, x) for f, x, _ in cases],
        [right(slope, x) for slope, (_, x, _) in zip(slopes, cases, strict=True)],
        {
            message: [wrong(slope, x) for slope, (_, x, _) in zip(slopes, cases, strict=True)]
            for message, wrong in mistakes.items()
        },
        names=[f"the result for {name}" for *_, name in cases],
    )
    frozen = small_gpt2(seed).requires_grad_(False)
    x = drawn(seed, 3, 6)
    f = lambda x: frozen(inputs_embeds=x[None]).logits[0, -1, 5]  # noqa: E731
    judge(call(student, f, x), right(slope_of(f, x), x), name="the result for a model whose parameters are frozen")


@quiet()
def sensitivity(student: Callable, seed: int = 0) -> None:
    _judge_gradients(
        student,
        seed,
        lambda slope, x: slope.norm(dim=-1),
        {
            "The gradient came back whole. Take its length for each token, over the width.": lambda slope, x: slope,
            "You summed the gradient's entries: they cancel. Take the length, the root of the sum of "
            "squares.": lambda slope, x: slope.sum(-1),
            "You averaged the gradient's entries: they cancel. Take the length.": lambda slope, x: slope.mean(-1),
            "You summed the absolute entries (norm of order 1). Take the root of the sum of "
            "squares.": lambda slope, x: slope.abs().sum(-1),
            "These are the squares of the lengths. Take the root.": lambda slope, x: slope.square().sum(-1),
            "You took the length over the tokens, one number for each dimension. Take it over the "
            "width.": lambda slope, x: slope.norm(dim=0),
            "You took one length for the whole text. Each token has its own.": lambda slope, x: slope.norm(),
            "You multiplied by the embeddings. That is the next exercise; here it is the length "
            "alone.": lambda slope, x: (slope * x).norm(dim=-1),
            "These are the lengths of the embeddings. Take those of the gradient.": lambda slope, x: x.norm(dim=-1),
        },
    )
    passed("the length of the gradient, as finite differences give it")


@quiet()
def gradient_x_input(student: Callable, seed: int = 0) -> None:
    _judge_gradients(
        student,
        seed,
        lambda slope, x: (slope * x).sum(-1),
        {
            "The products came back whole. Sum them over the width.": lambda slope, x: slope * x,
            "You took the length of the product, which has no sign. Sum over the width.": lambda slope, x: (
                slope * x
            ).norm(dim=-1),
            "You took absolute values before summing, so nothing can speak against. Sum the products as they "
            "are.": lambda slope, x: (slope * x).abs().sum(-1),
            "You took the absolute value of the sum, so nothing can speak against.": lambda slope, x: (
                (slope * x).sum(-1).abs()
            ),
            "You multiplied the lengths of both. Multiply entry by entry, then sum.": lambda slope, x: (
                slope.norm(dim=-1) * x.norm(dim=-1)
            ),
            "The input is missing: this is the sum of the gradient.": lambda slope, x: slope.sum(-1),
            "You averaged over the width. Sum.": lambda slope, x: (slope * x).mean(-1),
            "You summed over the tokens. Sum over the width.": lambda slope, x: (slope * x).sum(0),
            "You summed over everything. Each token has its own score.": lambda slope, x: (slope * x).sum(),
        },
    )
    passed("gradient times input, with its sign; on a linear function the scores add up to the value")


def saturation(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "take the deciding word away and the probability may fall to nothing. A gradient asks about a "
            "tiny step only.",
            "b": "on flat ground no small step changes anything. Explain the logit, or walk the whole way, as "
            "section 3 does.",
            "c": "it was trained so well that it is certain; that is the trouble here, not its cure.",
            "d": "the last token is where the prediction is made, and its gradients are as flat as all others.",
        },
    )


@quiet()
def weight_gradients(student: Callable, seed: int = 0) -> None:
    model = small_gpt2(seed, layers=3)
    model.set_attn_implementation("eager")
    ids = torch.randint(0, 29, (1, 5), generator=torch.Generator().manual_seed(seed))
    x = model.get_input_embeddings()(ids).detach().requires_grad_()
    output = model(inputs_embeds=x, output_attentions=True)
    before = _hooks(model)
    model.zero_grad(set_to_none=True)
    for target, frozen in ((4, False), (11, True)):
        model.requires_grad_(not frozen)
        slopes = torch.autograd.grad(output.logits[0, -1, target], output.attentions, retain_graph=True)
        value = call(student, model, ids, target)
        if any(parameter.grad is not None for parameter in model.parameters()):
            model.zero_grad(set_to_none=True)
            raise Mistake(
                "A gradient was left on the model's parameters: that is what backward() does. torch.autograd.grad "
                "gives "
                "the gradients that you ask for and leaves nothing."
            )
        if any(parameter.requires_grad is frozen for parameter in model.parameters()):
            raise Mistake(
                "Your function thawed or froze the model's parameters (requires_grad), and the model has to be left as "
                "it was. Let the embeddings ask for a gradient, not the parameters."
            )
        left = [name for name, number in _hooks(model).items() if number > before[name]]
        if left:
            raise Mistake(f"A hook was left behind on {left[0]}. You need none: the weights are in the model's output.")
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise Mistake(f"The model has 3 layers, so the result is a list of 3 tensors; found {_what(value)}.")
        for layer, (found, slope) in enumerate(zip(value, slopes, strict=True)):
            if isinstance(found, torch.Tensor) and found.shape == (1, 5, 6):
                raise Mistake(
                    "The bug is still there: (1, seq, width) is the gradient of what the module gives out. The "
                    "weights have "
                    "the shape (head, query, key)."
                )
            judge(
                found,
                slope[0],
                {
                    "The batch's axis is still there: (head, query, key).": slope,
                    "These are the weights, not their gradients.": output.attentions[layer][0],
                    "You multiplied by the weights already. Return the gradients alone.": (
                        slope * output.attentions[layer]
                    )[0],
                    "The layers are in the wrong order: the first comes first.": slopes[2 - layer][0]
                    if layer != 1
                    else slope[0] + 1,
                    "The heads were averaged. Return (head, query, key).": slope[0].mean(0),
                    "That is the gradient of the logit at the first token. The prediction is made at the "
                    "last.": torch.autograd.grad(output.logits[0, 0, target], output.attentions, retain_graph=True)[
                        layer
                    ][0],
                    "That is the gradient of the probability. Take the logit's.": torch.autograd.grad(
                        output.logits[0, -1].softmax(-1)[target], output.attentions, retain_graph=True
                    )[layer][0],
                },
                name=f"the gradients of layer {layer}",
            )
    passed("each layer's gradients (head, query, key), also with frozen parameters, and nothing left on the model")


def _what(value) -> str:
    return f"{len(value)}" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _hooks(model) -> dict[str, int]:
    return {name: len(part._forward_hooks) + len(part._backward_hooks) for name, part in model.named_modules()}


def _lists(seed: int) -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """Weights and gradients: the example as the last row of one layer, and three random layers of four heads."""
    weights = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.2, 0.8]]], dtype=torch.float64)
    slopes = torch.tensor([[[1.0, 0.0], [2.0, 0.0]], [[-2.0, 0.0], [-5.0, 1.0]]], dtype=torch.float64)
    many = [rows(seed + layer, 4, 5, 5) for layer in range(3)]
    return [([weights], [slopes]), (many, [drawn(seed + 10 + layer, 4, 5, 5) for layer in range(3)])]


@quiet()
def signed_mean(student: Callable, seed: int = 0) -> None:
    cases = _lists(seed)
    products = [torch.stack(w) * torch.stack(g) for w, g in cases]
    judge_all(
        [call(student, *case) for case in cases],
        [p.mean((0, 1)) for p in products],
        {
            "You multiplied the mean weights by the mean gradients. Multiply first, average afterwards.": [
                torch.stack(w).mean((0, 1)) * torch.stack(g).mean((0, 1)) for w, g in cases
            ],
            "You summed over layers and heads. Take the mean.": [p.sum((0, 1)) for p in products],
            "You took the mean over the heads and summed over the layers. Take the mean over both.": [
                p.mean(1).sum(0) for p in products
            ],
            "You kept the positive part only. Here the sign stays.": [p.clamp(min=0).mean((0, 1)) for p in products],
            "You took absolute values. Here the sign stays.": [p.abs().mean((0, 1)) for p in products],
            "The weights are missing: this is the mean of the gradients.": [
                torch.stack(g).mean((0, 1)) for _, g in cases
            ],
            "The gradients are missing: this is the mean of the weights.": [
                torch.stack(w).mean((0, 1)) for w, _ in cases
            ],
            "You averaged over the queries too. Return the whole matrix (query, key).": [
                p.mean((0, 1, 2)) for p in products
            ],
            "You used the last layer only.": [p[-1].mean(0) for p in products],
            "The result is transposed.": [p.mean((0, 1)).T for p in products],
        },
        names=["the mean for the chapter's two heads", "the mean for three random layers"],
    )
    passed("the mean of the products, with their signs")


def _roll(products: torch.Tensor, order: str = "left", add: bool = True, plus: str = "heads") -> torch.Tensor:
    """products: (layer, head, query, key)."""
    flow = torch.eye(products.shape[-1], dtype=products.dtype)
    for product in products:
        step = product.clamp(min=0).mean(0) if plus == "heads" else product.mean(0)
        step = step.clamp(min=0) if plus == "mean" else step
        new = step @ flow if order == "left" else flow @ step
        flow = flow + new if add else new
    return flow


def _entry_by_entry(products: torch.Tensor) -> torch.Tensor:
    flow = torch.eye(products.shape[-1], dtype=products.dtype)
    for product in products:
        flow = flow + product.clamp(min=0).mean(0) * flow
    return flow


@quiet()
def positive_rollout(student: Callable, seed: int = 0) -> None:
    cases = _lists(seed)
    products = [torch.stack(w) * torch.stack(g) for w, g in cases]
    judge_all(
        [call(student, *case) for case in cases],
        [_roll(p) for p in products],
        {
            "The new layer was multiplied from the right. It stands on the left: step @ R.": [
                _roll(p, order="right") for p in products
            ],
            "The first layer was treated as the last: go through the layers from the first on.": [
                _roll(p.flip(0)) for p in products
            ],
            "R was replaced, not added to: R + step @ R.": [_roll(p, add=False) for p in products],
            "The positive part came after the mean over the heads. Take it head by head, before.": [
                _roll(p, plus="mean") for p in products
            ],
            "Everything is zero: R starts as the identity, or there is nothing to carry.": [
                torch.zeros_like(p[0, 0]) for p in products
            ],
            "R was multiplied entry by entry. What is carried passes through every token between: the matrix product "
            "`@`.": [_entry_by_entry(p) for p in products],
            "The positive part is missing.": [_roll(p, plus="none") for p in products],
            "You took absolute values. What speaks against the target is dropped, not counted for it.": [
                _roll(p.abs()) for p in products
            ],
            "The heads were summed. Take their mean.": [_roll(p * p.shape[1]) for p in products],
            "The layers were added up, not carried through each other.": [
                torch.eye(p.shape[-1]) + p.clamp(min=0).mean(1).sum(0) for p in products
            ],
            "The rows were made to sum to one. Nothing is normalised here.": [
                _roll(p) / _roll(p).sum(-1, keepdim=True) for p in products
            ],
            "The identity was taken off at the end. Return R as it is.": [
                _roll(p) - torch.eye(p.shape[-1]) for p in products
            ],
        },
        names=["R for the chapter's two heads", "R for three random layers"],
    )
    passed("what speaks for the target, head by head, carried through the layers beside the identity")


def signs(answer, seed: int = 0) -> None:
    choice(
        answer,
        "a",
        {
            "a": "three and minus three cancel in a mean; the positive part keeps the three and drops the other.",
            "b": "the other way round: the mean cancels, and the positive part is taken before any mean.",
            "c": "true of the signed mean only: the positive part of +3 is +3.",
            "d": "neither adds sizes: one cancels, the other drops what is negative.",
        },
    )


def _walk(
    f, x, baseline, steps, shares=lambda n, steps: (n + 0.5) / steps, way=True, divide=True, start=True, whole=False
):
    total = torch.zeros_like(x)
    for number in range(steps):
        origin = baseline if start else torch.zeros_like(x)
        total += slope_of(f, origin + shares(number, steps) * (x - origin))
    total = total / steps if divide else total
    scores = total * ((x - baseline) if way is True else x if way == "x" else 1)
    return scores if whole else scores.sum(-1)


def _at_points(f, x, baseline, steps):
    points = [baseline + (number + 0.5) / steps * (x - baseline) for number in range(steps)]
    return sum((slope_of(f, point) * point).sum(-1) for point in points) / steps


@quiet()
def integrated(student: Callable, seed: int = 0) -> None:
    square = (
        lambda x: (x**2).sum(),
        torch.tensor([[3.0]], dtype=torch.float64),
        torch.zeros(1, 1, dtype=torch.float64),
        2,
    )
    cases = [square]
    for f, x, _ in functions(seed):
        cases += [(f, x, drawn(seed + 20, *x.shape), 3)]
    cases += [(lambda x: (x**2).sum(), drawn(seed, 2, 3), drawn(seed + 1, 2, 3), 1)]
    judge_all(
        [call(student, *case) for case in cases],
        [_walk(*case) for case in cases],
        {
            "The gradient was taken at the text each time. Take it at the point of each step.": [
                (slope_of(f, x) * (x - b)).sum(-1) for f, x, b, _ in cases
            ],
            "The steps begin at their left ends (0, 1/n, ...). Take the middle of each: (number + 0.5) / steps.": [
                _walk(*case, shares=lambda n, steps: n / steps) for case in cases
            ],
            "The steps end at their right ends (1/n, ..., 1). Take the middle of each: (number + 0.5) / steps.": [
                _walk(*case, shares=lambda n, steps: (n + 1) / steps) for case in cases
            ],
            "The steps go from one end to the other, both ends included (linspace). Take the middle of each: "
            "(number + 0.5) / steps.": [_walk(*case, shares=lambda n, steps: n / max(steps - 1, 1)) for case in cases],
            "You multiplied each gradient by the point where it was taken. The way is the same for all of them: "
            "x - baseline.": [_at_points(*case) for case in cases],
            "The products came back whole. Sum them over the width: one score for each token.": [
                _walk(*case, whole=True) for case in cases
            ],
            "The way is missing: multiply the mean gradient by x - baseline.": [
                _walk(*case, way=False) for case in cases
            ],
            "You multiplied by x. The way is x - baseline.": [_walk(*case, way="x") for case in cases],
            "The gradients were summed. Take their mean over the steps.": [
                _walk(*case, divide=False) for case in cases
            ],
            "The points start at zero, not at the baseline: baseline + share * (x - baseline).": [
                _walk(*case, start=False) for case in cases
            ],
            "The scores have the wrong sign: the way goes from the baseline to the text.": [
                -_walk(*case) for case in cases
            ],
            "Absolute values were taken. Scores have signs, or they could not add up to f(x) - f(baseline).": [
                _walk(*case).abs() for case in cases
            ],
        },
        names=[
            "the scores for x² from 0 to 3",
            "the scores of the chapter's first example",
            "the scores of a linear function",
            "the scores of a curved function",
            "the scores for a sum of squares in one step",
        ],
    )
    f, x, _ = functions(seed)[2]
    baseline = drawn(seed + 30, *x.shape)
    total = expect_tensor(call(student, f, x, baseline, 60), (len(x),)).sum()
    judge(total, f(x) - f(baseline), tolerance=1e-3, name="the sum of the scores with 60 steps")
    passed("the middle of each step, and with enough of them the scores add up to f(x) - f(baseline)")


@quiet()
def gap(student: Callable, seed: int = 0) -> None:
    number = drawn(seed, 5)
    cases = [
        (torch.tensor([6.0, 2.0], dtype=torch.float64), torch.tensor(9.0), torch.tensor(-1.0)),
        (number, number.sum() + 3, torch.tensor(0.5, dtype=torch.float64)),
        (torch.tensor([-4.0, -2.0], dtype=torch.float64), torch.tensor(-4.0), torch.tensor(1.0)),
    ]
    parts = [(s.sum(), t - b) for s, t, b in cases]
    judge_all(
        [call(student, *case) for case in cases],
        [((s - e) / e).abs() for s, e in parts],
        {
            "That is the gap itself. Divide it by what should be explained, |f(x) - f(baseline)|.": [
                (s - e).abs() for s, e in parts
            ],
            "The gap has a sign. Take its absolute value.": [(s - e) / e for s, e in parts],
            "You divided by the sum of the scores. Divide by what should be explained.": [
                ((s - e) / s).abs() for s, e in parts
            ],
            "The baseline's value is missing: f(x) - f(baseline) is to be explained, not f(x).": [
                ((s.sum() - t) / t).abs() for s, t, _ in cases
            ],
            "You divided by f(x). Divide by what should be explained, f(x) - f(baseline).": [
                ((s.sum() - (t - b)) / t).abs() for s, t, b in cases
            ],
            "That is the share that was explained. The gap is what is missing of it.": [
                (s / e).abs() for s, e in parts
            ],
            "The denominator lost its absolute value: where f falls on the way, the share is negative.": [
                (s - e).abs() / e for s, e in parts
            ],
            "Absolute scores were summed. Scores for and against may cancel; that is no gap.": [
                ((s.abs().sum() - (t - b)) / (t - b)).abs() for s, t, b in cases
            ],
        },
        names=["the gap of 6 + 2 where 10 is to be explained", "the gap of random scores", "the gap where f falls"],
    )
    passed("0.2 where 8 of 10 is explained, whichever way f goes")


def baseline(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "any embeddings will do as a start; zero is only one choice, and for some models a bad one.",
            "b": "the scores sum to f(text) - f(baseline), so another baseline shares out another number.",
            "c": "where both have the same token at the same place, x - baseline is zero there, and so is the "
            "score. What is "
            "explained is why this sentence and not that one.",
            "d": "the scores belong to this text's tokens; the other one is what they are compared with.",
        },
    )


def _along(f, points, at=0.0, moves=None):
    """`at` is where each move's gradient is taken: 0 where it begins, 1 where it ends."""
    total = torch.zeros_like(points[0])
    for here, there in zip(points, points[1:], strict=False):
        move = there - here if moves is None else moves
        total += slope_of(f, here + at * (there - here)) * move
    return total.sum(-1)


@quiet()
def along_points(student: Callable, seed: int = 0) -> None:
    line = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)[:, None, None]
    cases = [(lambda x: (x**2).sum(), line)]
    for f, x, _ in functions(seed):
        cases.append(
            (f, torch.stack([drawn(seed + 40, *x.shape), drawn(seed + 41, *x.shape), drawn(seed + 42, *x.shape), x]))
        )
    judge_all(
        [call(student, *case) for case in cases],
        [_along(*case) for case in cases],
        {
            "The gradient was taken where each move ends. Take it where the move begins.": [
                _along(*case, at=1) for case in cases
            ],
            "The gradient was taken in the middle of each move. That is nearer to the integral, and asks the model "
            "about points that are not on the list: take it where the move begins.": [
                _along(*case, at=0.5) for case in cases
            ],
            "You multiplied by the next point. Multiply by the move to it: the next point less this one.": [
                sum((slope_of(f, here) * there).sum(-1) for here, there in zip(p, p[1:], strict=False))
                for f, p in cases
            ],
            "You multiplied by the whole way in each step. Multiply by the move to the next point.": [
                _along(f, p, moves=p[-1] - p[0]) for f, p in cases
            ],
            "The moves have the wrong sign: from each point to the next.": [-_along(*case) for case in cases],
            "The last move is missing.": [_along(f, p[:-1]) for f, p in cases],
            "The first move is missing.": [_along(f, p[1:]) for f, p in cases],
            "The gradient was taken at the text each time. Take it at each point.": [
                (slope_of(f, p[-1]) * (p[-1] - p[0])).sum(-1) for f, p in cases
            ],
            "You took a mean over the moves. Sum them.": [_along(f, p) / (len(p) - 1) for f, p in cases],
        },
        names=[
            "the scores for x² along 0, 1, 3",
            "the scores of the first example",
            "the scores of a linear function",
            "the scores of a curved function",
        ],
    )
    passed("the gradient where each move begins, times the move: 4 along 0, 1, 3")
