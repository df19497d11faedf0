"""Chapter 03: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import torch
from tests.answers import Exercise

from classroom.checks import gradients as check


def slope(f, x):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


def slope_backward(f, x):
    x = x.detach().clone().requires_grad_()
    f(x).backward()
    return x.grad


# --- sensitivity ------------------------------------------------------------------------------------------------------

SENSITIVITY = Exercise(
    check=check.sensitivity,
    right=[lambda f, x: slope(f, x).norm(dim=-1), lambda f, x: slope_backward(f, x).pow(2).sum(1).sqrt()],
    wrong=[
        ("whole", slope, "came back whole"),
        ("sum", lambda f, x: slope(f, x).sum(-1), "You summed the gradient's entries"),
        ("mean", lambda f, x: slope(f, x).mean(-1), "You averaged"),
        ("order 1", lambda f, x: slope(f, x).abs().sum(-1), "norm of order 1"),
        ("squares", lambda f, x: slope(f, x).pow(2).sum(-1), "squares of the lengths"),
        ("over tokens", lambda f, x: slope(f, x).norm(dim=0), "over the tokens"),
        ("one number", lambda f, x: slope(f, x).norm(), "one length for the whole text"),
        ("times input", lambda f, x: (slope(f, x) * x).norm(dim=-1), "That is the next exercise"),
        ("of the input", lambda f, x: x.norm(dim=-1), "lengths of the embeddings"),
    ],
)

# --- gradient_x_input -------------------------------------------------------------------------------------------------

TIMES = Exercise(
    check=check.gradient_x_input,
    right=[lambda f, x: (slope(f, x) * x).sum(-1), lambda f, x: torch.einsum("sw,sw->s", slope_backward(f, x), x)],
    wrong=[
        ("whole", lambda f, x: slope(f, x) * x, "came back whole"),
        ("length", lambda f, x: (slope(f, x) * x).norm(dim=-1), "You took the length of the product"),
        ("absolute before", lambda f, x: (slope(f, x) * x).abs().sum(-1), "absolute values before summing"),
        ("absolute after", lambda f, x: (slope(f, x) * x).sum(-1).abs(), "absolute value of the sum"),
        ("lengths", lambda f, x: slope(f, x).norm(dim=-1) * x.norm(dim=-1), "the lengths of both"),
        ("no input", lambda f, x: slope(f, x).sum(-1), "The input is missing"),
        ("mean", lambda f, x: (slope(f, x) * x).mean(-1), "You averaged over the width"),
        ("over tokens", lambda f, x: (slope(f, x) * x).sum(0), "You summed over the tokens"),
        ("everything", lambda f, x: (slope(f, x) * x).sum(), "You summed over everything"),
    ],
)

# --- weight_gradients -------------------------------------------------------------------------------------------------


def grads(model, ids, target, place=-1, reading=lambda row: row):
    x = model.get_input_embeddings()(ids).detach().requires_grad_()
    output = model(inputs_embeds=x, output_attentions=True)
    return torch.autograd.grad(reading(output.logits[0, place])[target], output.attentions), output.attentions


def right_grads(model, ids, target):
    return [slope[0] for slope in grads(model, ids, target)[0]]


def one_layer_at_a_time(model, ids, target):
    x = model.get_input_embeddings()(ids).detach().requires_grad_()
    output = model(inputs_embeds=x, output_attentions=True)
    value = output.logits[0, -1, target]
    return tuple(torch.autograd.grad(value, w, retain_graph=True)[0].squeeze(0) for w in output.attentions)


def as_it_was(model, ids, target):
    caught, handles = [], []
    for block in model.transformer.h:
        handles.append(block.attn.register_full_backward_hook(lambda m, grad_in, grad_out: caught.append(grad_out[0])))
    output = model(ids, output_attentions=True)
    output.logits[0, -1, target].backward()
    return caught


def outputs_gradients(model, ids, target):
    caught = []
    handles = [
        block.attn.register_forward_hook(lambda m, a, out: caught.append(out[0])) for block in model.transformer.h
    ]
    x = model.get_input_embeddings()(ids).detach().requires_grad_()
    value = model(inputs_embeds=x).logits[0, -1, target]
    for handle in handles:
        handle.remove()
    return list(torch.autograd.grad(value, caught))


def hooks_stay(model, ids, target):
    for block in model.transformer.h:
        block.attn.register_forward_hook(lambda module, args, out: None)
    return right_grads(model, ids, target)


def needs_parameters(model, ids, target):
    output = model(ids, output_attentions=True)
    if not output.attentions[0].requires_grad:
        return []
    return [slope[0] for slope in torch.autograd.grad(output.logits[0, -1, target], output.attentions)]


WEIGHTS = Exercise(
    check=check.weight_gradients,
    right=[right_grads, one_layer_at_a_time],
    wrong=[
        (
            "thaws the model",
            lambda model, ids, target: right_grads(model.requires_grad_(True), ids, target),
            "left as it was",
        ),
        ("as it was", as_it_was, "left on the model's parameters"),
        ("of the outputs", outputs_gradients, "the gradient of what the module gives out"),
        ("hooks stay", hooks_stay, "A hook was left behind"),
        ("needs parameters", needs_parameters, "a list of 3 tensors"),
        ("batch kept", lambda m, i, t: list(grads(m, i, t)[0]), "batch's axis"),
        ("weights", lambda m, i, t: [w[0] for w in grads(m, i, t)[1]], "not their gradients"),
        (
            "products",
            lambda m, i, t: [(g * w)[0] for g, w in zip(*grads(m, i, t), strict=True)],
            "by the weights already",
        ),
        ("backwards", lambda m, i, t: right_grads(m, i, t)[::-1], "in the wrong order"),
        ("heads averaged", lambda m, i, t: [g.mean(0) for g in right_grads(m, i, t)], "heads were averaged"),
        ("first token", lambda m, i, t: [g[0] for g in grads(m, i, t, place=0)[0]], "at the first token"),
        (
            "probability",
            lambda m, i, t: [g[0] for g in grads(m, i, t, reading=lambda r: r.softmax(-1))[0]],
            "probability",
        ),
    ],
)

# --- signed_mean ------------------------------------------------------------------------------------------------------


def products(weights, gradients):
    return torch.stack([w * g for w, g in zip(weights, gradients, strict=True)])


def mean_by_loops(weights, gradients):
    total, count = 0, 0
    for layer, slopes in zip(weights, gradients, strict=True):
        for head, slope in zip(layer, slopes, strict=True):
            total, count = total + head * slope, count + 1
    return total / count


MEAN = Exercise(
    check=check.signed_mean,
    right=[lambda w, g: products(w, g).mean((0, 1)), mean_by_loops],
    wrong=[
        ("means first", lambda w, g: torch.stack(w).mean((0, 1)) * torch.stack(g).mean((0, 1)), "Multiply first"),
        ("sum", lambda w, g: products(w, g).sum((0, 1)), "You summed over layers and heads"),
        ("layers summed", lambda w, g: products(w, g).mean(1).sum(0), "summed over the layers"),
        ("positive", lambda w, g: products(w, g).clamp(min=0).mean((0, 1)), "the positive part only"),
        ("absolute", lambda w, g: products(w, g).abs().mean((0, 1)), "You took absolute values"),
        ("gradients alone", lambda w, g: torch.stack(g).mean((0, 1)), "The weights are missing"),
        ("weights alone", lambda w, g: torch.stack(w).mean((0, 1)), "The gradients are missing"),
        ("last layer", lambda w, g: products(w, g)[-1].mean(0), "the last layer only"),
        ("transposed", lambda w, g: products(w, g).mean((0, 1)).T, "transposed"),
    ],
)

# --- positive_rollout -------------------------------------------------------------------------------------------------


def roll(p, left=True, add=True):
    flow = torch.eye(p.shape[-1], dtype=p.dtype)
    for step in p:
        new = step @ flow if left else flow @ step
        flow = flow + new if add else new
    return flow


def positive(weights, gradients):
    return products(weights, gradients).relu().mean(1)  # (layer, query, key)


def roll_as_a_product(weights, gradients):
    flow = torch.eye(weights[0].shape[-1], dtype=weights[0].dtype)
    for step in positive(weights, gradients):
        flow = (torch.eye(len(step), dtype=step.dtype) + step) @ flow
    return flow


def entry_by_entry(weights, gradients):
    flow = torch.eye(weights[0].shape[-1], dtype=weights[0].dtype)
    for step in positive(weights, gradients):
        flow = flow + step * flow
    return flow


ROLLOUT = Exercise(
    check=check.positive_rollout,
    right=[lambda w, g: roll(positive(w, g)), roll_as_a_product],
    wrong=[
        ("entry by entry", entry_by_entry, "R was multiplied entry by entry"),
        ("from zeros", lambda w, g: torch.zeros_like(w[0][0]), "R starts as the identity"),
        ("from the right", lambda w, g: roll(positive(w, g), left=False), "from the right"),
        ("replaced", lambda w, g: roll(positive(w, g), add=False), "R was replaced"),
        ("plus after the mean", lambda w, g: roll(products(w, g).mean(1).relu()), "after the mean over the heads"),
        ("no plus", lambda w, g: roll(products(w, g).mean(1)), "The positive part is missing"),
        ("absolute", lambda w, g: roll(products(w, g).abs().mean(1)), "You took absolute values"),
        ("heads summed", lambda w, g: roll(products(w, g).relu().sum(1)), "The heads were summed"),
        ("added up", lambda w, g: positive(w, g).sum(0) + torch.eye(w[0].shape[-1]), "layers were added up"),
        ("rows to one", lambda w, g: roll(positive(w, g)) / roll(positive(w, g)).sum(-1, keepdim=True), "sum to one"),
        ("no identity", lambda w, g: roll(positive(w, g)) - torch.eye(w[0].shape[-1]), "The identity was taken off"),
    ],
)

# --- integrated -------------------------------------------------------------------------------------------------------


def walk(f, x, b, steps, shift=0.5):
    points = [b + (number + shift) / steps * (x - b) for number in range(steps)]
    return torch.stack([slope(f, point) for point in points])  # (step, seq, width)


def ig(f, x, baseline, steps=20):
    return (walk(f, x, baseline, steps).mean(0) * (x - baseline)).sum(-1)


def ig_by_linspace(f, x, baseline, steps=20):
    edges = torch.linspace(0, 1, steps + 1, dtype=x.dtype)
    scores = 0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        scores = scores + slope_backward(f, torch.lerp(baseline, x, (low + high) / 2)) * (high - low)
    return ((x - baseline) * scores).sum(-1)


def with_both_ends(f, x, b, n):
    points = [b + share * (x - b) for share in torch.linspace(0, 1, n).tolist()]
    return (sum(slope(f, point) for point in points) / n * (x - b)).sum(-1)


def times_the_points(f, x, b, n):
    points = [b + (number + 0.5) / n * (x - b) for number in range(n)]
    return sum((slope(f, point) * point).sum(-1) for point in points) / n


INTEGRATED = Exercise(
    check=check.integrated,
    right=[ig, ig_by_linspace],
    wrong=[
        ("both ends", with_both_ends, "both ends included"),
        ("times the points", times_the_points, "the point where it was taken"),
        ("not summed", lambda f, x, b, n: walk(f, x, b, n).mean(0) * (x - b), "Sum them over the width"),
        ("at the text", lambda f, x, b, n: (slope(f, x) * (x - b)).sum(-1), "at the text each time"),
        ("left ends", lambda f, x, b, n: (walk(f, x, b, n, 0).mean(0) * (x - b)).sum(-1), "left ends"),
        ("right ends", lambda f, x, b, n: (walk(f, x, b, n, 1).mean(0) * (x - b)).sum(-1), "right ends"),
        ("no way", lambda f, x, b, n: walk(f, x, b, n).mean(0).sum(-1), "The way is missing"),
        ("times x", lambda f, x, b, n: (walk(f, x, b, n).mean(0) * x).sum(-1), "You multiplied by x"),
        ("summed", lambda f, x, b, n: (walk(f, x, b, n).sum(0) * (x - b)).sum(-1), "The gradients were summed"),
        ("from zero", lambda f, x, b, n: (walk(f, x, x * 0, n).mean(0) * (x - b)).sum(-1), "The points start at zero"),
        ("wrong sign", lambda f, x, b, n: -ig(f, x, b, n), "the wrong sign"),
        ("absolute", lambda f, x, b, n: ig(f, x, b, n).abs(), "Absolute values were taken"),
    ],
)

# --- gap --------------------------------------------------------------------------------------------------------------

GAP = Exercise(
    check=check.gap,
    right=[
        lambda s, t, b: ((s.sum() - (t - b)) / (t - b)).abs(),
        lambda s, t, b: abs(1 - float(s.sum()) / float(t - b)),
    ],
    wrong=[
        ("by the text", lambda s, t, b: ((s.sum() - (t - b)) / t).abs(), "You divided by f(x)"),
        ("not a share", lambda s, t, b: (s.sum() - (t - b)).abs(), "That is the gap itself"),
        ("signed", lambda s, t, b: (s.sum() - (t - b)) / (t - b), "The gap has a sign"),
        ("by the sum", lambda s, t, b: ((s.sum() - (t - b)) / s.sum()).abs(), "by the sum of the scores"),
        ("no baseline", lambda s, t, b: ((s.sum() - t) / t).abs(), "The baseline's value is missing"),
        ("explained share", lambda s, t, b: (s.sum() / (t - b)).abs(), "the share that was explained"),
        ("negative below", lambda s, t, b: (s.sum() - (t - b)).abs() / (t - b), "The denominator lost"),
        ("absolute scores", lambda s, t, b: ((s.abs().sum() - (t - b)) / (t - b)).abs(), "Absolute scores were summed"),
    ],
)

# --- along_points -----------------------------------------------------------------------------------------------------


def along(f, points, at=0):
    return sum(slope(f, points[k + at]) * (points[k + 1] - points[k]) for k in range(len(points) - 1)).sum(-1)


def along_in_one_go(f, points):
    slopes = torch.stack([slope_backward(f, point) for point in points[:-1]])
    return (slopes * (points[1:] - points[:-1])).sum((0, 2))


def whole_way(f, points):
    return sum(slope(f, point) * (points[-1] - points[0]) for point in points[:-1]).sum(-1)


def in_the_middle(f, p):
    return sum((slope(f, (here + there) / 2) * (there - here)).sum(-1) for here, there in zip(p, p[1:], strict=False))


def times_the_next(f, p):
    return sum((slope(f, here) * there).sum(-1) for here, there in zip(p, p[1:], strict=False))


ALONG = Exercise(
    check=check.along_points,
    right=[along, along_in_one_go],
    wrong=[
        ("in the middle", in_the_middle, "in the middle of each move"),
        ("times the next point", times_the_next, "You multiplied by the next point"),
        ("at the end", lambda f, p: along(f, p, at=1), "where each move ends"),
        ("whole way", whole_way, "by the whole way"),
        ("sign", lambda f, p: -along(f, p), "the wrong sign"),
        ("last missing", lambda f, p: along(f, p[:-1]), "The last move is missing"),
        ("first missing", lambda f, p: along(f, p[1:]), "The first move is missing"),
        ("at the text", lambda f, p: (slope(f, p[-1]) * (p[-1] - p[0])).sum(-1), "at the text each time"),
        ("mean", lambda f, p: along(f, p) / (len(p) - 1), "a mean over the moves"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise
    for exercise in (SENSITIVITY, TIMES, WEIGHTS, MEAN, ROLLOUT, INTEGRATED, GAP, ALONG)
}
