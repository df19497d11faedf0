"""Chapter 07: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import torch
from tests.answers import Exercise
from torch.nn.functional import kl_div, layer_norm

import glassbox as gb
from classroom.checks import logit_lens as check

# --- lens -------------------------------------------------------------------------------------------------------------


def look(hidden, gain, bias, unembedding, norm=True):
    if norm:
        hidden = layer_norm(hidden, (hidden.shape[-1],), gain, bias, 1e-5)
    return torch.einsum("...i,wi->...w", hidden, unembedding)


def look_by_variance(hidden, gain, bias, unembedding, norm=True):
    if not norm:
        return hidden.matmul(unembedding.mT)
    variance, mean = torch.var_mean(hidden, dim=-1, correction=0, keepdim=True)
    return ((hidden - mean) * (variance + 1e-5).rsqrt() * gain + bias).matmul(unembedding.mT)


def with_norm(inner):
    return lambda h, g, b, U, norm: (inner(h) * g + b if norm else h) @ U.T


def bare(hidden):
    return layer_norm(hidden, (hidden.shape[-1],))


LENS = Exercise(
    check=check.lens,
    right=[look, look_by_variance],
    wrong=[
        ("always normed", lambda h, g, b, U, norm: look(h, g, b, U), "norm=False was ignored"),
        ("never normed", lambda h, g, b, U, norm: h @ U.T, "The norm is missing"),
        ("swapped", lambda h, g, b, U, norm: look(h, g, b, U, not norm), "are swapped"),
        (
            "root mean square",
            with_norm(lambda h: h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()),
            "The mean was not taken off",
        ),
        ("only centred", with_norm(lambda h: h - h.mean(-1, keepdim=True)), "nothing was divided"),
        (
            "std",
            with_norm(lambda h: (h - h.mean(-1, keepdim=True)) / (h.var(-1, keepdim=True) + 1e-5).sqrt()),
            "width - 1",
        ),
        (
            "by the length",
            with_norm(lambda h: bare(h) / h.shape[-1] ** 0.5),
            "divided by the length",
        ),
        (
            "square of the state",
            with_norm(lambda h: (h - h.mean(-1, keepdim=True)) / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()),
            "that of the state",
        ),
        ("whole tensor", with_norm(lambda h: (h - h.mean()) / (h.var(correction=0) + 1e-5).sqrt()), "whole tensor"),
        ("no gain", lambda h, g, b, U, norm: (bare(h) if norm else h) @ U.T, "Gain and bias"),
        ("no bias", lambda h, g, b, U, norm: (bare(h) * g if norm else h) @ U.T, "norm's bias is missing"),
        ("bias first", lambda h, g, b, U, norm: ((bare(h) + b) * g if norm else h) @ U.T, "before the gain"),
        ("gain always", lambda h, g, b, U, norm: ((bare(h) if norm else h) * g + b) @ U.T, "were still applied"),
        ("probabilities", lambda *args: look(*args).softmax(-1), "These are probabilities"),
        ("not transposed", lambda h, g, b, U, norm: h @ U, "stopped with"),
    ],
)

# --- readings ---------------------------------------------------------------------------------------------------------


def hidden_of(model, ids):
    with torch.no_grad():
        return model(ids[None], output_hidden_states=True).hidden_states


@torch.no_grad()
def one_by_one(model, ids):
    head, states = gb.anatomy(model).head, hidden_of(model, ids)
    return torch.stack([head(state, norm=state is not states[-1])[0] for state in states])


@torch.no_grad()
def by_hooks(model, ids):
    parts, seen = gb.anatomy(model), []
    handles = [
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        for module in (*parts.blocks, parts.final_norm)
    ]
    model(input_ids=ids.unsqueeze(0))
    for handle in handles:
        handle.remove()
    return parts.unembedding(parts.final_norm(torch.cat(seen)))


@torch.no_grad()
def normed_twice(model, ids):
    return torch.stack([gb.anatomy(model).head(state)[0] for state in hidden_of(model, ids)])


@torch.no_grad()
def never_normed(model, ids):
    return torch.stack([gb.anatomy(model).head(state, norm=False)[0] for state in hidden_of(model, ids)])


@torch.no_grad()
def all_but_the_last_twice(model, ids):
    parts, states = gb.anatomy(model), hidden_of(model, ids)
    lower = [parts.head(parts.final_norm(state))[0] for state in states[:-1]]
    return torch.stack([*lower, parts.head(states[-1], norm=False)[0]])


@torch.no_grad()
def last_from_the_layer_below(model, ids):
    rows = one_by_one(model, ids)
    return torch.cat([rows[:-1], rows[-2:-1]])


def with_gradients(model, ids):
    output = model(ids[None], output_hidden_states=True)
    return torch.cat([gb.anatomy(model).head(torch.cat(output.hidden_states[:-1])), output.logits])


READINGS = Exercise(
    check=check.readings,
    right=[one_by_one, by_hooks],
    wrong=[
        ("as it was", normed_twice, "The bug is still there"),
        ("no norm", never_normed, "no layer has the norm"),
        ("twice below", all_but_the_last_twice, "normed twice"),
        ("last dropped", lambda m, i: one_by_one(m, i)[:-1], "The last layer is missing"),
        ("first dropped", lambda m, i: one_by_one(m, i)[1:], "The embedding is missing"),
        ("below again", last_from_the_layer_below, "not the model's answer"),
        ("last position", lambda m, i: one_by_one(m, i)[:, -1], "at the last position"),
        ("batch kept", lambda m, i: one_by_one(m, i)[:, None], "batch's axis"),
        ("probabilities", lambda m, i: one_by_one(m, i).softmax(-1), "These are probabilities"),
        ("gradients", with_gradients, "carry gradients"),
    ],
)

# --- ranks ------------------------------------------------------------------------------------------------------------


def places(logits, word):
    own = logits[..., word].unsqueeze(-1)
    return 1 + (logits > own).long().sum(dim=-1)


def places_by_sorting(logits, word):
    ordered = logits.sort(dim=-1, descending=True).values
    return (ordered == logits[..., word, None]).long().argmax(-1) + 1


RANKS = Exercise(
    check=check.ranks,
    right=[places, places_by_sorting],
    wrong=[
        ("from 0", lambda x, w: places(x, w) - 1, "begin with 0"),
        ("ties", lambda x, w: (x >= x[..., w, None]).sum(-1), "same logit"),
        ("itself", lambda x, w: (x >= x[..., w, None]).sum(-1) + 1, "The word itself was counted"),
        ("ascending", lambda x, w: places(-x, w), "from the bottom"),
        ("order", lambda x, w: x.argsort(dim=-1, descending=True, stable=True)[..., w], "in the order. The place"),
        ("order + 1", lambda x, w: x.argsort(dim=-1, descending=True, stable=True)[..., w] + 1, "plus one"),
        ("logits", lambda x, w: x[..., w], "These are the word's logits"),
        ("on top", lambda x, w: places(x, w) == 1, "whether the word is on top"),
    ],
)

# --- settled ----------------------------------------------------------------------------------------------------------


def stays(ranks):
    off = (ranks != 1).nonzero()
    return int(off.max()) + 1 if len(off) else 0


def stays_by_products(ranks):
    return len(ranks) - int((ranks == 1).flip(0).long().cumprod(0).sum())


def first(ranks):
    on = (ranks == 1).nonzero()
    return int(on[0]) if len(on) else len(ranks)


def or_else(value):
    return lambda ranks: stays(ranks) if ranks[-1] == 1 else value(ranks)


SETTLED = Exercise(
    check=check.settled,
    right=[stays, stays_by_products],
    wrong=[
        ("first on top", first, "the first layer at which the word is on top"),
        ("one early", lambda r: stays(r) - 1, "one layer too early"),
        ("count", lambda r: int((r == 1).sum()), "how many layers have the word on top"),
        ("count at the end", lambda r: len(r) - stays(r), "how many layers at the end"),
        ("-1", or_else(lambda r: -1), "not -1"),
        ("last layer", or_else(lambda r: len(r) - 1), "not the last layer"),
        ("smallest", lambda r: r.tolist().index(int(r.min())), "the smallest rank"),
        ("from 1", lambda r: stays(r) + 1, "Layers are counted from 0."),
        ("from 1, and never", lambda r: stays(r) + int(r[-1] == 1), "the lowest is layer 0"),
        ("first on top or nothing", lambda r: int((r == 1).nonzero()[0]), "At layer 2 it was lost again"),
    ],
)

# --- divergence -------------------------------------------------------------------------------------------------------


def apart(final, logits):
    p, q = final.softmax(-1), logits.softmax(-1)
    return (p * (p / q).log()).sum(-1)


def apart_by_torch(final, logits):
    return kl_div(logits.log_softmax(-1), final.log_softmax(-1), reduction="none", log_target=True).sum(-1)


def parts_of_it(formula):
    return lambda final, logits: formula(final.log_softmax(-1), logits.log_softmax(-1))


DIVERGENCE = Exercise(
    check=check.divergence,
    right=[apart, apart_by_torch],
    wrong=[
        ("wrong way round", lambda p, q: apart(q, p), "the wrong way round"),
        ("sign", lambda p, q: -apart(p, q), "The sign is turned"),
        ("bits", lambda p, q: apart(p, q) / torch.tensor(2.0).log(), "These are bits"),
        ("mean", parts_of_it(lambda p, q: (p.exp() * (p - q)).mean(-1)), "the mean over the vocabulary"),
        ("one number", lambda p, q: apart(p, q).mean(), "one number for all rows"),
        ("cross-entropy", parts_of_it(lambda p, q: -(p.exp() * q).sum(-1)), "the cross-entropy"),
        ("logits", lambda p, q: (p.softmax(-1) * (p - q)).sum(-1), "differences of the logits"),
        ("unweighed", parts_of_it(lambda p, q: (p - q).sum(-1)), "not weighed by p"),
        ("not summed", parts_of_it(lambda p, q: p.exp() * (p - q)), "what each word adds"),
    ],
)

# --- fit --------------------------------------------------------------------------------------------------------------


def plain(hidden, A, b):
    return hidden + hidden @ A.T + b


def train(
    hidden, final, gain, bias, unembedding, steps, rate,
    moved=plain, distance=lambda final, here: apart(final, here).mean(), start=torch.zeros, keep=False, sign=-1,
    frozen=None,
):  # fmt: skip
    width = hidden.shape[-1]
    A, b = torch.nn.Parameter(start(width, width)), torch.nn.Parameter(torch.zeros(width))
    for _ in range(steps):
        distance(final, look(moved(hidden, A, b), gain, bias, unembedding)).backward()
        with torch.no_grad():
            for name, parameter in (("A", A), ("b", b)):
                if name != frozen:
                    parameter += sign * rate * parameter.grad
                if not keep:
                    parameter.grad = None
    return A.detach(), b.detach()


def train_with_torch(hidden, final, gain, bias, unembedding, steps, rate):
    width = hidden.shape[-1]
    affine = torch.nn.Linear(width, width)
    for parameter in affine.parameters():
        torch.nn.init.zeros_(parameter)
    optimiser = torch.optim.SGD(affine.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        apart_by_torch(final, look(hidden + affine(hidden), gain, bias, unembedding)).mean().backward()
        optimiser.step()
    return affine.weight.detach(), affine.bias.detach()


def trained(**changes):
    return lambda *args: train(*args, **changes)


def with_attached(*args):
    A, b = train(*args)
    return A.requires_grad_(), b.requires_grad_()


FIT = Exercise(
    check=check.fit,
    right=[train, train_with_torch],
    wrong=[
        ("uphill", trained(sign=1), "uphill"),
        ("wrong way round", trained(distance=lambda p, q: apart(q, p).mean()), "the wrong way round"),
        ("summed", trained(distance=lambda p, q: apart(p, q).sum()), "were summed"),
        ("no state", trained(moved=lambda h, A, b: h @ A.T + b), "The state itself is missing"),
        ("transposed", trained(moved=lambda h, A, b: h + h @ A + b), "A is transposed"),
        ("piled up", trained(keep=True), "earlier steps were added up"),
        ("A still", trained(frozen="A"), "A never moves"),
        ("b still", trained(frozen="b"), "b never moves"),
        (
            "identity",
            trained(start=lambda n, m: torch.eye(n), moved=lambda h, A, b: h @ A.T + b),
            "A has the identity in it",
        ),
        ("one more", lambda *args: train(*args[:5], args[5] + 1, args[6]), "one step too many"),
        ("swapped", lambda *args: train(*args)[::-1], "A and b are swapped"),
        ("A alone", lambda *args: train(*args)[0], "Return two tensors"),
        ("attached", with_attached, "still ask for gradients"),
    ],
)

# --- shares -----------------------------------------------------------------------------------------------------------


def part_by_part(parts, gain, direction):
    whole = parts.sum(0)
    sigma = ((whole - whole.mean()).pow(2).mean() + 1e-5).sqrt()
    return torch.stack([((part - part.mean()) / sigma * gain).dot(direction) for part in parts])


def by_pulling_the_direction_back(parts, gain, direction):
    reader = gain * direction
    return parts @ (reader - reader.mean()) * (parts.sum(0).var(correction=0) + 1e-5).rsqrt()


def centred(parts):
    return parts - parts.mean(-1, keepdim=True)


def frozen_scale(parts):
    return (parts.sum(0).var(correction=0) + 1e-5).sqrt()


def scaled(scale):
    return lambda parts, gain, direction: centred(parts) / scale(parts) * gain @ direction


def other_mean(mean):
    return lambda parts, gain, direction: (parts - mean(parts)) / frozen_scale(parts) * gain @ direction


SHARES = Exercise(
    check=check.shares,
    right=[part_by_part, by_pulling_the_direction_back],
    wrong=[
        ("own norm", lambda p, g, d: bare(p) * g @ d, "a scale of its own"),
        ("not centred", other_mean(lambda p: 0), "means were not taken off"),
        ("mean over parts", other_mean(lambda p: p.mean(0)), "over the parts"),
        ("mean of the whole", other_mean(lambda p: p.sum(0).mean()), "mean of the whole stream"),
        ("no gain", lambda p, g, d: centred(p) / frozen_scale(p) @ d, "The gain is missing"),
        ("no scale", scaled(lambda p: 1), "division by the scale"),
        ("std", scaled(lambda p: (p.sum(0).var() + 1e-5).sqrt()), "width - 1"),
        ("mean of parts", scaled(lambda p: frozen_scale(p) / len(p)), "The stream is their sum"),
        ("root mean square", scaled(lambda p: p.sum(0).square().mean().sqrt()), "with the mean left in"),
        ("absolute", lambda *args: part_by_part(*args).abs(), "Absolute values"),
        ("divided", lambda *args: part_by_part(*args) / part_by_part(*args).sum(), "divided by their sum"),
        ("the logit", lambda *args: part_by_part(*args).sum(), "That is the logit"),
    ],
)

# --- by_head ----------------------------------------------------------------------------------------------------------


def rows_of(mixed, weight, heads):
    size = len(mixed) // heads
    return [mixed[n * size : (n + 1) * size] @ weight[n * size : (n + 1) * size] for n in range(heads)]


def with_the_others_silent(mixed, weight, heads):
    owner = torch.arange(len(mixed)) // (len(mixed) // heads)
    return torch.where(owner == torch.arange(heads)[:, None], mixed, 0) @ weight


def apart_columns(mixed, weight, heads):
    size = len(mixed) // heads
    return torch.stack([mixed[n::heads] @ weight[n * size : (n + 1) * size] for n in range(heads)])


BY_HEAD = Exercise(
    check=check.by_head,
    right=[lambda *args: torch.stack(rows_of(*args)), with_the_others_silent],
    wrong=[
        ("transposed", lambda m, W, n: torch.stack(rows_of(m, W.T, n)), "The matrix is transposed"),
        ("every other", lambda m, W, n: torch.stack([m[h::n] @ W[h::n] for h in range(n)]), "Every other entry"),
        ("cut differently", apart_columns, "were cut differently"),
        ("output cut", lambda m, W, n: (m @ W).reshape(n, -1), "The output was cut"),
        ("the whole", lambda m, W, n: (m @ W).repeat(n, 1), "the whole of what attention writes"),
        ("evenly", lambda m, W, n: (m @ W).repeat(n, 1) / n, "shared out evenly"),
        ("together", lambda m, W, n: m @ W, "all heads write together"),
    ],
)

# --- patched ----------------------------------------------------------------------------------------------------------


def put_in(
    model, ids, layer, position, states,
    change=None, after=False, keep=False, careful=True, grad=False, read=lambda logits: logits[:, -1],
):  # fmt: skip
    def replace(hidden):
        return change(hidden.clone()) if change else torch.where(at, states[:, None], hidden)

    at = (torch.arange(len(ids)) == position)[:, None]
    block = gb.anatomy(model).blocks[layer]
    if after:
        handle = block.register_forward_hook(lambda module, inputs, output: replace(output))
    else:
        handle = block.register_forward_pre_hook(lambda module, inputs: (replace(inputs[0]), *inputs[1:]))
    try:
        with torch.set_grad_enabled(grad):
            logits = model(ids.repeat(len(states), 1)).logits
    except RuntimeError:
        if careful:
            handle.remove()
        raise
    if not keep:
        handle.remove()
    return read(logits)


def one_at_a_time(model, ids, layer, position, states):
    return torch.cat([put_in(model, ids, layer, position, state[None]) for state in states])


def added(model, ids, layer, position, states):
    def change(hidden):
        hidden[:, position] += states
        return hidden

    return put_in(model, ids, layer, position, states, change)


def put_in_with(**changes):
    return lambda *args: put_in(*args, **changes)


PATCHED = Exercise(
    check=check.patched,
    right=[put_in, one_at_a_time],
    wrong=[
        ("nothing", lambda m, i, n, p, s: put_in(m, i, n, p, s, lambda hidden: hidden), "Nothing was put in"),
        ("after the block", put_in_with(after=True), "one layer too late"),
        (
            "everywhere",
            lambda m, i, n, p, s: put_in(m, i, n, p, s, lambda hidden: s[:, None].expand_as(hidden)),
            "at all positions",
        ),
        ("added", added, "The state was added"),
        ("the first only", lambda m, i, n, p, s: put_in(m, i, n, p, s[:1].expand_as(s)), "The first of the states"),
        ("all positions", put_in_with(read=lambda logits: logits), "the logits at all positions"),
        ("at the position", lambda *args: put_in(*args, read=lambda x: x[:, args[3]]), "the logits at the position"),
        ("last position", lambda m, i, n, p, s: put_in(m, i, n, len(i) - 1, s), "not at the one asked for"),
        ("position less one", lambda m, i, n, p, s: put_in(m, i, n, p - 1, s), "one position too early"),
        ("layer 0", lambda m, i, n, p, s: put_in(m, i, 0, p, s), "at layer 0, whatever"),
        ("probabilities", put_in_with(read=lambda logits: logits[:, -1].softmax(-1)), "These are probabilities"),
        ("no finally", put_in_with(careful=False), "When the run stops with an error"),
        ("hook left", put_in_with(keep=True), "a hook is still on it"),
        ("gradients", put_in_with(grad=True), "carry gradients"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise
    for exercise in (LENS, READINGS, RANKS, SETTLED, DIVERGENCE, FIT, SHARES, BY_HEAD, PATCHED)
}
