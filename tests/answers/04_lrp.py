"""Chapter 04: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import torch
from tests.answers import Exercise
from torch.nn import functional as F

from classroom.checks import lrp as check

# --- stabilised -------------------------------------------------------------------------------------------------------


def stable(z, epsilon=1e-9):
    return torch.where(z >= 0, z + epsilon, z - epsilon)


def stable_by_sign(z, epsilon=1e-9):
    side = torch.sign(z)
    side[side == 0] = 1
    return z + epsilon * side


def stable_by_copysign(z, epsilon=1e-9):
    return z + epsilon * ((z >= 0).to(z.dtype) * 2 - 1)


STABILISED = Exercise(
    check=check.stabilised,
    right=[stable, stable_by_sign, stable_by_copysign],
    wrong=[
        ("sign of the sum", lambda z, e: z + e * torch.sign(z + e), "after epsilon had been added"),
        ("zero twice", lambda z, e: stable(torch.where(z == 0, e, z), e), "Zero moved twice"),
        ("as it was", lambda z, e: z + e * torch.sign(z), "The bug is still there"),
        ("plus for all", lambda z, e: z + e, "added to all"),
        ("zero down", lambda z, e: torch.where(z > 0, z + e, z - e), "Zero went down"),
        ("absolute", lambda z, e: z.abs() + e, "signs are lost"),
        ("inwards", lambda z, e: torch.where(z >= 0, z - e, z + e), "towards zero"),
        ("zeros only", lambda z, e: z + e * (z == 0), "Only zeros were moved"),
        (
            "small ones only",
            lambda z, e: torch.where(z.abs() >= e, z, torch.where(z < 0, -e, e)),
            "closer to zero than epsilon",
        ),
        ("clamped", lambda z, e: z.clamp(min=e), "set to epsilon"),
        ("own epsilon", lambda z, e: stable(z), "always 1e-9"),
        ("in place", lambda z, e: z.add_(e), "changed the data"),
    ],
)

# --- share_back -------------------------------------------------------------------------------------------------------


def share(x, weight, bias, relevance, epsilon=1e-9):
    z = weight @ x + bias
    return x * (weight.T @ (relevance / stable(z, epsilon)))


def share_by_loops(x, weight, bias, relevance, epsilon=1e-9):
    result = torch.zeros_like(x)
    for row, b, amount in zip(weight, bias, relevance, strict=True):
        z = float(row @ x + b)
        z += epsilon if z >= 0 else -epsilon
        result += row * x / z * amount
    return result


def unit(x, weight, bias, relevance, epsilon=1e-9):
    return relevance / stable(weight @ x + bias, epsilon)


def absolute_shares(x, w, b, r, e=1e-9):
    terms = (w * x).abs()
    return (terms / terms.sum(1, keepdim=True) * r[:, None]).sum(0)


def bias_spread(x, w, b, r, e=1e-9):
    return share(x, w, b, r, e) + (b * unit(x, w, b, r, e)).sum() / len(x)


def scaled(x, w, b, r, e=1e-9):
    found = share(x, w, b, r, e)
    return found * r.sum() / found.sum()


SHARE_BACK = Exercise(
    check=check.share_back,
    right=[share, share_by_loops],
    wrong=[
        (
            "summed over the inputs",
            lambda x, w, b, r, e=1e-9: (w * x * unit(x, w, b, r, e)[:, None]).sum(1),
            "You summed over the inputs",
        ),
        ("no relevance", lambda x, w, b, r, e=1e-9: share(x, w, b, r * 0 + 1, e), "The relevance is missing"),
        ("no bias", lambda x, w, b, r, e=1e-9: share(x, w, b * 0, r, e), "without the bias"),
        ("bias given back", bias_spread, "in equal parts"),
        ("no input", lambda x, w, b, r, e=1e-9: unit(x, w, b, r, e) @ w, "The inputs are missing"),
        ("transposed", lambda x, w, b, r, e=1e-9: x * (w @ unit(x, w, b, r, e)), "weights are transposed"),
        ("not divided", lambda x, w, b, r, e=1e-9: x * (r @ w), "Nothing was divided"),
        ("multiplied", lambda x, w, b, r, e=1e-9: x * ((r * (w @ x + b)) @ w), "instead of dividing"),
        ("absolute", absolute_shares, "absolute values"),
        ("apart", lambda x, w, b, r, e=1e-9: w * x * unit(x, w, b, r, e)[:, None], "each output apart"),
        ("scaled", scaled, "scaled so that nothing is missing"),
        ("own epsilon", lambda x, w, b, r, e=1e-9: share(x, w, b, r), "`epsilon` has no effect"),
        (
            "sign of zero",
            lambda x, w, b, r, e=1e-9: x * ((r / (w @ x + b + e * torch.sign(w @ x + b))) @ w),
            "gave NaN",
        ),
    ],
)

# --- explain_digit ----------------------------------------------------------------------------------------------------


def walk(layers, pixels, digit, epsilon=1e-9, relu=True, start=None, stop=0, bias_back=1.0):
    inputs = [pixels]
    for weight, bias in layers:
        z = weight @ inputs[-1] + bias
        inputs.append(z.relu() if relu else z)
    start = start or (lambda z: torch.eye(len(z), dtype=z.dtype)[digit] * z)
    relevance = start(z)
    for (weight, bias), x in list(zip(layers, inputs[:-1], strict=True))[stop:][::-1]:
        relevance = share(x, weight, bias * bias_back, relevance, epsilon)
    return relevance


def walk_by_recursion(layers, pixels, digit, epsilon=1e-9):
    (weight, bias), *rest = layers
    z = weight @ pixels + bias
    if rest:
        relevance = walk_by_recursion(rest, z.clamp(min=0), digit, epsilon)
    else:
        relevance = torch.zeros_like(z)
        relevance[digit] = z[digit]
    return share_by_loops(pixels, weight, bias, relevance, epsilon)


def walk_before_relu(layers, pixels, digit, epsilon=1e-9):
    kept, z = [pixels], pixels
    for weight, bias in layers:
        kept.append(weight @ z + bias)
        z = kept[-1].relu()
    relevance = only(kept[-1], digit, kept.pop()[digit])
    for (weight, bias), x in list(zip(layers, kept, strict=True))[::-1]:
        relevance = share(x, weight, bias, relevance, epsilon)
    return relevance


def only(z, digit, value):
    return torch.eye(len(z), dtype=z.dtype)[digit] * value


def slope(layers, pixels, digit, epsilon=1e-9):
    x = pixels.clone().requires_grad_()
    z = x
    for weight, bias in layers[:-1]:
        z = (weight @ z + bias).relu()
    return torch.autograd.grad((layers[-1][0] @ z + layers[-1][1])[digit], x)[0]


EXPLAIN_DIGIT = Exercise(
    check=check.explain_digit,
    right=[walk, walk_by_recursion],
    wrong=[
        ("no relu", lambda *a: walk(*a, relu=False), "ReLUs are missing"),
        ("starts with 1", lambda a, p, d, *e: walk(a, p, d, *e, start=lambda z: only(z, d, 1.0)), "started with 1"),
        ("all logits", lambda *a: walk(*a, start=lambda z: z), "logits of all digits"),
        (
            "probability",
            lambda a, p, d, *e: walk(a, p, d, *e, start=lambda z: only(z, d, z.softmax(-1)[d])),
            "probability of the digit",
        ),
        (
            "relu at the end",
            lambda a, p, d, *e: walk(a, p, d, *e, start=lambda z: only(z, d, z[d].relu())),
            "after the last layer too",
        ),
        ("no bias on the way back", lambda *a: walk(*a, bias_back=0.0), "left out on the way back"),
        ("hidden layer", lambda *a: walk(*a, stop=1), "stopped at the hidden layer"),
        ("before the relu", walk_before_relu, "before its ReLU"),
        ("own epsilon", lambda a, p, d, e=1e-9: walk(a, p, d), "not passed on"),
        ("gradient", slope, "This is the gradient"),
    ],
)

# --- product_rule -----------------------------------------------------------------------------------------------------


def product(a, b, relevance, half=2.0):
    s = relevance / stable(a @ b) / half
    return a * (s @ b.transpose(0, 1)), b * (a.transpose(0, 1) @ s)


def product_by_terms(a, b, relevance):
    terms = a[:, :, None] * b[None] / stable(a @ b)[:, None] * relevance[:, None] / 2  # (query, key, dim)
    return [terms.sum(2), terms.sum(0)]


def unit_of(a, b, r):
    return r / stable(a @ b) / 2


PRODUCT = Exercise(
    check=check.product_rule,
    right=[product, product_by_terms],
    wrong=[
        ("no half", lambda a, b, r: product(a, b, r, 1.0), "claim the whole"),
        ("twice halved", lambda a, b, r: product(a, b, r, 4.0), "halved twice"),
        ("order", lambda a, b, r: product(a, b, r)[::-1], "in the wrong order"),
        ("values only", lambda a, b, r: (a * 0, product(a, b, r, 1.0)[1]), "as if a were constant"),
        ("no factors", lambda a, b, r: (unit_of(a, b, r) @ b.mT, a.mT @ unit_of(a, b, r)), "The factors are missing"),
        ("not divided", lambda a, b, r: (a * (r / 2 @ b.mT), b * (a.mT @ (r / 2))), "Nothing was divided"),
        (
            "by size",
            lambda a, b, r: (a / a.sum() * r.sum() / 2, b / b.sum() * r.sum() / 2),
            "without the shares of the terms",
        ),
        ("one tensor", lambda a, b, r: product(a, b, r)[0], "Return two tensors"),
    ],
)

# --- softmax_rule -----------------------------------------------------------------------------------------------------


def through_softmax(s, a, r):
    return s * r - s * a * r.sum(-1)[..., None]


def through_softmax_by_jacobian(s, a, r):
    gradient = torch.where(a == 0, 0.0, r / a)
    jacobian = torch.diag_embed(a) - a[..., :, None] * a[..., None, :]
    return s * (jacobian @ gradient[..., None])[..., 0]


SOFTMAX = Exercise(
    check=check.softmax_rule,
    right=[through_softmax, through_softmax_by_jacobian],
    wrong=[
        ("of a gradient", lambda s, a, r: a * (r - (a * r).sum(-1, keepdim=True)), "answers to a gradient"),
        ("no scores", lambda s, a, r: r - a * r.sum(-1, keepdim=True), "The scores are missing"),
        ("over queries", lambda s, a, r: s * (r - a * r.sum(-2, keepdim=True)), "runs over the queries"),
        ("one sum", lambda s, a, r: s * (r - a * r.sum()), "over everything"),
        ("over heads", lambda s, a, r: s * (r - a * r.sum(0, keepdim=True)), "heads were summed"),
        ("no weights", lambda s, a, r: s * (r - r.sum(-1, keepdim=True)), "The weights are missing"),
        ("gradient", lambda s, a, r: s * a * (r - (a * r).sum(-1, keepdim=True)), "softmax's gradient"),
        ("times weights", lambda s, a, r: a * (r - a * r.sum(-1, keepdim=True)), "multiplied by the weights"),
        ("plus", lambda s, a, r: s * (r + a * r.sum(-1, keepdim=True)), "Plus instead of minus"),
        ("through", lambda s, a, r: r, "as if the softmax conserved it"),
        ("no keepdim", lambda s, a, r: s * (r - a * r.sum(-1)), "sum with `keepdim=True`"),
        ("weighted sum", lambda s, a, r: s * (r - a * (a * r).sum(-1, keepdim=True)), "weighted with A"),
        ("mean", lambda s, a, r: s * (r - a * r.mean(-1, keepdim=True)), "A mean was taken"),
    ],
)

# --- activation_backward ----------------------------------------------------------------------------------------------


def answer(x, z, gradient):
    return gradient * (z / x).nan_to_num(0.0)


def answer_by_safe_division(x, z, gradient):
    nothing = x == 0
    return torch.where(nothing, torch.zeros_like(x), gradient * z / (x + nothing))


ACTIVATION = Exercise(
    check=check.activation_backward,
    right=[answer, answer_by_safe_division],
    wrong=[
        ("nan", lambda x, z, g: g * z / x, "the result is NaN"),
        ("turned", lambda x, z, g: g * (x / z).nan_to_num(0.0, 0.0, 0.0), "The ratio is turned"),
        ("as it came", lambda x, z, g: g, "handed back as it came"),
        ("relevance", lambda x, z, g: g * z, "This is the relevance"),
        ("no gradient", lambda x, z, g: (z / x).nan_to_num(0.0), "gradient of the output is missing"),
        ("relu", lambda x, z, g: g * (x > 0), "derivative of a ReLU"),
        ("times x", lambda x, z, g: g * z * x, "multiplied by z and by x"),
        ("one at zero", lambda x, z, g: g * (z / x).nan_to_num(1.0), "something left"),
    ],
)

# --- norm_backward ----------------------------------------------------------------------------------------------------


def norm(x, weight, gradient, norm_epsilon=1e-5):
    deviation = torch.sqrt(((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True) + norm_epsilon)
    back = gradient * weight / deviation
    return back - back.mean(-1, keepdim=True)


def norm_by_autograd(x, weight, gradient, norm_epsilon=1e-5):
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        sigma = (x.var(-1, unbiased=False, keepdim=True) + norm_epsilon).sqrt().detach()
        y = (x - x.mean(-1, keepdim=True)) / sigma * weight
    return torch.autograd.grad(y, x, gradient)[0]


def own_gradient(x, weight, gradient, norm_epsilon=1e-5):
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = F.layer_norm(x, x.shape[-1:], weight, None, norm_epsilon)
    return torch.autograd.grad(y, x, gradient)[0]


def with_sigma(sigma):
    def changed(x, weight, gradient, norm_epsilon=1e-5):
        back = gradient * weight / sigma(x, norm_epsilon)
        return back - back.mean(-1, keepdim=True)

    return changed


def spread(x, e, unbiased=False):
    return (x.var(-1, unbiased=unbiased, keepdim=True) + e).sqrt()


def mean_constant(x, w, g, e=1e-5):
    return g * w / spread(x, e)


def mean_of_all(x, w, g, e=1e-5):
    back = g * w / spread(x, e)
    return back - back.mean()


def deviation_of(x, e):
    return (x.var(-1, unbiased=False, keepdim=True) + e).sqrt()


NORM = Exercise(
    check=check.norm_backward,
    right=[norm, norm_by_autograd],
    wrong=[
        (
            "mean before the weight",
            lambda x, w, g, e=1e-5: (g - g.mean(-1, keepdim=True)) * w / spread(x, e),
            "Subtract it last",
        ),
        ("std", with_sigma(lambda x, e: x.std(-1, keepdim=True) + e), "Two slips in sigma"),
        ("as it was", own_gradient, "The bug is still there"),
        (
            "mean of x",
            lambda x, w, g, e=1e-5: g * w / deviation_of(x, e) - x.mean(-1, keepdim=True),
            "The mean of x was subtracted",
        ),
        ("mean constant", mean_constant, "The mean was taken for a constant"),
        ("no weight", lambda x, w, g, e=1e-5: norm(x, w * 0 + 1, g, e), "The weight is missing"),
        ("no sigma", with_sigma(lambda x, e: 1.0), "division by sigma is missing"),
        ("variance", with_sigma(lambda x, e: spread(x, e) ** 2), "divided by the variance"),
        ("one less", with_sigma(lambda x, e: spread(x, e, True)), "one less than the width"),
        ("own epsilon", lambda x, w, g, e=1e-5: norm(x, w, g), "always 1e-5"),
        ("epsilon outside", with_sigma(lambda x, e: spread(x, 0.0) + e), "outside of the root"),
        (
            "root mean square",
            with_sigma(lambda x, e: (x.square().mean(-1, keepdim=True) + e).sqrt()),
            "as in RMSNorm",
        ),
        ("relevance", lambda x, w, g, e=1e-5: x * norm(x, w, g, e), "This is the relevance"),
        ("mean of all", mean_of_all, "Each row has its own"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise
    for exercise in (STABILISED, SHARE_BACK, EXPLAIN_DIGIT, PRODUCT, SOFTMAX, ACTIVATION, NORM)
}
