"""Checks of chapter 04: the rules of layer-wise relevance propagation, and what operations answer in a backward pass.

Every function that is checked takes tensors and returns tensors. The layers and attention weights are random ones.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from classroom.checks import Mistake, call, choice, expect_tensor, judge, judge_all, passed, quiet
from classroom.checks.attention import drawn

Layers = list[tuple[torch.Tensor, torch.Tensor]]


@quiet()
def stabilised(student: Callable, seed: int = 0) -> None:
    cases = [
        (torch.tensor([2.0, 0.0, -3.0], dtype=torch.float64), 0.5),
        (drawn(seed, 3, 4).index_fill(1, torch.tensor(2), 0.0), 0.1),
        (torch.tensor([[-0.1, 0.1], [0.0, -2.0]], dtype=torch.float64), 0.25),
    ]
    judge_all(
        [call(student, *case) for case in cases],
        [torch.where(z >= 0, z + e, z - e) for z, e in cases],
        {
            "The bug is still there: the sign of zero is zero, so zero stayed zero.": [
                z + e * torch.sign(z) for z, e in cases
            ],
            "Epsilon was added to all, whatever their sign: small negative numbers come closer to zero.": [
                z + e for z, e in cases
            ],
            "Zero went down. It goes up.": [torch.where(z > 0, z + e, z - e) for z, e in cases],
            "The signs are lost: negative numbers became positive.": [z.abs() + e for z, e in cases],
            "Everything was moved towards zero, not away from it.": [
                torch.where(z >= 0, z - e, z + e) for z, e in cases
            ],
            "Only zeros were moved. Numbers close to zero make shares without bound: every entry moves.": [
                z + e * (z == 0) for z, e in cases
            ],
            "Only what was closer to zero than epsilon was moved. Every entry moves, and by epsilon.": [
                torch.where(z.abs() < e, torch.where(z >= 0, e, -e), z) for z, e in cases
            ],
            "Numbers below epsilon were set to epsilon, so that negative ones are lost.": [
                z.clamp(min=e) for z, e in cases
            ],
            "Zero moved twice, by two epsilons. Every entry moves by one.": [
                torch.where(z == 0, 2 * e, z + e * torch.sign(z)) for z, e in cases
            ],
            "The sign was taken after epsilon had been added: negative numbers close to zero go up, through it.": [
                z + e * torch.sign(z + e) for z, e in cases
            ],
            "Epsilon is always 1e-9, whatever was asked for.": [
                torch.where(z >= 0, z + 1e-9, z - 1e-9) for z, _ in cases
            ],
        },
        tolerance=1e-7,
        names=["the result for (2, 0, -3)", "the result for random numbers and zeros", "the result close to zero"],
    )
    passed("each entry moved to its own side, and zero up")


def _divide(relevance: torch.Tensor, z: torch.Tensor, epsilon: float = 1e-9) -> torch.Tensor:
    return relevance / torch.where(z >= 0, z + epsilon, z - epsilon)


def _share(x, weight, bias, relevance, epsilon=1e-9):
    return x * (_divide(relevance, weight @ x + bias, epsilon) @ weight)


@quiet()
def share_back(student: Callable, seed: int = 0) -> None:
    hand = [[1.0, 2.0]], [[3.0, 1.0], [-1.0, 2.0]], [1.0, 0.0], [12.0, 3.0]
    (x,), weight, bias, relevance = (torch.tensor(part, dtype=torch.float64) for part in hand)
    no_bias = torch.zeros(4, dtype=torch.float64)
    cases = [
        (x, weight, bias, relevance),
        (drawn(seed, 4), drawn(seed + 1, 4, 4), drawn(seed + 2, 4), drawn(seed + 3, 4)),
        (drawn(seed + 4, 4), drawn(seed + 5, 4, 4), no_bias, drawn(seed + 6, 4)),
        (drawn(seed + 7, 4), drawn(seed + 8, 4, 4), drawn(seed + 9, 4), drawn(seed + 10, 4), 0.3),
    ]
    right = [_share(*case) for case in cases]
    z = [w @ x + b for x, w, b, *_ in cases]
    e = [case[4] if len(case) > 4 else 1e-9 for case in cases]
    per_unit = [_divide(case[3], each, small) for case, each, small in zip(cases, z, e, strict=True)]
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "The outputs were computed without the bias: then the inputs get its part.": [
                _share(x, w, b * 0, *more) for x, w, b, *more in cases
            ],
            "The bias was given back to the inputs in equal parts. It keeps its share.": [
                r + (case[2] * unit).sum() / len(r) for r, case, unit in zip(right, cases, per_unit, strict=True)
            ],
            "The inputs are missing: multiply by x in the end.": [
                unit @ case[1] for case, unit in zip(cases, per_unit, strict=True)
            ],
            "You summed over the inputs: these are the outputs again. Sum over the outputs, one number for each "
            "input.": [(case[1] * case[0] * unit[:, None]).sum(1) for case, unit in zip(cases, per_unit, strict=True)],
            "The relevance is missing: what the outputs received is what is shared out, not 1 for each.": [
                case[0] * (_divide(torch.ones_like(each), each, small) @ case[1])
                for case, each, small in zip(cases, z, e, strict=True)
            ],
            "The weights are transposed: sum over the outputs.": [
                case[0] * (case[1] @ unit) for case, unit in zip(cases, per_unit, strict=True)
            ],
            "Nothing was divided by the outputs. A share is a part of the whole.": [
                case[0] * (case[3] @ case[1]) for case in cases
            ],
            "You multiplied by z instead of dividing by it.": [
                case[0] * ((case[3] * each) @ case[1]) for case, each in zip(cases, z, strict=True)
            ],
            "Shares of absolute values were taken: what spoke against gets a positive share.": [
                (((case[1] * case[0]).abs() / (case[1] * case[0]).abs().sum(1, keepdim=True)).T @ case[3])
                for case in cases
            ],
            "These are the shares of each output apart. Sum over the outputs.": [
                case[1] * case[0] * unit[:, None] for case, unit in zip(cases, per_unit, strict=True)
            ],
            "The result was scaled so that nothing is missing. What the bias holds has to be missing.": [
                r * case[3].sum() / r.sum() for r, case in zip(right, cases, strict=True)
            ],
            "`epsilon` has no effect: divide by `stabilised(z, epsilon)`.": [_share(*case[:4]) for case in cases],
        },
        tolerance=1e-7,
        names=[
            "the relevance in the example by hand",
            "the relevance for a random layer",
            "the relevance for a layer without biases",
            "the relevance with a large epsilon",
        ],
    )
    dead = torch.zeros(3, dtype=torch.float64)
    value = call(student, dead, drawn(seed, 2, 3), torch.zeros(2, dtype=torch.float64), dead[:2])
    if isinstance(value, torch.Tensor) and value.isnan().any():
        raise Mistake("A layer that reads nothing but zeros gave NaN: divide by your `stabilised(z, epsilon)`.")
    judge(value, dead, name="the relevance for a layer that reads zeros")
    passed("5 and 8 in the example; conserved without biases, and with them all but their share")


def network(seed: int, biases: bool, *widths: int) -> Layers:
    made = []
    for number, (below, above) in enumerate(zip(widths, widths[1:], strict=False)):
        bias = drawn(seed + 50 + number, above) * biases
        made.append((drawn(seed + number, above, below), bias))
    return made


def _forward(layers: Layers, pixels: torch.Tensor, relu: bool = True) -> tuple[list[torch.Tensor], torch.Tensor]:
    inputs, before = [pixels], []
    for weight, bias in layers:
        before.append(weight @ inputs[-1] + bias)
        inputs.append(before[-1].relu() if relu else before[-1])
    return inputs[:-1], before[-1]


def _explained(layers: Layers, pixels, digit, epsilon=1e-9, relu=True, start=None, ones=False, without_bias=False):
    inputs, logits = _forward(layers, pixels, relu)
    relevance = torch.zeros_like(logits)
    relevance[digit] = 1.0 if ones else logits[digit]
    relevance = relevance if start is None else start(logits)
    for (weight, bias), x in zip(layers[::-1], inputs[::-1], strict=True):
        relevance = _share(x, weight, bias * (not without_bias), relevance, epsilon)
    return relevance


def _before_relu(layers: Layers, pixels, digit, epsilon=1e-9):
    inputs, logits = _forward(layers, pixels)
    sums = [weight @ x + bias for (weight, bias), x in zip(layers, inputs, strict=True)]
    relevance = _only(logits, digit)
    for (weight, bias), x in zip(layers[::-1], [pixels, *sums[:-1]][::-1], strict=True):
        relevance = _share(x, weight, bias, relevance, epsilon)
    return relevance


def _alive(seed: int, biases: bool, *widths: int) -> tuple[Layers, torch.Tensor, int]:
    """A network, an input, and an output that is far from zero, so that shares are of ordinary size."""
    for more in range(0, 100_000, 100):
        layers, pixels = network(seed + more, biases, *widths), drawn(seed + more + 90, widths[0]).abs()
        inputs, logits = _forward(layers, pixels)
        enough = all(int((x > 0).sum()) >= 2 for x in inputs[1:])
        if enough and logits.abs().max() > 1 and bool((logits.relu() == 0).any()):
            return layers, pixels, int(logits.abs().argmax())
    raise RuntimeError("no such network was drawn")


@quiet()
def explain_digit(student: Callable, seed: int = 0) -> None:
    hand = [
        (torch.tensor([[1.0], [-3.0]]).double(), torch.zeros(2).double()),
        (torch.tensor([[4.0, 5.0]]).double(), torch.zeros(1).double()),
    ]
    cases = [
        (hand, torch.tensor([2.0], dtype=torch.float64), 0),
        _alive(seed, True, 5, 6, 4, 3),
        _alive(seed + 1, False, 6, 5, 4),
        (*_alive(seed + 2, True, 4, 7, 5, 3), 0.2),
    ]
    negative = next(c for c in (_alive(seed + 7 * n, True, 5, 4, 3) for n in range(3, 60)) if _logit(*c) < 0)
    cases.append(negative)
    judge_all(
        [call(student, *case) for case in cases],
        [_explained(*case) for case in cases],
        {
            "The ReLUs are missing on the way forward.": [_explained(*case, relu=False) for case in cases],
            "You started with 1 at the digit. Start with its logit.": [_explained(*case, ones=True) for case in cases],
            "You started with the logits of all digits. All but one are zero at the start.": [
                _explained(*case, start=lambda logits: logits) for case in cases
            ],
            "You started with the probability of the digit. Start with its logit.": [
                _explained(*case, start=lambda logits, d=case[2]: _only(logits.softmax(-1), d)) for case in cases
            ],
            "A ReLU stands after the last layer too: a negative logit became zero.": [
                _explained(*case, start=lambda logits, d=case[2]: _only(logits.relu(), d)) for case in cases
            ],
            "The biases are left out on the way back. The outputs that are shared out have them.": [
                _explained(*case, without_bias=True) for case in cases
            ],
            "A later layer's input was kept before its ReLU. What the layer was given is what comes after.": [
                _before_relu(*case) for case in cases
            ],
            "You stopped at the hidden layer. Go back to the pixels.": [_hidden(*case) for case in cases],
            "Epsilon was not passed on to share_back.": [_explained(*case[:3]) for case in cases],
            "This is the gradient. Relevance is handed back by shares.": [_slope(*case[:3]) for case in cases],
        },
        tolerance=1e-6,
        names=[
            "the relevance in the example by hand",
            "the relevance in a random network",
            "the relevance in a network without biases",
            "the relevance with a large epsilon",
            "the relevance for a negative logit",
        ],
    )
    layers, pixels, digit = cases[2]
    value = expect_tensor(call(student, layers, pixels, digit), pixels.shape, "the relevance")
    judge(value.sum(), _logit(layers, pixels, digit), tolerance=1e-6, name="the sum without biases")
    passed("from the logit to the pixels; without biases they sum to the logit")


def _only(logits: torch.Tensor, digit: int) -> torch.Tensor:
    return torch.zeros_like(logits).index_fill(0, torch.tensor(digit), 1.0) * logits


def _logit(layers: Layers, pixels: torch.Tensor, digit: int) -> float:
    return float(_forward(layers, pixels)[1][digit])


def _hidden(layers: Layers, pixels: torch.Tensor, digit: int, epsilon: float = 1e-9) -> torch.Tensor:
    inputs, logits = _forward(layers, pixels)
    relevance = _only(logits, digit)
    for (weight, bias), x in zip(layers[:0:-1], inputs[:0:-1], strict=True):
        relevance = _share(x, weight, bias, relevance, epsilon)
    return relevance


def _slope(layers: Layers, pixels: torch.Tensor, digit: int) -> torch.Tensor:
    x = pixels.clone().requires_grad_()
    return torch.autograd.grad(_forward(layers, x)[1][digit], x)[0]


def missing(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "epsilon stands beside numbers of ordinary size, and is a thousand million times smaller.",
            "b": "a bias is a term of the sum as every other, and there is no pixel below it to hand its share to.",
            "c": "a dead ReLU gave zero, so its share is zero: it holds nothing.",
            "d": "the shares of each output, the bias's among them, sum to one. Nothing is lost; part of it stays.",
        },
    )


def _product(a, b, relevance, half=2.0):
    s = _divide(relevance, a @ b) / half
    return a * (s @ b.mT), b * (a.mT @ s)


@quiet()
def product_rule(student: Callable, seed: int = 0) -> None:
    hand = [[0.5, 0.25, 0.25]], [[4.0], [12.0], [-4.0]], [[8.0]]
    cases = [
        tuple(torch.tensor(part, dtype=torch.float64) for part in hand),
        (drawn(seed, 4, 4).softmax(-1), drawn(seed + 1, 4, 4), drawn(seed + 2, 4, 4)),
        (drawn(seed + 3, 2, 3), drawn(seed + 4, 3, 5), drawn(seed + 5, 2, 5)),
    ]
    values = []
    for case in cases:
        value = call(student, *case)
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Mistake("Return two tensors: the relevance of a, and that of b.")
        values += value

    def all_of(rule: Callable) -> list[torch.Tensor]:
        return [part for case in cases for part in rule(*case)]

    def per_unit(a, b, r):
        return _divide(r, a @ b) / 2

    judge_all(
        values,
        all_of(_product),
        {
            "Both factors claim the whole: the half is missing.": all_of(lambda *case: _product(*case, half=1.0)),
            "It was halved twice.": all_of(lambda *case: _product(*case, half=4.0)),
            "The two results are in the wrong order: first that of a.": all_of(lambda *case: _product(*case)[::-1]),
            "All went to b, as if a were constant. Here both were computed from the text.": all_of(
                lambda a, b, r: (torch.zeros_like(a), _product(a, b, r, 1.0)[1])
            ),
            "The factors are missing: multiply by a, and by b, in the end.": all_of(
                lambda a, b, r: (per_unit(a, b, r) @ b.mT, a.mT @ per_unit(a, b, r))
            ),
            "Nothing was divided by the product a @ b.": all_of(
                lambda a, b, r: (a * (r / 2 @ b.mT), b * (a.mT @ (r / 2)))
            ),
            "The relevance was halved entry by entry, and handed on without the shares of the terms.": all_of(
                lambda a, b, r: (a / a.sum() * r.sum() / 2, b / b.sum() * r.sum() / 2)
            ),
            "A part of the result has the wrong sign.": all_of(
                lambda a, b, r: (_product(a, b, r)[0], -_product(a, b, r)[1])
            ),
        },
        tolerance=1e-6,
        names=[
            f"the relevance of {factor} {where}"
            for where in ("in the example by hand", "for attention weights and values", "for factors of other shapes")
            for factor in ("a", "b")
        ],
    )
    passed("half to each factor, by the shares of its terms: 2, 3 and -1 twice in the example")


def _handed(scores, weights, relevance, dim=-1):
    return scores * (relevance - weights * relevance.sum(dim=dim, keepdim=True))


@quiet()
def softmax_rule(student: Callable, seed: int = 0) -> None:
    hand = [1.7, 1.0, 1.0], [0.5, 0.25, 0.25], [2.0, 3.0, -1.0]
    cases = [tuple(torch.tensor([[part]], dtype=torch.float64) for part in hand)]
    for number in (0, 3):
        scores = drawn(seed + number, 3, 3, 3)
        allowed = torch.ones(3, 3).tril().bool() | bool(number)
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
        cases.append((scores, weights, drawn(seed + number + 1, 3, 3, 3) * allowed))
    judge_all(
        [call(student, *case) for case in cases],
        [_handed(*case) for case in cases],
        {
            "The scores are missing: multiply by them in the end.": [_handed(s * 0 + 1, a, r) for s, a, r in cases],
            "The sum runs over the queries. Each row, over the keys, is a softmax of its own.": [
                _handed(*case, dim=-2) for case in cases
            ],
            "One sum was taken over everything. Each row has its own.": [s * (r - a * r.sum()) for s, a, r in cases],
            "Each softmax has its own sum; the heads were summed together.": [_handed(*case, dim=0) for case in cases],
            "The weights are missing in front of the sum.": [s * (r - r.sum(-1, keepdim=True)) for s, a, r in cases],
            "This is the softmax's gradient: R_A is a relevance already, so no further factor A belongs to it.": [
                s * a * (r - (a * r).sum(-1, keepdim=True)) for s, a, r in cases
            ],
            "This is what the softmax answers to a gradient. R_A is a relevance: take away A times its sum, and "
            "multiply by the scores in the end.": [a * (r - (a * r).sum(-1, keepdim=True)) for _, a, r in cases],
            "You multiplied by the weights in the end. Multiply by the scores.": [
                _handed(a, a, r) for _, a, r in cases
            ],
            "The sum ran along the right axis and was put against the wrong one: sum with `keepdim=True`.": [
                s * (r - a * r.sum(-1)) for s, a, r in cases
            ],
            "The sum was weighted with A before it was taken. Sum the relevance alone.": [
                s * (r - a * (a * r).sum(-1, keepdim=True)) for s, a, r in cases
            ],
            "Plus instead of minus.": [s * (r + a * r.sum(-1, keepdim=True)) for s, a, r in cases],
            "The relevance was handed through as it came, as if the softmax conserved it.": [r for _, _, r in cases],
            "A mean was taken over the keys. Sum.": [s * (r - a * r.mean(-1, keepdim=True)) for s, a, r in cases],
        },
        names=[
            "the relevance in the example by hand",
            "the relevance under a causal mask",
            "the relevance without a mask",
        ],
    )
    passed("0, 2 and -2 in the example: four came in, and what goes on sums to zero")


def conserved(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "that is the aim. What biases, positions and a softmax hold does not reach the tokens.",
            "b": "then each term of each sum leads to a token in the end, and no relevance goes into a softmax.",
            "c": "one leak is closed then. The softmax still receives relevance and hands on another amount.",
            "d": "epsilon holds next to nothing anyway. Biases and position embeddings hold shares under any rule.",
        },
    )


@quiet()
def activation_backward(student: Callable, seed: int = 0) -> None:
    x = drawn(seed, 3, 5).index_fill(1, torch.tensor(1), 0.0)
    cases = [
        tuple(torch.tensor([part], dtype=torch.float64) for part in (3.0, 9.0, 1.0)),
        (x, F.gelu(x), drawn(seed + 1, 3, 5)),
        (x, x.relu(), drawn(seed + 2, 3, 5)),
    ]
    values = [call(student, *case) for case in cases]
    if any(isinstance(value, torch.Tensor) and value.isnan().any() for value in values):
        raise Mistake("Where x is zero the result is NaN. Nothing is handed back there: zero.")

    def ratio(x, z):
        return torch.where(x == 0, 0.0, z / x)

    judge_all(
        values,
        [gradient * ratio(x, z) for x, z, gradient in cases],
        {
            "The ratio is turned: it is z / x.": [
                gradient * torch.where(z == 0, 0.0, x / z) for x, z, gradient in cases
            ],
            "The gradient is handed back as it came. It is the relevance, x * G, that stays the same.": [
                gradient for _, _, gradient in cases
            ],
            "This is the relevance. Return G, which is the relevance divided by x.": [
                gradient * z for _, z, gradient in cases
            ],
            "The gradient of the output is missing.": [ratio(x, z) for x, z, _ in cases],
            "This is the derivative of a ReLU. Other activations have other ratios.": [
                gradient * (x > 0) for x, _, gradient in cases
            ],
            "You multiplied by z and by x. Divide by x.": [gradient * z * x for x, z, gradient in cases],
            "Where x is zero there is something left. Nothing is handed back there.": [
                gradient * torch.where(x == 0, 1.0, z / x) for x, z, gradient in cases
            ],
        },
        names=["the answer of the square", "the answer of GELU", "the answer of ReLU"],
    )
    passed("x times the answer is z times the gradient, and zero stays zero")


def _norm_answer(x, weight, gradient, norm_epsilon=1e-5, sigma=None, mean=True):
    sigma = (x.var(-1, unbiased=False, keepdim=True) + norm_epsilon).sqrt() if sigma is None else sigma
    scaled = gradient * weight / sigma
    return scaled - scaled.mean(-1, keepdim=True) if mean else scaled


@quiet()
def norm_backward(student: Callable, seed: int = 0) -> None:
    hand = [[1.0, 3.0]], [1.0, 1.0], [[0.0, 1.0]]
    cases = [
        tuple(torch.tensor(part, dtype=torch.float64) for part in hand),
        (drawn(seed, 4, 6), drawn(seed + 1, 6), drawn(seed + 2, 4, 6)),
        (drawn(seed + 3, 2, 3, 5), drawn(seed + 4, 5), drawn(seed + 5, 2, 3, 5), 0.3),
    ]

    def own(x, weight, gradient, norm_epsilon=1e-5):
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            y = F.layer_norm(x, x.shape[-1:], weight, None, norm_epsilon)
            return torch.autograd.grad(y, x, gradient)[0]

    def spread(x, epsilon=1e-5, unbiased=False):
        return (x.var(-1, unbiased=unbiased, keepdim=True) + epsilon).sqrt()

    def epsilon_of(case):
        return case[3] if len(case) > 3 else 1e-5

    judge_all(
        [call(student, *case) for case in cases],
        [_norm_answer(*case) for case in cases],
        {
            "The bug is still there: this is the norm's own gradient, through sigma.": [own(*case) for case in cases],
            "The mean was taken for a constant too. Only sigma is one.": [
                _norm_answer(*case, mean=False) for case in cases
            ],
            "The weight is missing.": [_norm_answer(x, w * 0 + 1, *more) for x, w, *more in cases],
            "The division by sigma is missing.": [_norm_answer(*case, sigma=1.0) for case in cases],
            "You divided by the variance. Sigma is its root.": [
                _norm_answer(*case, sigma=spread(case[0], epsilon_of(case)) ** 2) for case in cases
            ],
            "The variance was divided by one less than the width. LayerNorm divides by the width.": [
                _norm_answer(*case, sigma=spread(case[0], epsilon_of(case), True)) for case in cases
            ],
            "The mean was subtracted before the multiplication with the weight and the division. Subtract it last: "
            "of what is there after step 2.": [
                (g - g.mean(-1, keepdim=True)) * w / spread(x, *more) for x, w, g, *more in cases
            ],
            "Two slips in sigma: `std` divides by one less than the width, and norm_epsilon stands outside of the "
            "root.": [_norm_answer(*case, sigma=spread(case[0], 0.0, True) + epsilon_of(case)) for case in cases],
            "norm_epsilon is always 1e-5, whatever was asked for.": [_norm_answer(*case[:3]) for case in cases],
            "norm_epsilon stands outside of the root. It is added to the variance.": [
                _norm_answer(*case, sigma=spread(case[0], 0.0) + epsilon_of(case)) for case in cases
            ],
            "Sigma is the root mean square here, as in RMSNorm. LayerNorm takes the mean away first.": [
                _norm_answer(*case, sigma=(case[0].square().mean(-1, keepdim=True) + epsilon_of(case)).sqrt())
                for case in cases
            ],
            "This is the relevance. Return G; it is multiplied by x later.": [
                case[0] * _norm_answer(*case) for case in cases
            ],
            "The mean of x was subtracted. Subtract the mean of the gradient that came through sigma.": [
                _norm_answer(*case, mean=False) - case[0].mean(-1, keepdim=True) for case in cases
            ],
            "The mean runs over everything. Each row has its own.": [
                (s := _norm_answer(*case, mean=False)) - s.mean() for case in cases
            ],
        },
        names=["the answer by hand", "the answer for a random norm", "the answer with a large norm_epsilon"],
    )
    x, weight, gradient = cases[1]
    value = expect_tensor(call(student, x, weight, gradient), x.shape, "the answer")
    received = (F.layer_norm(x, x.shape[-1:], weight) * gradient).sum(-1)
    judge((x * value).sum(-1), received, name="the relevance below the norm")
    passed("sigma is a constant, the mean is not: what came in goes on")


def relu(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "there are many ways to share out an amount so that it adds up, and with biases neither does.",
            "b": "they agree on every image and would in a network of any size that has only such parts.",
            "c": "linear layers answer with their own gradient anyway, and so does the ReLU. There is nothing to "
            "change.",
            "d": "biases hold a share under both, and the same one.",
        },
    )
