"""Chapter 00: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import math

import numpy as np
import torch
from tests.answers import Exercise

from classroom.checks import start_here as check

# --- bits -------------------------------------------------------------------------------------------------------------

BITS = Exercise(
    check=check.bits,
    right=[lambda p: -p.log2(), lambda p: (1 / p).log2(), lambda p: -np.log(p.numpy()) / np.log(2)],
    wrong=[
        ("no sign", lambda p: p.log2(), "The sign is missing"),
        ("nats", lambda p: -p.log(), "You counted in nats"),
        ("base ten", lambda p: -p.log10(), "base of ten"),
        ("one over p", lambda p: 1 / p, "one over the probability"),
        ("entropy", lambda p: -p * p.log2(), "You multiplied by the probability"),
        ("one number", lambda p: (-p.log2()).mean(), "one number for all"),
        ("complement", lambda p: 1 - p, "You returned 1 - p"),
    ],
)

# --- merge ------------------------------------------------------------------------------------------------------------


def pairs(pieces):
    return list(zip(pieces, pieces[1:], strict=False))


def glue(pieces, pair):
    glued, place = [], 0
    while place < len(pieces):
        if tuple(pieces[place : place + 2]) == pair:
            glued.append(pieces[place] + pieces[place + 1])
            place += 2
        else:
            glued.append(pieces[place])
            place += 1
    return glued


def merge(word, merges):
    pieces = list(word)
    while True:
        known = [pair for pair in pairs(pieces) if pair in merges]
        if not known:
            return pieces
        pieces = glue(pieces, min(known, key=merges.index))


def merge_by_restarting(word, merges):
    """Walk down the list; after each merge begin at its top again."""
    pieces, place = list(word), 0
    while place < len(merges):
        if merges[place] in pairs(pieces):
            pieces, place = glue(pieces, merges[place]), 0
        else:
            place += 1
    return tuple(pieces)


def merge_leftmost(word, merges):
    pieces = list(word)
    while known := [pair for pair in pairs(pieces) if pair in merges]:
        pieces = glue(pieces, known[0])
    return pieces


def merge_latest(word, merges):
    pieces = list(word)
    while known := [pair for pair in pairs(pieces) if pair in merges]:
        pieces = glue(pieces, max(known, key=merges.index))
    return pieces


def merge_once(word, merges):
    known = [pair for pair in pairs(list(word)) if pair in merges]
    return glue(list(word), min(known, key=merges.index)) if known else list(word)


def merge_in_one_pass(word, merges):
    pieces = list(word)
    for pair in merges:
        pieces = glue(pieces, pair)
    return pieces


def merge_longest(word, merges):
    known, pieces = {a + b for a, b in merges}, []
    while word:
        size = max(size for size in range(1, len(word) + 1) if size == 1 or word[:size] in known)
        pieces.append(word[:size])
        word = word[size:]
    return pieces


def merge_keeps_the_second(word, merges):
    pieces = list(word)
    for _ in range(5):
        known = [pair for pair in pairs(pieces) if pair in merges]
        if not known:
            break
        best = min(known, key=merges.index)
        place = pairs(pieces).index(best)
        pieces = pieces[:place] + ["".join(best)] + pieces[place + 1 :]
    return pieces


MERGE = Exercise(
    check=check.merge,
    right=[merge, merge_by_restarting, merge_in_one_pass],
    wrong=[
        ("from the left", merge_leftmost, "from left to right"),
        ("latest first", merge_latest, "the latest pair in the list first"),
        ("once", merge_once, "stopped after one merge"),
        ("lists, not tuples", lambda word, merges: list(word), "still in letters"),
        ("longest piece", merge_longest, "the longest piece from"),
        ("second piece stays", merge_keeps_the_second, "letters were lost or added"),
        ("one string", lambda word, merges: " ".join(merge(word, merges)), "should be"),
    ],
)

# --- embed ------------------------------------------------------------------------------------------------------------


def embed(ids, tokens, positions):
    return tokens[ids] + positions[: len(ids)]


def embed_in_loops(ids, tokens, positions):
    return [[float(a + b) for a, b in zip(tokens[i], positions[n], strict=True)] for n, i in enumerate(ids.tolist())]


EMBED = Exercise(
    check=check.embed,
    right=[embed, embed_in_loops, lambda i, t, p: torch.nn.functional.embedding(i, t) + p[torch.arange(len(i))]],
    wrong=[
        ("no positions", lambda i, t, p: t[i], "The positions are missing"),
        ("no tokens", lambda i, t, p: p[: len(i)], "The tokens are missing"),
        ("positions at ids", lambda i, t, p: t[i] + p[i], "read at the ids"),
        ("rows in order", lambda i, t, p: t[: len(i)] + p[: len(i)], "in the order of the table"),
        ("multiplied", lambda i, t, p: t[i] * p[: len(i)], "The two were multiplied"),
        ("backwards", lambda i, t, p: t[i] + p[: len(i)].flip(0), "run backwards"),
        ("from one", lambda i, t, p: t[i] + p[torch.arange(1, len(i) + 1) % len(p)], "count from 1"),
    ],
)

# --- unembed ----------------------------------------------------------------------------------------------------------


def norm(x, g, b, eps=1e-5):
    return torch.nn.functional.layer_norm(x, g.shape, g, b, eps)


def unembed(x, g, b, t, epsilon=1e-5):
    return norm(x, g, b, epsilon) @ t.T


def unembed_by_einsum(x, g, b, t, epsilon=1e-5):
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.var(-1, keepdim=True, unbiased=False) + epsilon).sqrt()
    return torch.einsum("sw,vw->sv", x * g + b, t)


def with_std(x, g, b, t, epsilon=1e-5):
    return ((x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + epsilon).sqrt() * g + b) @ t.T


def by_variance(x, g, b, t, epsilon=1e-5):
    return ((x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + epsilon) * g + b) @ t.T


def over_tokens(x, g, b, t, epsilon=1e-5):
    return ((x - x.mean(0)) / (x.var(0, unbiased=False) + epsilon).sqrt() * g + b) @ t.T


def mean_left_in(x, g, b, t, epsilon=1e-5):
    return (x / (x.var(-1, keepdim=True, unbiased=False) + epsilon).sqrt() * g + b) @ t.T


UNEMBED = Exercise(
    check=check.unembed,
    right=[unembed, unembed_by_einsum],
    wrong=[
        (
            "over everything",
            lambda x, g, b, t: ((x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * g + b) @ t.T,
            "over all tokens together",
        ),
        ("no norm", lambda x, g, b, t: x @ t.T, "The stream was not normalised: subtract"),
        ("gain and bias only", lambda x, g, b, t: (x * g + b) @ t.T, "not normalised"),
        ("unbiased", with_std, "width less one"),
        ("variance", by_variance, "You divided by the variance"),
        ("over tokens", over_tokens, "You normalised over the tokens"),
        ("mean left in", mean_left_in, "The mean was not subtracted"),
        ("no gain", lambda x, g, b, t: (norm(x, torch.ones_like(g), b)) @ t.T, "The gain is missing"),
        ("no bias", lambda x, g, b, t: norm(x, g, torch.zeros_like(b)) @ t.T, "The bias is missing"),
        ("twice", lambda x, g, b, t: norm(norm(x, g, b), g, b) @ t.T, "applied twice"),
        ("probabilities", lambda x, g, b, t: unembed(x, g, b, t).softmax(-1), "You returned probabilities"),
        ("no epsilon", lambda x, g, b, t: norm(x, g, b, 0.0) @ t.T, "NaN"),
    ],
)

# --- count_parameters -------------------------------------------------------------------------------------------------


def count(v, n, d, layers):
    return v * d + n * d + layers * (12 * d * d + 13 * d) + 2 * d


def count_from_a_model(v, n, d, layers):
    block = [(d, 3 * d), (3 * d,), (d, d), (d,), (d, 4 * d), (4 * d,), (4 * d, d), (d,), (d,), (d,), (d,), (d,)]
    return sum(math.prod(shape) for shape in [(v, d), (n, d), (d,), (d,), *(block * layers)])


COUNT = Exercise(
    check=check.count_parameters,
    right=[count, count_from_a_model],
    wrong=[
        ("one norm in a block", lambda v, n, d, k: count(v, n, d, k) - k * 2 * d, "two norms, each with gain"),
        ("no norms in the blocks", lambda v, n, d, k: count(v, n, d, k) - k * 4 * d, "In each block 4d are missing"),
        ("all of it for each layer", lambda v, n, d, k: k * count(v, n, d, 1), "You multiplied everything"),
        ("second bias too wide", lambda v, n, d, k: count(v, n, d, k) + k * 3 * d, "second bias has width d"),
        ("table twice", lambda v, n, d, k: count(v, n, d, k) + v * d, "counted twice"),
        ("no positions", lambda v, n, d, k: count(v, n, d, k) - n * d, "The position table is missing"),
        ("no last norm", lambda v, n, d, k: count(v, n, d, k) - 2 * d, "The last norm is missing"),
        ("one block", lambda v, n, d, k: count(v, n, d, 1), "You counted one block"),
        ("three matrices", lambda v, n, d, k: count(v, n, d, k) - k * (d * d + d), "you counted three"),
        ("no biases", lambda v, n, d, k: count(v, n, d, k) - k * 9 * d, "All biases"),
        ("MLP's biases", lambda v, n, d, k: count(v, n, d, k) - k * 5 * d, "The biases of the MLP"),
        ("half an MLP", lambda v, n, d, k: count(v, n, d, k) - k * 4 * d * d, "You counted one of them"),
        ("no token table", lambda v, n, d, k: count(v, n, d, k) - v * d, "The token table is missing"),
    ],
)

# --- probabilities ----------------------------------------------------------------------------------------------------


def soft(logits, temperature=1.0):
    if temperature == 0:
        return torch.eye(len(logits), dtype=logits.dtype)[logits.argmax()]
    return (logits / temperature).softmax(-1)


def soft_by_hand(logits, temperature=1.0):
    numbers = logits.tolist()
    if temperature == 0:
        first = numbers.index(max(numbers))
        return [float(place == first) for place in range(len(numbers))]
    grown = [math.exp((number - max(numbers)) / temperature) for number in numbers]
    return [number / sum(grown) for number in grown]


def careless(logits, temperature=1.0):
    return soft(logits, 0) if temperature == 0 else (logits / temperature).exp() / (logits / temperature).exp().sum()


PROBABILITIES = Exercise(
    check=check.probabilities,
    right=[soft, soft_by_hand],
    wrong=[
        ("multiplied", lambda x, t: soft(x, 1 / t if t else 0), "you multiplied by the temperature"),
        ("ignored", lambda x, t: x.softmax(-1), "changes nothing"),
        ("after the softmax", lambda x, t: x.softmax(-1) / t, "after the softmax"),
        ("power, not divided", lambda x, t: x.softmax(-1) ** (1 / t), "to the power of 1/T"),
        ("not divided", lambda x, t: (x / t).exp(), "not divided by their sum"),
        ("logarithms", lambda x, t: (x / t).log_softmax(-1), "logarithms of probabilities"),
        ("not stable", careless, "exp(1000) is infinite"),
        ("zero forgotten", lambda x, t: (x / t).softmax(-1), "NaN"),
        (
            "ties shared",
            lambda x, t: (x == x.max()) / (x == x.max()).sum() if t == 0 else soft(x, t),
            "share the probability",
        ),
        ("zero as one", lambda x, t: soft(x, t or 1.0), "T = 0 you returned the plain softmax"),
    ],
)

# --- keep_top ---------------------------------------------------------------------------------------------------------


def cut(chance, k=None, p=None):
    left = torch.zeros_like(chance)
    total = 0.0
    for number, place in enumerate(chance.argsort(descending=True).tolist()):
        if (k is not None and number >= k) or (p is not None and total >= p - 1e-12):
            break
        left[place] = chance[place]
        total += float(chance[place])
    return left / left.sum()


def cut_with_ranks(chance, k=None, p=None):
    """Where each word stands among all, and how much stands before it."""
    before = torch.stack([chance[chance > each].sum() for each in chance])
    rank = torch.stack([(chance > each).sum() for each in chance])
    kept = (rank < (len(chance) if k is None else k)) & ((before < p - 1e-12) if p is not None else True)
    return chance * kept / (chance * kept).sum()


def _by(chance, p, needed):
    values, order = chance.sort(descending=True)
    left = torch.zeros_like(chance)
    kept = needed(values, values.cumsum(0), p)
    left[order[kept]] = values[kept]
    return left / left.sum()


def line_dropped(chance, k=None, p=None):
    chance = chance if p is None else _by(chance, p, lambda v, total, p: total <= p)
    return cut(chance, k)


def not_scaled(chance, k=None, p=None):
    return torch.where(cut(chance, k, p) > 0, chance, 0.0)


def own_probability(chance, k=None, p=None):
    return cut(chance, k) if p is None else cut(_by(chance, p, lambda v, total, p: v >= p), k)


KEEP = Exercise(
    check=check.keep_top,
    right=[cut, cut_with_ranks],
    wrong=[
        ("the crossing word dropped", line_dropped, "crosses the line"),
        ("not scaled", not_scaled, "no longer sum to one"),
        ("sorted", lambda c, k, p: cut(c, k, p).sort(descending=True).values, "changed places"),
        ("nothing cut", lambda c, k, p: c, "Nothing was cut off"),
        (
            "first words",
            lambda c, k, p: (
                cut(c, None, p) if k is None else c[:k].sum() ** -1 * torch.where(torch.arange(len(c)) < k, c, 0.0)
            ),
            "first words of the vocabulary",
        ),
        (
            "least probable",
            lambda c, k, p: (
                cut(c, k, p) if k is None else _by(c, k, lambda v, t, k: torch.arange(len(v)) >= len(v) - k)
            ),
            "least probable",
        ),
        ("k before p", lambda c, k, p: cut(cut(c, k), None, p), "after k had cut"),
        ("p ignored with k", lambda c, k, p: cut(c, k) if k is not None else cut(c, None, p), "only k was used"),
        ("k ignored with p", lambda c, k, p: cut(c, None, p) if p is not None else cut(c, k), "only p was used"),
        (
            "own probability",
            lambda c, k, p: cut(c, k) if p is None else _by(c, p, lambda v, t, p: v >= min(p, float(v[0]))),
            "own probability",
        ),
    ],
)

# --- generate ---------------------------------------------------------------------------------------------------------


def go_on(next_logits, ids, choose, steps, stop):
    for _ in range(steps):
        ids = torch.cat([ids, torch.tensor([int(choose(next_logits(ids)[-1]))])])
        if ids[-1] == stop:
            break
    return ids


def go_on_with_a_list(next_logits, ids, choose, steps, stop):
    text = ids.tolist()
    while len(text) < len(ids) + steps and (len(text) == len(ids) or text[-1] != stop):
        text.append(int(choose(next_logits(torch.tensor(text))[-1])))
    return torch.tensor(text)


def variant(row=-1, read=lambda ids, prompt: ids, stops=True, keep_stop=True, extra=0):
    def run(next_logits, ids, choose, steps, stop):
        prompt = ids
        for _ in range(max(steps + extra, 0)):
            new = int(choose(next_logits(read(ids, prompt))[row]))
            if stops and new == stop and not keep_stop:
                break
            ids = torch.cat([ids, torch.tensor([new])])
            if stops and new == stop:
                break
        return ids

    return run


def asks_twice(next_logits, ids, choose, steps, stop):
    for _ in range(steps):
        next_logits(ids)
        ids = torch.cat([ids, torch.tensor([int(choose(next_logits(ids)[-1]))])])
        if ids[-1] == stop:
            break
    return ids


GENERATE = Exercise(
    check=check.generate,
    right=[go_on, go_on_with_a_list],
    wrong=[
        (
            "never asks choose",
            lambda logits, ids, choose, steps, stop: go_on(logits, ids, lambda row: row.argmax(), steps, stop),
            "You took the largest logit",
        ),
        ("first row", variant(row=0), "You took the first row"),
        ("same prompt", variant(read=lambda ids, prompt: prompt), "the same prompt each time"),
        (
            "new word alone",
            variant(read=lambda ids, prompt: ids if len(ids) == len(prompt) else ids[-1:]),
            "read only the new word",
        ),
        ("never stops", variant(stops=False), "goes on after `stop`"),
        ("stop dropped", variant(keep_stop=False), "`stop` itself is missing"),
        ("prompt dropped", lambda f, ids, c, n, s: go_on(f, ids, c, n, s)[len(ids) :], "The prompt is missing"),
        ("one too many", variant(extra=1), "One word too many"),
        ("one too few", variant(extra=-1), "One word too few"),
        ("all rows", lambda f, ids, c, n, s: torch.cat([ids, torch.tensor([c(f(ids))])]), "It takes one row"),
        ("asks twice", asks_twice, "was asked"),
    ],
)

# --- surprisals -------------------------------------------------------------------------------------------------------


def costs(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none") / math.log(2)


def costs_in_a_loop(logits, ids):
    chances = logits.softmax(-1).clamp_min(1e-300)
    return [-math.log2(chances[place, number]) for place, number in enumerate(ids.tolist()[1:])]


def late(logits, ids):
    return -logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]


SURPRISALS = Exercise(
    check=check.surprisals,
    right=[costs, costs_in_a_loop],
    wrong=[
        ("as it was", late, "the code as it was"),
        ("in bits, rows wrong", lambda x, i: late(x, i) / math.log(2), "The bug is still there: row i"),
        ("first dropped", lambda x, i: late(x, i)[1:] / math.log(2), "with the first place dropped"),
        ("last dropped", lambda x, i: late(x, i)[:-1] / math.log(2), "with the last place dropped"),
        ("shifted the wrong way", lambda x, i: late(x[1:], i[:-1]) / math.log(2), "The wrong way"),
        ("nats", lambda x, i: costs(x, i) * math.log(2), "the unit is still nats"),
        ("multiplied", lambda x, i: costs(x, i) * math.log(2) ** 2, "you multiplied"),
        ("no sign", lambda x, i: -costs(x, i), "The sign is missing"),
        ("mean", lambda x, i: costs(x, i).mean(), "You returned one number"),
        ("sum", lambda x, i: costs(x, i).sum(), "the sum over the text"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise
    for exercise in (BITS, MERGE, EMBED, UNEMBED, COUNT, PROBABILITIES, KEEP, GENERATE, SURPRISALS)
}
