"""Chapter 08: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import torch
from tests.answers import Exercise
from torch.nn.functional import cross_entropy, normalize

from classroom.checks import steering as check

# --- push -------------------------------------------------------------------------------------------------------------


def at(hidden, places):
    return range(hidden.shape[1]) if places is None else places


def pushed(hidden, vector, places=None):
    result = hidden.clone()
    for place in at(hidden, places):
        result[:, place] += vector
    return result


def pushed_by_where(hidden, vector, places=None):
    here = torch.zeros(1, hidden.shape[1], 1)
    here[:, list(at(hidden, places))] = 1
    return torch.where(here > 0, hidden + vector, hidden)


def pushed_in_place(hidden, vector, places=None):
    hidden[:, list(at(hidden, places))] += vector
    return hidden


def replaced(hidden, vector, places=None):
    result = hidden.clone()
    result[:, list(at(hidden, places))] = vector
    return result


def first_text_pushed(hidden, vector, places=None):
    result = hidden.clone()
    result[0] = pushed(hidden, vector, places)[0]
    return result


PUSH = Exercise(
    check=check.push,
    right=[pushed, pushed_by_where],
    wrong=[
        ("everywhere", lambda h, v, p: h + v, "whatever `places` says"),
        ("nothing", lambda h, v, p: h + 0 * v, "Nothing was pushed"),
        ("empty is all", lambda h, v, p: pushed(h, v, p or None), "An empty list names no place"),
        ("None is the last", lambda h, v, p: pushed(h, v, [-1] if p is None else p), "the last place alone"),
        ("None is nothing", lambda h, v, p: pushed(h, v, p or []), "None stands for all"),
        ("replaced", replaced, "replaced by the vector"),
        ("subtracted", lambda h, v, p: pushed(h, -v, p), "was subtracted"),
        ("first text", first_text_pushed, "Only the first text"),
        ("unit", lambda h, v, p: pushed(h, v / v.norm(), p), "brought to length 1"),
        ("places alone", lambda h, v, p: pushed(h, v, p)[:, list(at(h, p))], "the pushed places alone"),
        ("in place", pushed_in_place, "changed the data"),
    ],
)

# --- edited -----------------------------------------------------------------------------------------------------------


def hooked(block, hook, run):
    handle = block.register_forward_hook(hook)
    try:
        return run()
    finally:
        handle.remove()


def change(output, edit):
    return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)


def edit_well(block, edit, run):
    return hooked(block, lambda module, inputs, output: change(output, edit), run)


def edit_with_handle(block, edit, run):
    def hook(module, inputs, output):
        if not isinstance(output, tuple):
            return edit(output)
        rest = list(output)
        rest[0] = edit(rest[0])
        return tuple(rest)

    with block.register_forward_hook(hook):
        return run()


def returns_nothing(block, edit, run):
    def hook(module, inputs, output):
        output = change(output, edit)

    return hooked(block, hook, run)


def hook_stays(block, edit, run):
    block.register_forward_hook(lambda module, inputs, output: change(output, edit))
    return run()


def no_finally(block, edit, run):
    handle = block.register_forward_hook(lambda module, inputs, output: change(output, edit))
    value = run()
    handle.remove()
    return value


def swallowed(block, edit, run):
    try:
        return edit_well(block, edit, run)
    except RuntimeError:
        return None


def before_the_block(block, edit, run):
    handle = block.register_forward_pre_hook(lambda module, inputs: (edit(inputs[0]), *inputs[1:]))
    try:
        return run()
    finally:
        handle.remove()


def tuples_only(block, edit, run):
    return hooked(block, lambda module, inputs, output: (edit(output[0]), *output[1:]), run)


def rest_lost(block, edit, run):
    def hook(module, inputs, output):
        return (edit(output[0]),) if isinstance(output, tuple) else edit(output)

    return hooked(block, hook, run)


def first_item_alone(block, edit, run):
    def hook(module, inputs, output):
        return edit(output[0]) if isinstance(output, tuple) else edit(output)

    return hooked(block, hook, run)


def tuples_left(block, edit, run):
    def hook(module, inputs, output):
        return output if isinstance(output, tuple) else edit(output)

    return hooked(block, hook, run)


EDITED = Exercise(
    check=check.edited,
    right=[edit_well, edit_with_handle],
    wrong=[
        ("always tuples", tuples_only, "The block gives a tensor"),
        ("returns nothing", returns_nothing, "the hook has to return"),
        ("hook stays", hook_stays, "still on the block"),
        ("no finally", no_finally, "under `finally:`"),
        ("error swallowed", swallowed, "nobody heard of it"),
        ("input edited", before_the_block, "What goes into the block"),
        ("result edited", lambda block, edit, run: edit(run()), "What run() returns was edited"),
        ("twice", lambda b, e, r: edit_well(b, e, lambda: edit_well(b, e, r)), "applied twice"),
        ("no tuples", lambda b, e, r: hooked(b, lambda m, i, output: e(output), r), "the block gives one"),
        ("rest lost", rest_lost, "the rest of it was lost"),
        ("first item alone", first_item_alone, "a tensor came"),
        ("tuples left", tuples_left, "Where the block gives a tuple, nothing"),
        ("handle too", lambda b, e, r: (edit_well(b, e, r), b), "nothing else beside it"),
    ],
)

# --- mean_difference --------------------------------------------------------------------------------------------------


def mean(positive, negative):
    return positive.mean(0) - negative.mean(0)


def mean_by_sums(positive, negative):
    return [sum(p) / len(positive) - sum(n) / len(negative) for p, n in zip(positive.T, negative.T, strict=True)]


def rows_of_length_one(x):
    return normalize(x, dim=1)


MEAN = Exercise(
    check=check.mean_difference,
    right=[mean, mean_by_sums],
    wrong=[
        ("sign", lambda p, n: mean(n, p), "The sign is turned"),
        ("sums", lambda p, n: p.sum(0) - n.sum(0), "The sums were subtracted"),
        ("unit", lambda p, n: normalize(mean(p, n), dim=0), "brought to length 1. Its length"),
        ("unit texts", lambda p, n: mean(rows_of_length_one(p), rows_of_length_one(n)), "Each text was brought"),
        ("positive alone", lambda p, n: p.mean(0), "the positive texts alone"),
        ("less all", lambda p, n: p.mean(0) - torch.cat([p, n]).mean(0), "The mean of all texts"),
        ("added", lambda p, n: p.mean(0) + n.mean(0), "The means were added"),
        ("medians", lambda p, n: p.median(0).values - n.median(0).values, "Medians were taken"),
        ("one number", lambda p, n: p.mean() - n.mean(), "Keep the width"),
        ("pairs", lambda p, n: mean(p[: len(n)], n[: len(p)]), "the rest left out"),
    ],
)

# --- along ------------------------------------------------------------------------------------------------------------


def project(states, vector):
    return states @ vector / vector.norm()


def project_by_sum(states, vector):
    unit = vector / sum(number**2 for number in vector) ** 0.5
    return torch.stack([(state * unit).sum() for state in states])


ALONG = Exercise(
    check=check.along,
    right=[project, project_by_sum],
    wrong=[
        ("length left", lambda s, v: s @ v, "divide it by its norm first"),
        ("squared length", lambda s, v: s @ v / (v @ v), "squared length"),
        ("cosine", lambda s, v: torch.cosine_similarity(s, v[None]), "That is the cosine"),
        ("absolute", lambda s, v: project(s, v).abs(), "Absolute values"),
        ("vectors", lambda s, v: project(s, v)[:, None] * v / v.norm(), "the projected vectors"),
        ("sign", lambda s, v: -project(s, v), "The sign is turned"),
        ("distance", lambda s, v: torch.cdist(s, v[None])[:, 0], "distances from the vector"),
        ("centred", lambda s, v: project(s - s.mean(0), v), "The texts' mean was subtracted"),
    ],
)

# --- beyond_line ------------------------------------------------------------------------------------------------------


def beyond(positions, positive, negative):
    return positions > (positive.mean() + negative.mean()) / 2


def nearer(positions, positive, negative):
    return (positions - positive.mean()).abs() < (positions - negative.mean()).abs()


LINE = Exercise(
    check=check.beyond_line,
    right=[beyond, nearer],
    wrong=[
        ("a list", lambda x, p, n: beyond(x, p, n).tolist(), "not a list"),
        ("zero", lambda x, p, n: x > 0, "drawn at zero"),
        ("mean of all", lambda x, p, n: x > torch.cat([p, n]).mean(), "the larger stack"),
        ("new texts", lambda x, p, n: x > x.mean(), "in the middle of the new texts"),
        ("sides", lambda x, p, n: ~beyond(x, p, n), "The sides are exchanged"),
        ("positive mean", lambda x, p, n: x > p.mean(), "mean of the positive"),
        ("negative mean", lambda x, p, n: x > n.mean(), "mean of the negative"),
        ("medians", lambda x, p, n: x > (p.median() + n.median()) / 2, "between the medians"),
        ("outermost", lambda x, p, n: x > (p.min() + n.max()) / 2, "the outermost texts"),
        ("half the distance", lambda x, p, n: x > (p.mean() - n.mean()) / 2, "counted from zero"),
        ("sum", lambda x, p, n: x > p.mean() + n.mean(), "beyond the sum"),
        ("line", lambda x, p, n: (p.mean() + n.mean()) / 2, "That is the line"),
        ("numbers", lambda x, p, n: x - (p.mean() + n.mean()) / 2, "Return truth values"),
    ],
)

# --- in_spreads -------------------------------------------------------------------------------------------------------


def by_spread(positive, negative, vector, strength):
    unit = vector / vector.norm()
    return strength * (torch.cat([positive, negative]) @ unit).std() * unit


def by_spread_slowly(positive, negative, vector, strength):
    unit = normalize(vector, dim=0)
    found = [float(state @ unit) for state in (*positive, *negative)]
    middle = sum(found) / len(found)
    spread = (sum((each - middle) ** 2 for each in found) / (len(found) - 1)) ** 0.5
    return [strength * spread * float(number) for number in unit]


def unit_push(size):
    return lambda p, n, v, s: s * size(p, n, v / v.norm()) * v / v.norm()


SPREADS = Exercise(
    check=check.in_spreads,
    right=[by_spread, by_spread_slowly],
    wrong=[
        ("length left", lambda p, n, v, s: by_spread(p, n, v, s) * v.norm(), "still in the push"),
        ("times the vector", lambda p, n, v, s: s * v, "was multiplied by the vector"),
        ("no spread", unit_push(lambda p, n, u: 1), "the spread is missing"),
        ("by n", unit_push(lambda p, n, u: (torch.cat([p, n]) @ u).std(correction=0)), "one less"),
        ("positive only", unit_push(lambda p, n, u: (p @ u).std()), "of the positive texts was taken"),
        ("within", unit_push(lambda p, n, u: ((p @ u).std() + (n @ u).std()) / 2), "were averaged"),
        ("variance", unit_push(lambda p, n, u: (torch.cat([p, n]) @ u).var()), "The variance"),
        ("norm", unit_push(lambda p, n, u: torch.cat([p, n]).norm(dim=1).mean()), "mean length of the texts"),
        ("all numbers", unit_push(lambda p, n, u: torch.cat([p, n]).std()), "of all numbers"),
        ("length", lambda p, n, v, s: s * (torch.cat([p, n]) @ (v / v.norm())).std(), "length of the push"),
        ("no sign", lambda p, n, v, s: by_spread(p, n, v, abs(s)), "the same way as a positive one"),
    ],
)

# --- first_component --------------------------------------------------------------------------------------------------


def component(rows, number=0):
    return torch.linalg.svd(rows, full_matrices=False).Vh[number]


def low_rank(differences, center):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return torch.pca_lowrank(differences, q=1, center=center)[2][:, 0]


def signed(x, positive, negative):
    return x if x @ mean(positive, negative) > 0 else -x


def first(positive, negative):
    return signed(component(positive - negative), positive, negative)


def first_by_eigenvectors(positive, negative):
    differences = positive - negative
    return signed(torch.linalg.eigh(differences.T @ differences).eigenvectors[:, -1], positive, negative)


def against_the_mean(positive, negative):
    """The sign that a library happens to give, here the worst."""
    return -first(positive, negative)


def as_it_came(positive, negative):
    """An open sign: here that of the largest number."""
    found = first(positive, negative)
    return found * found[found.abs().argmax()].sign()


FIRST = Exercise(
    check=check.first_component,
    right=[first, first_by_eigenvectors],
    wrong=[
        ("sign turned", against_the_mean, "points away from the mean"),
        ("sign as it came", as_it_came, "left as it came"),
        ("centred", lambda p, n: signed(component(p - n - mean(p, n)), p, n), "The bug is still there"),
        ("estimate", lambda p, n: signed(low_rank(p - n, False), p, n), "Close, but an estimate"),
        ("as it was", lambda p, n: low_rank(p - n, True), "`pca_lowrank` centres"),
        ("one stack", lambda p, n: component(torch.cat([p, n]) - torch.cat([p, n]).mean(0)), "in one stack"),
        ("positive texts", lambda p, n: component(p), "of the positive texts"),
        ("last", lambda p, n: component(p - n, -1), "share least"),
        ("second", lambda p, n: component(p - n, 1), "the second component"),
        ("mean", lambda p, n: normalize(mean(p, n), dim=0), "mean difference of length 1"),
        ("singular value", lambda p, n: first(p, n) * torch.linalg.svdvals(p - n)[0], "The length is not 1"),
        ("columns", lambda p, n: torch.linalg.svd(p - n, full_matrices=False).Vh[:, 0], "rows were read as columns"),
    ],
)

# --- perplexity -------------------------------------------------------------------------------------------------------


def strange(logits, ids, first):
    return cross_entropy(logits[first - 1 : -1], ids[first:]).exp()


def strange_in_bits(logits, ids, first):
    bits = [-logits[place - 1].softmax(-1)[ids[place]].log2() for place in range(first, len(ids))]
    return float(2 ** (sum(bits) / len(bits)))


def costs(logits, ids, first, shift=1):
    rows = torch.arange(first, len(ids))
    return -logits.log_softmax(-1)[rows - shift, ids[rows]]


PERPLEXITY = Exercise(
    check=check.perplexity,
    right=[strange, strange_in_bits],
    wrong=[
        ("no shift", lambda x, i, f: costs(x, i, f, shift=0).mean().exp(), "at a word's own place"),
        ("prompt too", lambda x, i, f: strange(x, i, 1), "The prompt was counted"),
        ("nats and 2", lambda x, i, f: 2 ** costs(x, i, f).mean(), "a power of 2 were mixed"),
        ("bits and e", lambda x, i, f: (costs(x, i, f) / torch.tensor(2.0).log()).mean().exp(), "a power of e"),
        ("by all words", lambda x, i, f: (costs(x, i, f).sum() / len(i)).exp(), "length of the whole text"),
        ("sum", lambda x, i, f: costs(x, i, f).sum().exp(), "were summed"),
        ("bits", lambda x, i, f: (costs(x, i, f) / torch.tensor(2.0).log()).mean(), "mean surprisal in bits"),
        ("nats", lambda x, i, f: costs(x, i, f).mean(), "in natural units"),
        ("mean chance", lambda x, i, f: 1 / (-costs(x, i, f)).exp().mean(), "the mean turned over"),
        ("mean inverse", lambda x, i, f: costs(x, i, f).exp().mean(), "inverse probabilities"),
        ("sign", lambda x, i, f: (-costs(x, i, f).mean()).exp(), "at least 1"),
        ("one too few", lambda x, i, f: strange(x, i, f + 1), "One word too few"),
        ("each word", lambda x, i, f: costs(x, i, f).exp(), "of each word was returned"),
    ],
)

# --- without ----------------------------------------------------------------------------------------------------------


def taken_out(hidden, direction, times=1.0):
    unit = direction / direction.norm()
    return hidden - times * (hidden @ unit)[..., None] * unit


def taken_out_by_matrix(hidden, direction):
    outer = torch.outer(direction, direction) / (direction @ direction)
    return hidden @ (torch.eye(len(direction)) - outer).to(hidden)


def lengthened(hidden, direction):
    return normalize(taken_out(hidden, direction), dim=-1) * hidden.norm(dim=-1, keepdim=True)


WITHOUT = Exercise(
    check=check.without,
    right=[taken_out, taken_out_by_matrix],
    wrong=[
        ("no norm", lambda h, v: h - (h @ v)[..., None] * v, "length was forgotten"),
        ("norm once", lambda h, v: h - (h @ v)[..., None] * v / v.norm(), "one of its two places"),
        ("subtracted", lambda h, v: h - v, "The direction itself"),
        ("the part", lambda h, v: h - taken_out(h, v), "the part along the direction"),
        ("added", lambda h, v: taken_out(h, v, -1), "It was added"),
        ("mirrored", lambda h, v: taken_out(h, v, 2), "mirrors the stream"),
        ("old length", lengthened, "its old length"),
        ("one side", lambda h, v: torch.where((h @ v > 0)[..., None], taken_out(h, v), h), "The opposite side"),
        ("nothing", lambda h, v: h.clone(), "Nothing was taken out"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise
    for exercise in (PUSH, EDITED, MEAN, ALONG, LINE, SPREADS, FIRST, PERPLEXITY, WITHOUT)
}
