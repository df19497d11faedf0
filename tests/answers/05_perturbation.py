"""Chapter 05: answers that students give. Each wrong one names the words that must stand in the message it gets."""

from itertools import combinations, permutations
from math import comb, factorial

import torch
from tests.answers import Exercise

from classroom.checks import perturbation as check

# --- variant ----------------------------------------------------------------------------------------------------------


def vary(ids, place, how, substitute=0):
    ones = torch.ones_like(ids)
    if how == "delete":
        return torch.cat([ids[:place], ids[place + 1 :]]), ones[1:]
    if how == "replace":
        changed = ids.clone()
        changed[place] = substitute
        return changed, ones
    ones[place] = 0
    return ids, ones


def vary_with_lists(ids, place, how, substitute=0):
    text, mask = ids.tolist(), [1] * len(ids)
    if how == "delete":
        del text[place], mask[place]
    elif how == "replace":
        text[place] = substitute
    else:
        mask[place] = 0
    return torch.tensor(text), torch.tensor(mask)


def only_for(way, other):
    """Right but for one way."""
    return lambda ids, place, how, substitute: (
        other(ids, place, substitute) if how == way else vary(ids, place, how, substitute)
    )


def ones(ids):
    return torch.ones_like(ids)


VARIANT = Exercise(
    check=check.variant,
    right=[vary, vary_with_lists],
    wrong=[
        ("mask turned", only_for("hide", lambda i, p, s: (i, 1 - vary(i, p, "hide")[1])), "wrong way round"),
        ("long mask", only_for("delete", lambda i, p, s: (vary(i, p, "delete")[0], ones(i))), "differ in length"),
        ("nothing", only_for("delete", lambda i, p, s: (i, ones(i))), "nothing was taken away"),
        ("one later", only_for("delete", lambda i, p, s: vary(i, p + 1, "delete")), "the token after the place"),
        ("cut off", only_for("delete", lambda i, p, s: (i[:p], ones(i[:p]))), "was cut off"),
        ("replaced", only_for("delete", lambda i, p, s: vary(i, p, "replace", s)), "It has to be gone"),
        (
            "hidden and replaced",
            only_for("hide", lambda i, p, s: (vary(i, p, "replace", s)[0], vary(i, p, "hide")[1])),
            "replaced too",
        ),
        ("always 0", only_for("replace", lambda i, p, s: vary(i, p, "replace", 0)), "whatever was asked for"),
        ("ids alone", lambda i, p, h, s: vary(i, p, h, s)[0], "Return two tensors"),
    ],
)

# --- hide -------------------------------------------------------------------------------------------------------------


def logits(model, ids, mask=None, place=-1):
    with torch.no_grad():
        return model(ids[None], attention_mask=None if mask is None else mask[None]).logits[0, place]


def masked(ids, place):
    return vary(ids, place, "hide")[1]


def hidden_batch(model, ids, place):
    mask = torch.ones(1, len(ids), dtype=torch.long)
    mask[0, place] = 0
    with torch.inference_mode():
        return model(input_ids=ids.unsqueeze(0), attention_mask=mask).logits.squeeze(0)[-1].clone()


HIDE = Exercise(
    check=check.hide,
    right=[lambda m, i, p: logits(m, i, masked(i, p)), hidden_batch],
    wrong=[
        ("as it was", lambda m, i, p: logits(m, vary(i, p, "replace", 0)[0]), "The bug is still there"),
        ("whole text", lambda m, i, p: logits(m, i), "Nothing was hidden"),
        ("mask turned", lambda m, i, p: logits(m, i, 1 - masked(i, p)), "wrong way round"),
        ("deleted", lambda m, i, p: logits(m, vary(i, p, "delete")[0]), "The token was deleted"),
        ("hidden place", lambda m, i, p: logits(m, i, masked(i, p), place=p), "at the hidden place"),
        ("all places", lambda m, i, p: logits(m, i, masked(i, p), place=slice(None)), "at all places"),
        ("batch kept", lambda m, i, p: logits(m, i, masked(i, p))[None], "batch's axis"),
        ("gradients", lambda m, i, p: m(i[None], attention_mask=masked(i, p)[None]).logits[0, -1], "carry gradients"),
        ("probabilities", lambda m, i, p: logits(m, i, masked(i, p)).softmax(-1), "These are probabilities"),
    ],
)

# --- games ------------------------------------------------------------------------------------------------------------


def all_but(n, *missing):
    return torch.tensor([place not in missing for place in range(n)])


def lost(f, n, *missing):
    return f(all_but(n)) - f(all_but(n, *missing))


def loo(f, n):
    return torch.tensor([lost(f, n, player) for player in range(n)])


def loo_by_eye(f, n):
    whole = f(torch.full((n,), True))
    return torch.stack([torch.tensor(whole - f(row)) for row in ~torch.eye(n).bool()])


LOO = Exercise(
    check=check.leave_one_out,
    right=[loo, loo_by_eye],
    wrong=[
        ("sign", lambda f, n: -loo(f, n), "The sign is turned"),
        ("absolute", lambda f, n: loo(f, n).abs(), "Absolute values"),
        ("values", lambda f, n: torch.tensor([f(all_but(n, i)) for i in range(n)]), "values of f without each"),
        (
            "alone",
            lambda f, n: torch.tensor([f(~all_but(n, i)) - f(~all_but(n)) for i in range(n)]),
            "each player alone",
        ),
        ("never back", lambda f, n: torch.tensor([lost(f, n, *range(i + 1)) for i in range(n)]), "never came back"),
        ("shares", lambda f, n: loo(f, n) / loo(f, n).sum(), "divided by their sum"),
        ("a list", lambda f, n: loo(f, n).tolist(), "Return a tensor"),
        ("numbers, not truth", lambda f, n: torch.tensor([f(torch.ones(n)) for _ in range(n)]), "truth values"),
    ],
)


def slide(f, n, width, step=1, over=0, mean=True):
    total, count = torch.zeros(n), torch.zeros(n)
    for first in range(0, n - width + 1 + over, step):
        members = [place for place in range(first, first + width) if place < n]
        total[members] += lost(f, n, *members)
        count[members] += 1
    return total / count.clamp(min=1) if mean else total


def slide_by_convolution(f, n, width):
    losses = [lost(f, n, *range(first, first + width)) for first in range(n - width + 1)]
    around = [[loss for first, loss in enumerate(losses) if first <= i < first + width] for i in range(n)]
    return [sum(each) / len(each) for each in around]


OCCLUSION = Exercise(
    check=check.occlusion,
    right=[slide, slide_by_convolution],
    wrong=[
        ("sum", lambda f, n, w: slide(f, n, w, mean=False), "The losses were summed"),
        ("by the width", lambda f, n, w: slide(f, n, w, mean=False) / w, "divided by the width"),
        ("by its own width", lambda f, n, w: slide(f, n, w, step=w, over=w - 1), "move by their own width"),
        ("tiles", lambda f, n, w: slide(f, n, w, step=w), "do not overlap"),
        ("over the end", lambda f, n, w: slide(f, n, w, over=w - 1), "hang over the end"),
        ("last missing", lambda f, n, w: slide(f, n, w, over=-1), "The last window is missing"),
        ("sign", lambda f, n, w: -slide(f, n, w), "The sign is turned"),
        ("one player", lambda f, n, w: slide(f, n, 1), "That is leave-one-out"),
    ],
)

# --- shapley ----------------------------------------------------------------------------------------------------------


def by_orders(f, n):
    values = torch.zeros(n)
    for order in permutations(range(n)):
        for place, player in enumerate(order):
            before = all_but(n, *order[place:])
            values[player] += (f(all_but(n, *order[place + 1 :])) - f(before)) / factorial(n)
    return values


def by_sets(f, n, weight=lambda s, n: 1 / (n * comb(n - 1, s)), sizes=lambda n: range(n)):
    values = torch.zeros(n)
    for player in range(n):
        others = [other for other in range(n) if other != player]
        for size in sizes(n):
            for members in combinations(others, size):
                gone = [other for other in others if other not in members]
                values[player] += weight(size, n) * (f(all_but(n, *gone)) - f(all_but(n, *gone, player)))
    return values


SHAPLEY = Exercise(
    check=check.shapley,
    right=[by_orders, by_sets],
    wrong=[
        ("a list", lambda f, n: by_sets(f, n).tolist(), "Return a tensor"),
        ("Banzhaf", lambda f, n: by_sets(f, n, lambda s, n: 0.5 ** (n - 1)), "Banzhaf"),
        ("no weights", lambda f, n: by_sets(f, n, lambda s, n: 1), "without weights"),
        ("no empty set", lambda f, n: by_sets(f, n, sizes=lambda n: range(1, n)), "The empty set is missing"),
        ("no full set", lambda f, n: by_sets(f, n, sizes=lambda n: range(n - 1)), "The full set of the others"),
        (
            "not divided",
            lambda f, n: by_sets(f, n, lambda s, n: factorial(s) * factorial(n - s - 1)),
            "by n! is missing",
        ),
        ("one over n", lambda f, n: by_sets(f, n, lambda s, n: 1 / n), "Divide it among them"),
        ("leave one out", lambda f, n: by_sets(f, n, lambda s, n: float(s == n - 1)), "leave-one-out scores"),
        ("over nobody", lambda f, n: by_sets(f, n, lambda s, n: float(s == 0)), "gains over nobody"),
        (
            "one too many",
            lambda f, n: by_sets(f, n, lambda s, n: factorial(s) * factorial(n - s) / factorial(n)),
            "one player too many",
        ),
        ("sign", lambda f, n: -by_sets(f, n), "The sign is turned"),
    ],
)

# --- similarity -------------------------------------------------------------------------------------------------------


def close(kept, sigma=0.25):
    return torch.exp(-((1 - (kept.sum(1) / kept.shape[1]).sqrt()) ** 2) / sigma**2)


def close_by_cosine(kept, sigma=0.25):
    everything = torch.ones(kept.shape[1])
    return torch.exp(-(((1 - torch.cosine_similarity(kept.float(), everything[None], dim=1)) / sigma) ** 2))


SIMILARITY = Exercise(
    check=check.similarity,
    right=[close, close_by_cosine],
    wrong=[
        ("a list", lambda k, s: close(k, s).tolist(), "Return a tensor"),
        ("no root", lambda k, s: (-((1 - k.float().mean(1)) ** 2) / s**2).exp(), "The root is missing"),
        ("root itself", lambda k, s: (-k.float().mean(1) / s**2).exp(), "the farthest"),
        (
            "distance not squared",
            lambda k, s: (-(1 - k.float().mean(1).sqrt()) / s**2).exp(),
            "The distance is not squared",
        ),
        ("sigma not squared", lambda k, s: (-((1 - k.float().mean(1).sqrt()) ** 2) / s).exp(), "Sigma is not squared"),
        ("no minus", lambda k, s: ((1 - k.float().mean(1).sqrt()) ** 2 / s**2).exp(), "The minus in the exponent"),
        ("distances", lambda k, s: 1 - k.float().mean(1).sqrt(), "These are the distances"),
        ("over texts", lambda k, s: close(k.T, s), "over the texts"),
        ("fixed sigma", lambda k, s: close(k), "always 0.25"),
        ("two too many", lambda k, s: close(k, s * 2**0.5), "a 2 too many"),
    ],
)

# --- weighted_fit -----------------------------------------------------------------------------------------------------


def with_ones(kept):
    return torch.cat([kept.double(), torch.ones(len(kept), 1, dtype=torch.float64)], 1)


def solve(columns, values, weights):
    return torch.linalg.pinv(columns * weights.double().sqrt()[:, None]) @ (values * weights.double().sqrt())


def fit(kept, values, weights):
    return solve(with_ones(kept), values, weights)[:-1]


def fit_by_normal_equations(kept, values, weights):
    columns = with_ones(kept)
    weighted = columns.T * weights.double()
    return torch.linalg.solve(weighted @ columns, weighted @ values)[: kept.shape[1]]


def fit_rows_only(kept, values, weights):
    return (torch.linalg.pinv(with_ones(kept) * weights.double().sqrt()[:, None]) @ values)[:-1]


def fit_values_only(kept, values, weights):
    return (torch.linalg.pinv(with_ones(kept)) @ (values * weights.double().sqrt()))[:-1]


def fit_with_ones_first(kept, values, weights):
    ones_first = with_ones(kept).roll(1, dims=1)
    return solve(ones_first, values, weights)[:-1]


def fit_ones_unweighted(kept, values, weights):
    root = weights.double().sqrt()
    return (torch.linalg.pinv(with_ones(kept.double() * root[:, None])) @ (values * root))[:-1]


FIT = Exercise(
    check=check.weighted_fit,
    right=[fit, fit_by_normal_equations],
    wrong=[
        ("a list", lambda k, v, w: fit(k, v, w).tolist(), "Return a tensor"),
        ("ones first", fit_with_ones_first, "the column of ones came first"),
        ("ones unweighted", fit_ones_unweighted, "The column of ones was not weighted"),
        ("no constant", lambda k, v, w: solve(k.double(), v, w), "The column of ones is missing"),
        ("no weights", lambda k, v, w: fit(k, v, torch.ones_like(w)), "The weights are missing"),
        ("whole weights", lambda k, v, w: fit(k, v, w**2), "count squared"),
        ("constant kept", lambda k, v, w: solve(with_ones(k), v, w), "The constant is still"),
        ("wrong entry", lambda k, v, w: solve(with_ones(k), v, w)[1:], "The wrong entry"),
        ("rows only", fit_rows_only, "Only the rows were weighted"),
        ("values only", fit_values_only, "Only the values were weighted"),
    ],
)

# --- reduce_text ------------------------------------------------------------------------------------------------------


def reduce(says, f, n, pick=max, once=False, check_answer=True, last=False):
    kept, answer = all_but(n), says(all_but(n))
    order = sorted(range(n), key=lambda i: -f(all_but(n, i)))
    while kept.sum() > 1:
        there = [i for i in (order if once else range(n)) if kept[i]]
        shorter = [kept & all_but(n, i) for i in there]
        best = shorter[0] if once else pick(shorter, key=f)
        if check_answer and says(best) != answer:
            return best if last else kept
        kept = best
    return kept


def reduce_by_recursion(says, f, n, kept=None):
    kept = all_but(n) if kept is None else kept
    if kept.sum() == 1:
        return kept
    best = max((kept & all_but(n, i) for i in range(n) if kept[i]), key=f)
    return reduce_by_recursion(says, f, n, best) if says(best) == says(all_but(n)) else kept


def reduce_by_sorting(says, f, n):
    """Once, in the order of the scores, trying each."""
    kept = all_but(n)
    for player in loo(f, n).argsort(stable=True).tolist():
        shorter = kept & all_but(n, player)
        kept = shorter if says(shorter) == says(all_but(n)) else kept
    return kept


def reduce_trying_others(says, f, n):
    kept, answer = all_but(n), says(all_but(n))
    while kept.sum() > 1:
        shorter = sorted((kept & all_but(n, i) for i in range(n) if kept[i]), key=lambda k: -f(k))
        kept = next((k for k in shorter if says(k) == answer), None)
        if kept is None:
            break
        last = kept
    return last


REDUCE = Exercise(
    check=check.reduce_text,
    right=[reduce, reduce_by_recursion],
    wrong=[
        ("one too many", lambda s, f, n: reduce(s, f, n, last=True), "Put it back"),
        ("scores once", lambda s, f, n: reduce(s, f, n, once=True), "take them anew"),
        ("scores once, others too", reduce_by_sorting, "went on with another one."),
        ("last of equals", lambda s, f, n: reduce(s, f, n, pick=lambda o, key: max(o[::-1], key=key)), "the first one"),
        ("others too", reduce_trying_others, "Stop there"),
        ("a list", lambda s, f, n: reduce(s, f, n).tolist(), "Return a tensor"),
        ("most first", lambda s, f, n: reduce(s, f, n, pick=min), "costs most was taken first"),
        ("never asked", lambda s, f, n: reduce(s, f, n, check_answer=False), "never asked for again"),
        ("nothing", lambda s, f, n: all_but(n), "Nothing was taken away"),
        ("those that went", lambda s, f, n: ~reduce(s, f, n), "the players that went"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise for exercise in (VARIANT, HIDE, LOO, OCCLUSION, SHAPLEY, SIMILARITY, FIT, REDUCE)
}
