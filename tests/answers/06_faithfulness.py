"""Chapter 06: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import math

import torch
from scipy import stats
from tests.answers import Exercise

from classroom.checks import faithfulness as check

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

# --- faithful ---------------------------------------------------------------------------------------------------------


def chosen(scores, k):
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[scores.argsort(descending=True, stable=True)[:k]] = True
    return mask


def both(f, mask):
    whole = f(torch.ones_like(mask))
    return whole - f(~mask), whole - f(mask)


def by_hand(f, scores, k):
    order = sorted(range(len(scores)), key=lambda place: (-float(scores[place]), place))
    kept = torch.tensor([place not in order[:k] for place in range(len(scores))])
    return [f(kept | True) - f(kept), f(kept | True) - f(~kept)]


def marked(words, places):
    return torch.zeros(words, dtype=torch.bool).index_fill(0, places, True)


def needed_and_enough(f, scores, k):
    return both(f, chosen(scores, k))


def not_differences(f, scores, k):
    mask = chosen(scores, k)
    return f(~mask), f(mask)


def ratios(f, scores, k):
    mask = chosen(scores, k)
    whole = f(torch.ones_like(mask))
    return tuple(value / whole for value in both(f, mask))


def from_nothing(f, scores, k):
    mask = chosen(scores, k)
    return both(f, mask)[0], f(mask) - f(mask & False)


FAITHFUL = Exercise(
    check=check.faithful,
    right=[needed_and_enough, by_hand],
    wrong=[
        ("swapped", lambda f, s, k: needed_and_enough(f, s, k)[::-1], "in the wrong order"),
        ("signs", lambda f, s, k: [-value for value in needed_and_enough(f, s, k)], "The signs are turned"),
        ("no differences", not_differences, "probabilities of the shorter texts"),
        ("ratios", ratios, "divided by the probability"),
        ("sizes", lambda f, s, k: both(f, chosen(s.abs(), k)), "keep the sign"),
        ("smallest", lambda f, s, k: both(f, chosen(-s, k)), "The smallest scores"),
        ("later ties", lambda f, s, k: both(f, chosen(s.flip(0), k).flip(0)), "the later ones"),
        ("topk", lambda f, s, k: both(f, marked(len(s), s.topk(min(k, len(s))).indices)), "no promise about ties"),
        ("threshold", lambda f, s, k: both(f, s >= s.sort().values[-min(k, len(s))]), "More than k words"),
        (
            "k-th only",
            lambda f, s, k: both(f, chosen(s, k) & ~chosen(s, min(k, len(s)) - 1)),
            "Only the k-th word",
        ),
        ("from nothing", from_nothing, "from the empty text"),
        ("one number", lambda f, s, k: needed_and_enough(f, s, k)[0], "Return two numbers"),
        ("numbers, not truth", lambda f, s, k: both(f, chosen(s, k).long()), "f takes a tensor of truth values"),
    ],
)

# --- aopc -------------------------------------------------------------------------------------------------------------


def mean_over(f, scores, sizes):
    return torch.tensor([both(f, chosen(scores, size)) for size in sizes]).mean(dim=0)


def rounded(rounding, least=1):
    return lambda f, s: mean_over(f, s, [max(least, rounding(share * len(s))) for share in SHARES])


def half_up(value):
    return math.floor(value + 0.5)


def in_a_loop(f, scores):
    needed = enough = 0
    for percent in (1, 5, 10, 20, 50):
        size = max((percent * len(scores) + 50) // 100, 1)
        more = by_hand(f, scores, size)
        needed, enough = needed + more[0] / 5, enough + more[1] / 5
    return needed, enough


AOPC = Exercise(
    check=check.aopc,
    right=[rounded(half_up), in_a_loop],
    wrong=[
        ("round()", rounded(round), "to the even neighbour"),
        ("cut off", rounded(int), "cut off, not rounded"),
        ("up", rounded(math.ceil), "were rounded up"),
        ("no word", rounded(half_up, least=0), "no word at all"),
        (
            "each size once",
            lambda f, s: mean_over(f, s, {max(1, half_up(share * len(s))) for share in SHARES}),
            "Each share counts",
        ),
        ("sums", lambda f, s: rounded(half_up)(f, s) * 5, "These are sums"),
        ("swapped", lambda f, s: rounded(half_up)(f, s).flip(0), "in the wrong order"),
        ("largest alone", lambda f, s: mean_over(f, s, [half_up(len(s) / 2)]), "Only the largest share"),
        ("numbers of words", lambda f, s: mean_over(f, s, (1, 5, 10, 20, 50)), "They are shares"),
    ],
)

# --- auroc ------------------------------------------------------------------------------------------------------------


def wins(scores, evidence, win):
    return float(win(scores[evidence][:, None] - scores[~evidence][None, :]).float().mean())


def area(scores, evidence):
    return wins(scores, evidence, lambda gap: (gap > 0) + 0.5 * (gap == 0))


def area_by_ranks(scores, evidence):
    ranks = torch.tensor(stats.rankdata(scores.numpy()))
    found, others = int(evidence.sum()), int((~evidence).sum())
    return (ranks[evidence].sum() - found * (found + 1) / 2) / (found * others)


def against_all(scores, evidence):
    gap = scores[evidence][:, None] - scores[None, :]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


AUROC = Exercise(
    check=check.auroc,
    right=[area, area_by_ranks],
    wrong=[
        ("ties lost", lambda s, e: wins(s, e, lambda gap: gap > 0), "Ties count nothing"),
        ("ties won", lambda s, e: wins(s, e, lambda gap: gap >= 0), "Ties count as won"),
        ("wrong way", lambda s, e: area(-s, e), "wrong way round"),
        ("count", lambda s, e: area(s, e) * int(e.sum()) * int((~e).sum()), "The pairs were counted"),
        ("all pairs", lambda s, e: area(s, e) * int(e.sum()) * int((~e).sum()) / len(s) ** 2, "pairs of all words"),
        ("against all", against_all, "also with themselves"),
        ("differences", lambda s, e: wins(s, e, lambda gap: gap), "mean differences"),
        ("sizes", lambda s, e: area(s.abs(), e), "does not stand in front"),
        ("hit", lambda s, e: float(e[s.argmax()]), "top-1 hit"),
        ("signs", lambda s, e: wins(s, e, torch.sign), "from -1 to 1"),
    ],
)

# --- scaled -----------------------------------------------------------------------------------------------------------


def from_least_to_most(scores):
    return (scores - scores.min()) / (scores.max() - scores.min())


SCALED = Exercise(
    check=check.scaled,
    right=[
        lambda s: s / s.abs().max() if s.any() else s,
        lambda s: s / max(float(s.max()), -float(s.min()), 1e-30),
    ],
    wrong=[
        ("as it was", from_least_to_most, "The bug is still there"),
        ("stretched", lambda s: 2 * from_least_to_most(s) - 1, "moved all the same"),
        ("largest score", lambda s: s / s.max(), "divided by the largest score"),
        ("no signs", lambda s: s.abs() / s.abs().max(), "The signs are lost"),
        ("sum", lambda s: s / s.abs().sum(), "sum of the sizes"),
        ("length", lambda s: s / s.norm(), "length of the vector"),
        ("standardised", lambda s: (s - s.mean()) / s.std(), "The mean was subtracted"),
        ("zero by zero", lambda s: s / s.abs().max(), "became NaN"),
    ],
)

# --- spearman ---------------------------------------------------------------------------------------------------------


def pearson(a, b):
    return float(torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1])


def mean_ranks(x):
    return (x[:, None] > x[None, :]).sum(1) + ((x[:, None] == x[None, :]).sum(1) + 1) / 2


def short_formula(a, b):
    n = len(a)
    return 1 - 6 * float(((mean_ranks(a) - mean_ranks(b)) ** 2).sum()) / (n * (n * n - 1))


def places(x):
    return x.argsort(stable=True)


SPEARMAN = Exercise(
    check=check.spearman,
    right=[
        lambda a, b: pearson(mean_ranks(a), mean_ranks(b)),
        lambda a, b: float(stats.spearmanr(a.numpy(), b.numpy()).statistic),
    ],
    wrong=[
        ("scores", pearson, "correlation of the scores themselves"),
        ("argsort once", lambda a, b: pearson(places(a), places(b)), "the places in sorted order"),
        ("no ties", lambda a, b: pearson(places(places(a)), places(places(b))), "in the order of the text"),
        (
            "lowest rank",
            lambda a, b: pearson(*((x[:, None] > x[None, :]).sum(1) for x in (a, b))),
            "the lowest of their ranks",
        ),
        (
            "highest rank",
            lambda a, b: pearson(*((x[:, None] >= x[None, :]).sum(1) for x in (a, b))),
            "the highest of their ranks",
        ),
        ("dense", lambda a, b: pearson(*(x.unique(return_inverse=True)[1] for x in (a, b))), "without gaps"),
        ("short formula", short_formula, "The short formula"),
        ("one turned", lambda a, b: pearson(mean_ranks(a), mean_ranks(-b)), "The sign is turned"),
        ("Kendall", lambda a, b: float(stats.kendalltau(a.numpy(), b.numpy()).statistic), "Kendall's tau"),
    ],
)

# --- p_value ----------------------------------------------------------------------------------------------------------


def flipped(differences, draws, seed):
    """The means of the differences under random signs."""
    generator = torch.Generator().manual_seed(seed + 1)
    signs = torch.randint(2, (draws, len(differences)), generator=generator).double() * 2 - 1
    return (signs * differences).mean(1)


def each(first, second, number):
    return torch.stack([number(a.double() - b.double()) for a, b in zip(first, second, strict=True)])


def test_of(differences, draws, seed, one_more=1):
    means = flipped(differences.double(), draws, seed)
    return (int((means.abs() >= differences.double().mean().abs() - 1e-9).sum()) + one_more) / (draws + one_more)


def p_with_loops(first, second, draws=4000, seed=0):
    means = [float((a - b).mean()) for a, b in zip(first, second, strict=True)]
    signs = torch.randn(draws, len(means), generator=torch.Generator().manual_seed(seed)).sign().tolist()
    count = sum(
        abs(sum(sign * mean for sign, mean in zip(row, means, strict=True))) >= abs(sum(means)) - 1e-9 for row in signs
    )
    return (1 + count) / (1 + draws)


def p_by_sentence(first, second, draws=4000, seed=0):
    return test_of(each(first, second, torch.mean), draws, seed)


def counted(compare):
    """The test with another way to compare the drawn means and the observed one."""

    def p(first, second, draws=4000, seed=0):
        differences = each(first, second, torch.mean)
        return (int(compare(flipped(differences, draws, seed), differences.mean()).sum()) + 1) / (draws + 1)

    return p


P_VALUE = Exercise(
    check=check.p_value,
    right=[p_by_sentence, p_with_loops],
    wrong=[
        (
            "coins for words",
            lambda a, b, draws=4000, seed=0: test_of(torch.cat(a) - torch.cat(b), draws, seed),
            "The bug is still there",
        ),
        ("sums", lambda a, b, draws=4000, seed=0: test_of(each(a, b, torch.sum), draws, seed), "long ones count more"),
        ("one side", counted(lambda means, seen: means >= seen - 1e-9), "on one side"),
        ("only larger", counted(lambda means, seen: means.abs() > seen.abs() + 1e-9), "As large is enough"),
        ("smaller", counted(lambda means, seen: means.abs() < seen.abs() - 1e-9), "draws that are smaller"),
        (
            "sizes first",
            lambda a, b, draws=4000, seed=0: test_of(each(a, b, torch.mean).abs(), draws, seed),
            "keep their signs",
        ),
        ("observed with sign", counted(lambda means, seen: means.abs() >= seen - 1e-9), "was not taken"),
        (
            "never one more",
            lambda a, b, draws=4000, seed=0: test_of(each(a, b, torch.mean), draws, seed, one_more=0),
            "never 0",
        ),
        ("draws ignored", lambda a, b, draws=4000, seed=0: p_by_sentence(a, b, 4000, seed), "`draws` was not used"),
    ],
)

# --- effective_number -------------------------------------------------------------------------------------------------


def parts(scores):
    return scores.double().abs() / scores.double().abs().sum()


def spread(p):
    return torch.special.entr(p).sum()


def number_by_product(scores):
    p = parts(scores)
    return float((p[p > 0] ** -p[p > 0]).prod())


EFFECTIVE = Exercise(
    check=check.effective_number,
    right=[lambda s: spread(parts(s)).exp(), number_by_product],
    wrong=[
        ("entropy", lambda s: spread(parts(s)), "That is the entropy"),
        ("counted", lambda s: float((s != 0).sum()), "Non-zero scores were counted"),
        ("squares", lambda s: spread(parts(s**2)).exp(), "Squares were shared out"),
        ("softmax", lambda s: spread(s.double().softmax(-1)).exp(), "went through a softmax"),
        ("bits", lambda s: (spread(parts(s)) / math.log(2)).exp(), "Entropy in bits"),
        ("two", lambda s: 2 ** spread(parts(s)), "not with 2"),
        ("squared shares", lambda s: 1 / (parts(s) ** 2).sum(), "sum of squared shares"),
        ("per word", lambda s: spread(parts(s)).exp() / len(s), "a share of the words"),
        ("log of zero", lambda s: (-(parts(s) * parts(s).log()).sum()).exp(), "0 times log 0"),
    ],
)

# --- aligned ----------------------------------------------------------------------------------------------------------


def key_of(words):
    seen = {}
    for word in words:
        seen[word] = seen.get(word, 0) + 1
        yield word, seen[word]


def align(a, x, b, y):
    theirs = dict(zip(key_of(b), y, strict=True))
    return torch.tensor([(own, theirs[key]) for key, own in zip(key_of(a), x, strict=True) if key in theirs])


def align_by_taking(a, x, b, y):
    words, scores, rows = list(b), y.tolist(), []
    for word, own in zip(a, x.tolist(), strict=True):
        if word in words:
            rows.append([own, scores.pop(words.index(word))])
            words.remove(word)
    return rows


def align_with(partners):
    """Each word with the partners that are chosen from the places where the other text has it."""
    return lambda a, x, b, y: torch.tensor(
        [
            (float(x[i]), float(y[j]))
            for i, word in enumerate(a)
            for j in partners([j for j, other in enumerate(b) if other == word])
        ]
    )


def by_set(a, x, b, y):
    return torch.tensor([(x[a.index(w)], y[b.index(w)]) for w in dict.fromkeys(a) if w in b])


def with_zeros(a, x, b, y):
    theirs = dict(zip(key_of(b), y.tolist(), strict=True))
    return torch.tensor([(own, theirs.get(key, 0.0)) for key, own in zip(key_of(a), x.tolist(), strict=True)])


ALIGNED = Exercise(
    check=check.aligned,
    right=[align, align_by_taking],
    wrong=[
        ("by place", lambda a, x, b, y: [[float(p), float(q)] for p, q in zip(x, y, strict=False)], "by their place"),
        ("last", align_with(lambda places: places[-1:]), "with the last one"),
        ("first", align_with(lambda places: places[:1]), "with the first one"),
        ("all", align_with(lambda places: places), "one partner at most"),
        ("set", by_set, "only one was kept"),
        ("zeros", with_zeros, "Leave them out"),
        ("columns", lambda a, x, b, y: align(a, x, b, y).flip(1), "The columns are swapped"),
        ("second's order", lambda a, x, b, y: align(b, y, a, x).flip(1), "order of the second text"),
        ("transposed", lambda a, x, b, y: align(a, x, b, y).T, "one row for each word"),
    ],
)

# --- shuffled ---------------------------------------------------------------------------------------------------------


def shuffle(weights, part, seed=0, chosen=str.startswith, change=None):
    generator = torch.Generator().manual_seed(seed)

    def all_entries(tensor):
        return tensor.flatten()[torch.randperm(tensor.numel(), generator=generator)].reshape(tensor.shape)

    def changed(tensor):
        return change(tensor, generator) if change else all_entries(tensor)

    return {name: changed(tensor) if chosen(name, part) else tensor for name, tensor in weights.items()}


def shuffle_by_sorting(weights, part, seed=0):
    generator, after = torch.Generator().manual_seed(seed), {name: tensor.clone() for name, tensor in weights.items()}
    for name in filter(lambda name: name[: len(part)] == part, weights):
        order = torch.rand(after[name].numel(), generator=generator).argsort()
        after[name] = after[name].reshape(-1)[order].reshape(after[name].shape)
    return after


def with_change(change):
    return lambda weights, part, seed=0: shuffle(weights, part, seed, change=change)


def rows_moved(tensor, generator):
    return tensor[torch.randperm(len(tensor), generator=generator)]


def within_rows(tensor, generator):
    return tensor[..., torch.randperm(tensor.shape[-1], generator=generator)]


def in_place(weights, part, seed=0):
    for name, tensor in shuffle(weights, part, seed).items():
        weights[name].copy_(tensor)
    return weights


def only_those(weights, part, seed=0):
    return {name: tensor for name, tensor in shuffle(weights, part, seed).items() if name.startswith(part)}


def flat(tensor, generator):
    return tensor.flatten()[torch.randperm(tensor.numel(), generator=generator)]


DICE = torch.Generator().manual_seed(99)


def without_seed(weights, part, seed=0):
    return shuffle(weights, part, int(torch.randint(10**6, (1,), generator=DICE)))


SHUFFLED = Exercise(
    check=check.shuffled,
    right=[shuffle, shuffle_by_sorting],
    wrong=[
        ("nothing", with_change(lambda tensor, generator: tensor), "was not shuffled"),
        ("new numbers", with_change(lambda t, g: torch.randn(t.shape, generator=g)), "holds other numbers"),
        ("rows", with_change(rows_moved), "whole rows changed places"),
        ("within rows", with_change(within_rows), "each row kept its own entries"),
        ("flat", with_change(flat), "has the shape"),
        ("in the name", lambda w, p, seed=0: shuffle(w, p, seed, chosen=str.__contains__), "does not begin with it"),
        (
            "everything",
            lambda w, p, seed=0: shuffle(w, p, seed, chosen=lambda n, p: True),
            "does not begin with `part`",
        ),
        ("only those", only_those, "The names are not those"),
        ("in place", in_place, "changed the data"),
        ("no seed", without_seed, "Twice with the same seed"),
        ("seed ignored", lambda w, p, seed=0: shuffle(w, p, 0), "Another seed gave the same"),
        ("a list", lambda w, p, seed=0: list(shuffle(w, p, seed).values()), "Return a dictionary"),
    ],
)

EXERCISES = {
    "faithful": FAITHFUL,
    "aopc": AOPC,
    "auroc": AUROC,
    "scaled": SCALED,
    "spearman": SPEARMAN,
    "p_value": P_VALUE,
    "effective_number": EFFECTIVE,
    "aligned": ALIGNED,
    "shuffled": SHUFFLED,
}
