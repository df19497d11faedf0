"""Checks of chapter 06: needed and enough, AOPC, AUROC, scaling, rank correlation, a test over sentences, and sanity.

The texts are games of their words, as in chapter 05: functions from which words are kept to a probability.
"""

import math
from collections.abc import Callable
from itertools import product

import torch

from classroom.checks import Mistake, call, choice, expect_tensor, judge, judge_all, passed, quiet
from classroom.checks.perturbation import table_game
from glassbox.judging import plausibility, rank_agreement, sparsity
from glassbox.judging.faithfulness import SHARES, tokens_of_share

Game = Callable[[torch.Tensor], float]


def long_game(seed: int, words: int) -> Game:
    """A probability that depends on every word and on pairs of neighbours, for texts of any length."""
    draw = torch.Generator().manual_seed(seed)
    alone = torch.randn(words, generator=draw, dtype=torch.float64)
    together = torch.randn(words - 1, generator=draw, dtype=torch.float64)

    def f(kept: torch.Tensor) -> float:
        if not isinstance(kept, torch.Tensor) or kept.dtype != torch.bool or kept.shape != (words,):
            raise Mistake("f takes one truth value for each word: torch.bool, (words,).")
        here = kept.double()
        return float((here @ alone + (here[1:] * here[:-1]) @ together).sigmoid())

    return f


def chapter_game() -> Game:
    """Three words: the whole text 0.9, without the second 0.3, the second alone 0.7."""
    return table_game(torch.tensor([0.1, 0.2, 0.7, 0.8, 0.15, 0.3, 0.85, 0.9], dtype=torch.float64))


def top(scores: torch.Tensor, k: int) -> torch.Tensor:
    return rank_agreement.largest(scores, k)


def pair(f: Game, chosen: torch.Tensor) -> torch.Tensor:
    whole = f(torch.ones_like(chosen))
    return torch.tensor([whole - f(~chosen), whole - f(chosen)])


def faithful_cases(seed: int) -> list[tuple[Game, torch.Tensor, int]]:
    draw = torch.Generator().manual_seed(seed)
    mixed = torch.randn(7, generator=draw)
    mixed[3] = -5.0
    return [
        (chapter_game(), torch.tensor([0.2, 3.0, 1.0]), 1),
        (long_game(seed, 7), mixed, 2),
        (long_game(seed + 1, 6), torch.tensor([1.0, 2.0, 2.0, 2.0, 0.0, -3.0]), 2),
        (long_game(seed + 2, 4), torch.tensor([0.5, 0.1, 0.7, -0.2]), 9),
    ]


@quiet()
def faithful(student: Callable, seed: int = 0) -> None:
    cases = faithful_cases(seed)
    values = [call(student, *case) for case in cases]
    for value in values:
        if not isinstance(value, tuple | list | torch.Tensor) or len(torch.as_tensor(value).shape) != 1:
            raise Mistake("Return two numbers: comprehensiveness, then sufficiency.")

    def by(choose: Callable) -> list[torch.Tensor]:
        return [pair(f, choose(scores, k)) for f, scores, k in cases]

    def later(scores, k):
        return top(scores.flip(0), k).flip(0)

    def first_and_last(scores, k):
        """The first of several equals, and the last of them."""
        chosen = top(scores, k)
        equal = (scores == scores.max()).nonzero()[:, 0]
        if len(equal) > k > 1:
            chosen = torch.zeros_like(chosen)
            chosen[equal[[*range(k - 1), -1]]] = True
        return chosen

    right = by(top)
    whole = [f(torch.ones(len(scores), dtype=torch.bool)) for f, scores, _ in cases]
    empty = [f(torch.zeros(len(scores), dtype=torch.bool)) for f, scores, _ in cases]
    kept = [torch.stack([whole[i] - right[i][0], whole[i] - right[i][1]]) for i in range(len(cases))]
    judge_all(
        values,
        right,
        {
            "The two numbers are in the wrong order: first comprehensiveness (without the words), then sufficiency "
            "(the words alone).": [found.flip(0) for found in right],
            "The signs are turned: the probability of the whole text comes first in both differences.": [
                -found for found in right
            ],
            "These are the probabilities of the shorter texts. Subtract them from that of the whole text.": kept,
            "The differences were divided by the probability of the whole text. Leave them as they are.": [
                found / value for found, value in zip(right, whole, strict=True)
            ],
            "The sizes of the scores were ranked. A word against the answer is no reason for it: keep the sign.": by(
                lambda scores, k: top(scores.abs(), k)
            ),
            "The smallest scores were taken. Sort from the largest down.": by(lambda scores, k: top(-scores, k)),
            "Of equal scores the later ones were taken. Take the word that comes first: stable=True.": by(later),
            "Of equal scores any were taken. `topk` makes no promise about ties; "
            "`argsort(descending=True, stable=True)` does.": by(first_and_last),
            "More than k words were taken: all whose score is as large as the k-th.": by(
                lambda scores, k: scores >= scores.sort(descending=True).values[min(k, len(scores)) - 1]
            ),
            "Only the k-th word was taken. Take all of the first k.": by(
                lambda scores, k: top(scores, k) & ~top(scores, min(k, len(scores)) - 1)
            ),
            "Sufficiency was measured from the empty text. Both numbers start from the whole text.": [
                torch.stack([found[0], alone[1] - none]) for found, alone, none in zip(right, kept, empty, strict=True)
            ],
        },
        names=[
            "the answer for the chapter's three words",
            "the answer for seven words, one strongly against",
            "the answer for six words with ties",
            "the answer for a text shorter than k",
        ],
    )
    passed("0.6 and 0.2 in the example; ties go by place, and scores count with their sign")


def sizes_of(words: int) -> list[int]:
    return [tokens_of_share(share, words) for share in SHARES]


@quiet()
def aopc(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    lengths = (5, 8, 25, 10)
    cases = [(long_game(seed + n, n), torch.randn(n, generator=draw)) for n in lengths]
    names = [f"a text of {n} words" for n in lengths]

    def mean(sizes: Callable[[int], list[int]]) -> list[torch.Tensor]:
        return [torch.stack([pair(f, top(scores, k)) for k in sizes(len(scores))]).mean(0) for f, scores in cases]

    def by(rounding: Callable[[float], int], least: int = 1) -> list[torch.Tensor]:
        return mean(lambda n: [max(least, rounding(share * n)) for share in SHARES])

    right = mean(sizes_of)
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "round() takes halves to the even neighbour: half of five words became 2. Round halves up.": by(round),
            "The shares were cut off, not rounded: half of five words became 2.": by(int),
            "The shares were rounded up: 20 % of eight words are 1.6, which is 2, but 10 % of 25 are 2.5, and 5 % are "
            "1.25, which is 1.": by(math.ceil),
            "A small share of a short text came to no word at all. Take at least one.": by(
                lambda share: math.floor(share + 0.5), 0
            ),
            "Shares that come to the same number of words were counted once. Each share counts.": mean(
                lambda n: sorted(set(sizes_of(n)))
            ),
            "These are sums over the shares. Take means.": [5 * found for found in right],
            "The two numbers are in the wrong order: first comprehensiveness, then sufficiency.": [
                found.flip(0) for found in right
            ],
            "Only the largest share was used. Take the mean over all five.": mean(lambda n: sizes_of(n)[-1:]),
            "The numbers 1, 5, 10, 20 and 50 were taken as numbers of words. They are shares, in percent.": mean(
                lambda n: [min(n, round(100 * share)) for share in SHARES]
            ),
        },
        names=names,
    )
    passed("the mean over five shares: of five words 1, 1, 1, 1 and 3 are taken")


def negative(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "sufficiency is a difference of two probabilities, and a difference can well be negative.",
            "b": "words that spoke against the answer would make it less likely when they stand alone.",
            "c": "p(x) is smaller than p of the three words alone. The other words of the text held the answer back, "
            "or the short text happens to be easier.",
            "d": "then little would be left with them alone, and the difference would be large and positive.",
        },
    )


def compare(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "the larger number may be due to the way of removing. A text full of [MASK] is strange to a model, "
            "and its answer falls whichever words were taken.",
            "b": "no way of removing is stricter for all models and texts.",
            "c": "compare methods under one way of removing only, and beside random scores, which can look quite "
            "faithful under [MASK].",
            "d": "nothing says that the difference is a constant, the same for each method and text.",
        },
    )


@quiet()
def auroc(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    cases = [(torch.tensor([5.0, 2.0, 2.0, 1.0]), torch.tensor([True, False, True, False]))]
    for n, found in ((8, 3), (9, 2)):
        marked = torch.randperm(n, generator=draw) < found
        cases.append((torch.randint(-2, 3, (n,), generator=draw).float(), marked))
    cases.append((torch.full((5,), 2.0), torch.tensor([True, False, False, True, False])))
    cases.append((torch.randn(6, generator=draw), torch.tensor([False, True, False, True, True, False])))

    def pairs(win: Callable, over: Callable = lambda s, e: (s[e], s[~e])) -> list[float]:
        found = []
        for scores, marked in cases:
            ours, theirs = over(scores, marked)
            found.append(float(win(ours[:, None] - theirs[None, :]).double().mean()))
        return found

    def half(gap):
        return (gap.sign() + 1) / 2

    right = [plausibility.auroc(*case) for case in cases]
    counts = [int(marked.sum()) * int((~marked).sum()) for _, marked in cases]
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "Ties count nothing here. A tie counts one half.": pairs(lambda gap: gap > 0),
            "Ties count as won. A tie counts one half.": pairs(lambda gap: gap >= 0),
            "It is the wrong way round: count where the evidence has the larger score.": [1 - value for value in right],
            "The pairs were counted. Divide by their number.": [
                value * count for value, count in zip(right, counts, strict=True)
            ],
            "The count was divided by the pairs of all words. There are (evidence) times (others) pairs.": [
                value * count / len(case[0]) ** 2 for value, count, case in zip(right, counts, cases, strict=True)
            ],
            "Words of the evidence were compared with all words, also with themselves. Compare them with the "
            "others.": pairs(half, lambda s, e: (s[e], s)),
            "These are the mean differences of the scores. Only the order counts.": pairs(lambda gap: gap),
            "The sizes of the scores were ranked. A word against the answer does not stand in front.": pairs(
                half, lambda s, e: (s[e].abs(), s[~e].abs())
            ),
            "Only the largest score was looked at: that is the top-1 hit.": [
                float(marked[scores.argmax()]) for scores, marked in cases
            ],
            "The sign of each difference was averaged: that runs from -1 to 1. Won is 1, a tie 0.5, lost 0.": pairs(
                torch.sign
            ),
        },
        names=[
            "the AUROC of the chapter's four words",
            "the AUROC of eight words",
            "the AUROC of nine words",
            "the AUROC of five words with one score",
            "the AUROC of six words without ties",
        ],
    )
    passed("0.875 in the example, one half where all scores are equal")


@quiet()
def scaled(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    drawn = torch.randn(7, generator=draw)
    drawn[2] = 0.0
    cases = [torch.tensor([2.0, 0.0, -2.0]), torch.tensor([1.0, -4.0, 2.0]), torch.tensor([-1.0, -3.0]), drawn]

    def least_to_most(x):
        return (x - x.min()) / (x.max() - x.min())

    judge_all(
        [call(student, case) for case in cases],
        [case / case.abs().max() for case in cases],
        {
            "The bug is still there: the smallest score became 0, and zero was moved.": [
                least_to_most(case) for case in cases
            ],
            "The smallest became -1 and the largest 1, so zero was moved all the same.": [
                2 * least_to_most(case) - 1 for case in cases
            ],
            "It was divided by the largest score. If the largest size is that of a negative score, the result leaves "
            "-1 to 1.": [case / case.max() for case in cases],
            "The signs are lost: divide by the largest size, and leave the scores their signs.": [
                case.abs() / case.abs().max() for case in cases
            ],
            "It was divided by the sum of the sizes. Then the largest size is not 1.": [
                case / case.abs().sum() for case in cases
            ],
            "It was divided by the length of the vector. Then the largest size is not 1.": [
                case / case.norm() for case in cases
            ],
            "The mean was subtracted, which moves zero.": [(case - case.mean()) / case.std() for case in cases],
        },
        names=["scores 2, 0, -2", "scores 1, -4, 2", "scores that are all negative", "random scores"],
    )
    nothing = call(student, torch.zeros(4))
    if isinstance(nothing, torch.Tensor) and nothing.is_floating_point() and nothing.isnan().any():
        raise Mistake("Scores that are all zero became NaN: zero was divided by zero. They stay zero.")
    judge(nothing, torch.zeros(4), name="the result for scores that are all zero")
    passed("zero stays zero, signs stay signs, the largest size is 1")


@quiet()
def spearman(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    cases = [
        (torch.tensor([3.0, 1.0, 1.0, 0.0]), torch.tensor([10.0, 2.0, 1.0, 0.0])),
        (torch.tensor([1.0, 10.0, 100.0, 5.0]), torch.tensor([2.0, 4.0, 3.0, 1.0])),
        (torch.randn(9, generator=draw), torch.randn(9, generator=draw)),
        (torch.tensor([0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 3.0, 0.0]), torch.randn(8, generator=draw).round()),
        (
            torch.cat([torch.tensor([-9.0]), torch.randint(0, 3, (9,), generator=draw).float()]),
            torch.cat([torch.tensor([4.0]), torch.randint(0, 3, (9,), generator=draw).float()]),
        ),
    ]

    def correlation(a, b):
        a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
        below = ((a @ a) * (b @ b)).sqrt()
        return float(a @ b / below) if below else 0.0

    def by(ranks: Callable) -> list[float]:
        return [correlation(ranks(a), ranks(b)) for a, b in cases]

    def short(ranks: Callable) -> list[float]:
        found = []
        for a, b in cases:
            n = len(a)
            found.append(float(1 - 6 * ((ranks(a) - ranks(b)).double() ** 2).sum() / (n * (n * n - 1))))
        return found

    def smaller(x):
        return (x[None, :] < x[:, None]).sum(1)

    def dense(x):
        return x.unique(return_inverse=True)[1]

    def at_least(x):
        return (x[None, :] <= x[:, None]).sum(1)

    right = [rank_agreement.spearman(*case) for case in cases]
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "That is the correlation of the scores themselves. Replace them by ranks first.": by(lambda x: x),
            "argsort gives the places in sorted order, not the ranks.": by(lambda x: x.argsort(stable=True)),
            "Equal scores got different ranks, in the order of the text. They share the mean of their ranks.": by(
                lambda x: x.argsort(stable=True).argsort(stable=True)
            ),
            "Equal scores got the lowest of their ranks. They share the mean of them.": by(smaller),
            "Equal scores got the highest of their ranks. They share the mean of them.": by(at_least),
            "Ranks were given without gaps: after two that share ranks 2 and 3, the next is 4.": by(dense),
            "The short formula with the squared differences holds without ties only. Take the correlation of the "
            "ranks.": short(rank_agreement.ranks),
            "The sign is turned: were both lists ranked in the same direction?": [-value for value in right],
            "That is Kendall's tau. Spearman's is the correlation of the ranks.": [
                rank_agreement.kendall(*case) for case in cases
            ],
        },
        names=["the chapter's lists", "two lists without ties", "random scores", "a list of zeros mostly", "many ties"],
    )
    passed("0.949 in the example; equal scores share the mean of their ranks")


MEANS = (1.2, -0.4, 0.9, 0.3, -0.6, 0.8, 0.1, 0.5, -0.2)
LENGTHS = (2, 11, 3, 8, 5, 12, 2, 9, 4)


def two_methods(seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What two methods got at each word of nine sentences, whose mean differences are `MEANS`."""
    draw = torch.Generator().manual_seed(seed)
    first, second = [], []
    for mean, length in zip(MEANS, LENGTHS, strict=True):
        luck = 0.4 * torch.randn(length, generator=draw)
        second.append(torch.randn(length, generator=draw))
        first.append(second[-1] + mean + luck - luck.mean())
    return first, second


def all_signs(differences: torch.Tensor) -> torch.Tensor:
    """The mean for each way to set the signs; 2000 random ways where there are too many."""
    n = len(differences)
    if n <= 12:
        signs = torch.tensor(list(product((1.0, -1.0), repeat=n)), dtype=torch.float64)
    else:
        signs = 2 * torch.randint(2, (2000, n), generator=torch.Generator().manual_seed(n)).double() - 1
    return (signs * differences).mean(dim=1)


def p_of(differences: torch.Tensor) -> float:
    differences = differences.double()
    return float((all_signs(differences).abs() >= differences.mean().abs() - 1e-9).double().mean())


@quiet()
def p_value(student: Callable, seed: int = 0) -> None:
    hand = (
        [torch.tensor([3.0, 3.0]), torch.tensor([1.0, 1.0, 1.0]), torch.tensor([2.0])],
        [
            torch.zeros(2),
            torch.zeros(3),
            torch.zeros(1),
        ],
    )
    drawn = two_methods(seed)
    tenfold = tuple([one.repeat(10) for one in sentences] for sentences in drawn)
    against = drawn[1], drawn[0]
    cases = [hand, drawn, tenfold, against]

    def by(number: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
        return [torch.stack([number(a - b) for a, b in zip(*case, strict=True)]).double() for case in cases]

    means, sums = by(torch.mean), by(torch.sum)
    right = [p_of(found) for found in means]
    values = [call(student, *case, seed=seed) for case in cases]
    judge_all(
        values,
        right,
        {
            "The bug is still there: each word has a coin of its own. Toss one for each sentence.": [
                p_of(torch.cat([a - b for a, b in zip(*case, strict=True)])) for case in cases
            ],
            "The differences were summed in each sentence, so that long ones count more. Take their mean.": [
                p_of(found) for found in sums
            ],
            "Only draws on one side were counted. A difference as large the other way counts too.": [
                float((all_signs(found) >= found.mean() - 1e-9).double().mean()) for found in means
            ],
            "Only draws that are larger in size were counted. As large is enough.": [
                float((all_signs(found).abs() > found.mean().abs() + 1e-9).double().mean()) for found in means
            ],
            "That is the share of draws that are smaller. Count those that are at least as large.": [
                1 - value for value in right
            ],
            "The sizes of the differences were taken first. Then all of them point one way: keep their signs.": [
                p_of(found.abs()) for found in means
            ],
            "The size of the observed mean was not taken: with the methods swapped, every draw is as large.": [
                float((all_signs(found).abs() >= found.mean() - 1e-9).double().mean()) for found in means
            ],
        },
        tolerance=0.03,
        names=[
            "the p-value of the chapter's three sentences",
            "the p-value of nine sentences",
            "the p-value with every word written down ten times",
            "the p-value with the methods swapped",
        ],
    )
    sure = [torch.full((3,), 5.0)] * 40
    least = call(student, sure, [torch.zeros(3)] * 40, 50, seed)
    if float(expect_tensor(least, (), "the p-value")) <= 0:
        raise Mistake(
            "A p-value is never 0: the observed signs are one of the draws. Add one to the count and to the draws."
        )
    judge(
        least,
        1 / 51,
        {"`draws` was not used: with 50 draws no p-value is below 1/51.": 1 / 4001},
        tolerance=1e-6,
        name="the least p-value with 50 draws",
    )
    passed("one coin for each sentence: close to 2/8 in the example, and never 0")


@quiet()
def effective_number(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    cases = [
        torch.tensor([2.0, -2.0, 0.0, 0.0]),
        torch.full((4,), 3.0),
        torch.tensor([0.0, 0.0, -7.0]),
        torch.randn(6, generator=draw) + 0.01,
    ]
    values = [call(student, case) for case in cases]
    for value in values:
        if isinstance(value, int | float | torch.Tensor) and bool(torch.as_tensor(value).isnan().any()):
            raise Mistake(
                "The result is NaN. 0 times log 0 is NaN on a computer, and so is the log of a negative share. Or the "
                "scores summed to zero: take the sizes first."
            )

    def shares(x):
        return sparsity.shares(x)

    def entropy(p):
        return torch.special.entr(p).sum()

    judge_all(
        values,
        [sparsity.effective_number(case) for case in cases],
        {
            "That is the entropy. Return e to its power.": [entropy(shares(case)) for case in cases],
            "Non-zero scores were counted, as if all weighed the same.": [float((case != 0).sum()) for case in cases],
            "Squares were shared out, not sizes.": [entropy(shares(case**2)).exp() for case in cases],
            "The scores went through a softmax. A share is |a| divided by the sum of all |a|.": [
                entropy(case.double().softmax(-1)).exp() for case in cases
            ],
            "Entropy in bits needs 2 as the base, entropy by the natural logarithm e.": [
                (entropy(shares(case)) / math.log(2)).exp() for case in cases
            ],
            "Entropy by the natural logarithm goes with e, not with 2.": [2 ** entropy(shares(case)) for case in cases],
            "That is one over the sum of squared shares: a relative with the same idea, but not this number.": [
                1 / (shares(case) ** 2).sum() for case in cases
            ],
            "That is a share of the words. Don't divide by their number.": [
                sparsity.effective_number(case) / len(case) for case in cases
            ],
        },
        names=[
            "the number for scores 2, -2, 0, 0",
            "the number for four equal scores",
            "the number for one word that holds everything",
            "the number for random scores",
        ],
    )
    passed("two words in the example, one where one holds everything, n where all are alike")


def pairs_of(first_words, first, second_words, second) -> list[tuple[float, float]]:
    found, used = [], set()
    for word, score in zip(first_words, first.tolist(), strict=True):
        free = [place for place, other in enumerate(second_words) if other == word and place not in used]
        if free:
            used.add(free[0])
            found.append((score, float(second[free[0]])))
    return found


@quiet()
def aligned(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)

    def text(length: int) -> tuple[list[str], torch.Tensor]:
        places = torch.randint(0, 6, (length,), generator=draw).tolist()
        return [["the", "city", "of", "in", "Paris", "near"][place] for place in places], torch.randn(
            length, generator=draw
        )

    chapter = (
        ["the", "city", "of", "the", "tower"],
        torch.tensor([1.0, 2, 3, 4, 5]),
        ["near", "the", "tower", "the", "city"],
        torch.tensor([6.0, 7, 8, 9, 10]),
    )
    own = text(6)
    more = ["the", "the", "of", "near", "the"], torch.tensor([1.0, 2, 3, 4, 5])
    less = ["near", "the", "of", "the", "in", "of"], torch.tensor([6.0, 7, 8, 9, 10, 11])
    cases = [chapter, chapter[2:] + chapter[:2], (*own, *own), (*more, *less), (*text(9), *text(7))]

    def table(rows: list) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)

    def with_all(a, x, b, y, keep=lambda places: places):
        rows = []
        for word, score in zip(a, x.tolist(), strict=True):
            rows += [(score, float(y[place])) for place in keep([i for i, other in enumerate(b) if other == word])]
        return rows

    def once(a, x, b, y):
        return [(float(x[a.index(w)]), float(y[b.index(w)])) for w in dict.fromkeys(a) if w in b]

    def padded(a, x, b, y):
        rows, used = [], set()
        for word, score in zip(a, x.tolist(), strict=True):
            free = [place for place, other in enumerate(b) if other == word and place not in used]
            used |= set(free[:1])
            rows.append((score, float(y[free[0]]) if free else 0.0))
        return rows

    right = [table(pairs_of(*case)) for case in cases]
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "Words were paired by their place. Pair them by what they are.": [
                table(list(zip(x.tolist(), y.tolist(), strict=False))) for _, x, _, y in cases
            ],
            "Every occurrence was paired with the last one of the other text. The first belongs to the first.": [
                table(with_all(*case, keep=lambda places: places[-1:])) for case in cases
            ],
            "Every occurrence was paired with the first one of the other text. The second belongs to the second.": [
                table(with_all(*case, keep=lambda places: places[:1])) for case in cases
            ],
            "Every occurrence was paired with all of the other text. Each has one partner at most.": [
                table(with_all(*case)) for case in cases
            ],
            "A word that occurs twice in both texts gives two pairs; only one was kept.": [
                table(once(*case)) for case in cases
            ],
            "Words without a partner got a zero. Leave them out.": [table(padded(*case)) for case in cases],
            "The columns are swapped: the first text's scores come first.": [found.flip(1) for found in right],
            "The pairs are in the order of the second text. Take that of the first.": [
                table(pairs_of(*case[2:], *case[:2])).flip(1) for case in cases
            ],
            "The pairs stand in columns. Return (shared, 2), one row for each word.": [found.T for found in right],
        },
        names=[
            "the chapter's two texts",
            "the chapter's texts, swapped",
            "a text and itself",
            "words that occur more often in one text",
            "two random texts",
        ],
    )
    passed("four pairs in the example: the first 'the' belongs to the first")


@quiet()
def shuffled(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"h.1.weight": (8, 9), "h.1.bias": (12,), "h.1.cube": (3, 4, 5), "h.2.weight": (8, 9), "old.h.1.w": (6, 6)}
    weights = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    found = call(student, weights, "h.1.", seed=3)
    if not isinstance(found, dict):
        raise Mistake("Return a dictionary from names to tensors.")
    if set(found) != set(weights):
        missing = sorted(set(weights) - set(found))
        raise Mistake(
            f"The names are not those that were given: missing {missing}. Tensors that stay belong to it too."
        )
    for name, before in weights.items():
        after = expect_tensor(found[name], tuple(before.shape), f"the tensor {name}")
        _judge_shuffled(name, before.double(), after)
    again, other = call(student, weights, "h.1.", seed=3), call(student, weights, "h.1.", seed=4)
    if not all(torch.equal(again[name], found[name]) for name in weights):
        raise Mistake("Twice with the same seed gave two results. Use a generator with the seed.")
    if all(torch.equal(other[name], found[name]) for name in weights):
        raise Mistake("Another seed gave the same result. Use the seed that is passed in.")
    untouched = call(student, weights, "none", seed=3)
    if not all(torch.equal(untouched[name], weights[name]) for name in weights):
        raise Mistake("No name begins with `none`, and yet something was shuffled.")
    passed("the same numbers in another order, for the named tensors only")


def _judge_shuffled(name: str, before: torch.Tensor, after: torch.Tensor) -> None:
    same, kept = torch.equal(before, after), torch.equal(before.flatten().sort().values, after.flatten().sort().values)
    if not name.startswith("h.1."):
        if not same:
            where = "holds `part`, but does not begin with it" if "h.1." in name else "does not begin with `part`"
            raise Mistake(f"The name {name} {where}. It stays as it was.")
        return
    if same:
        raise Mistake(f"The tensor {name} was not shuffled.")
    if not kept:
        raise Mistake(
            f"The tensor {name} holds other numbers than before. Let its own entries change places, each of them once."
        )
    if before.ndim < 2:
        return
    if any(torch.equal(before[0], row) for row in after):
        raise Mistake(f"In {name} whole rows changed places. Shuffle over all entries: flatten first.")
    if torch.equal(before.sort(dim=-1).values, after.sort(dim=-1).values):
        raise Mistake(f"In {name} each row kept its own entries. Shuffle over all entries: flatten first.")


def sanity(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "robust against a small change of the text would be good. But here the thing explained was destroyed.",
            "b": "the same picture comes out of a model that has learned nothing. It shows the text or the "
            "architecture, however right it looks.",
            "c": "the answers did change; the explanation failed to notice it.",
            "d": "a list of the right words that ignores the model is plausible. It is no explanation of the model.",
        },
    )
