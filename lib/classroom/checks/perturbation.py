"""Checks of chapter 05: variants of a text, games played by its words, Shapley values, LIME's fit, and reduction.

Games are functions of which players are kept, with a value that is known for every coalition.
"""

from collections.abc import Callable
from itertools import permutations, product

import torch

from classroom.checks import Mistake, call, choice, judge, judge_all, passed, quiet
from classroom.checks.start_here import small_gpt2

Game = Callable[[torch.Tensor], float]


def table_game(values: torch.Tensor) -> Game:
    """The game whose value for each coalition stands in a table, at the number with the players as binary digits."""

    def f(kept: torch.Tensor) -> float:
        if (
            not isinstance(kept, torch.Tensor)
            or kept.dtype != torch.bool
            or kept.shape != (len(values).bit_length() - 1,)
        ):
            raise Mistake("f takes a tensor of truth values, one for each player: torch.bool, (players,).")
        return float(values[sum(1 << place for place, present in enumerate(kept.tolist()) if present)])

    return f


def random_game(seed: int, players: int) -> Game:
    return table_game(torch.randn(2**players, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3)


def chapter_game(kept: torch.Tensor) -> float:
    first, second, third = kept.tolist()
    return 10.0 * first + 4.0 * (second and third)


def everybody(players: int, *missing: int) -> torch.Tensor:
    kept = torch.ones(players, dtype=torch.bool)
    kept[list(missing)] = False
    return kept


@quiet()
def variant(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    texts = [(torch.tensor([0, 5, 8, 3]), 2, 9), (torch.randint(3, 40, (7,), generator=draw), 4, 1)]
    for ids, place, substitute in texts:
        others = torch.arange(len(ids)) != place
        full, short = torch.ones(len(ids)), torch.ones(len(ids) - 1)
        right = {
            "delete": (ids[others], short),
            "replace": (ids.where(others, torch.tensor(substitute)), full),
            "hide": (ids, others.long()),
        }
        for how, (expected, mask) in right.items():
            value = call(student, ids, place, how, substitute)
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise Mistake("Return two tensors: the ids of the variant, and its mask.")
            if how == "hide" and isinstance(value[1], torch.Tensor) and torch.equal(value[1].bool(), ~others):
                raise Mistake('With how="hide" the mask is the wrong way round: 0 hides a token, 1 shows it.')
            if isinstance(value[1], torch.Tensor) and isinstance(value[0], torch.Tensor):
                if value[1].shape != value[0].shape and value[0].shape == expected.shape:
                    raise Mistake(
                        f'With how="{how}" ids and mask differ in length. There is one mask entry for each id.'
                    )
            mistakes = {
                f'With how="{how}" nothing was taken away.': (ids, full),
                f'With how="{how}" the token after the place went, not the one at it.': (
                    (ids[torch.arange(len(ids)) != place + 1], short) if how == "delete" else (ids * 0 - 1, full)
                ),
                f'With how="{how}" everything from the place on was cut off. Only one token goes.': (
                    ids[:place],
                    full[:place],
                ),
                f'With how="{how}" the token was replaced. It has to be gone.' if how == "delete" else "": right[
                    "replace"
                ],
                f'With how="{how}" the token was deleted: the text became shorter.': right["delete"],
                'With how="replace" the token was hidden, not replaced.' if how == "replace" else " ": right["hide"],
                'With how="hide" the token was replaced too. Its id stays; only the mask hides it.'
                if how == "hide"
                else "  ": (right["replace"][0], others.long()),
                'With how="replace" the substitute is 0, whatever was asked for. Use `substitute`.'
                if how == "replace"
                else "   ": (ids.where(others, torch.tensor(0)), full),
            }
            named = {m: w for m, w in mistakes.items() if m.strip()}
            judge(
                value[0],
                expected,
                {m: w[0] for m, w in named.items() if _differ(w[0], expected)},
                name=f'the ids with how="{how}"',
            )
            judge(
                value[1],
                mask,
                {m: w[1] for m, w in named.items() if _differ(w[1], mask)},
                name=f'the mask with how="{how}"',
            )
    passed("deleted, replaced and hidden: ids and mask of one length each time")


def tensors(values: list, form: str) -> list:
    """The values, if they are tensors: later cells call `.sum()` and the like on what the functions return."""
    if not all(isinstance(value, torch.Tensor) for value in values):
        raise Mistake(f"Return a tensor, {form}: `torch.tensor([...])`, for instance.")
    return values


def form_of(values: list, forms: list[list]) -> list:
    """The form of a mistake that the values show, the first one if they show none of them."""
    return next((form for form in forms if not any(map(_differ, values, form))), forms[0])


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape != other.shape or not torch.equal(one.double(), other.double())


@quiet()
def hide(student: Callable, seed: int = 0) -> None:
    model = small_gpt2(seed)
    ids = torch.randint(1, 29, (6,), generator=torch.Generator().manual_seed(seed))
    for place in (1, 3, 4):
        mask = (torch.arange(6) != place).long()

        def logits(text, allowed=None):
            with torch.no_grad():
                return model(text[None], attention_mask=None if allowed is None else allowed[None]).logits[0]

        right = logits(ids, mask)[-1]
        value = call(student, model, ids, place)
        if isinstance(value, torch.Tensor) and value.requires_grad:
            raise Mistake("The logits carry gradients with them: run the model in `with torch.no_grad():`.")
        replaced = ids.where(mask.bool(), torch.tensor(0))
        judge(
            value,
            right,
            {
                "The bug is still there: token 0 stands in the place of the hidden one, and is looked at.": logits(
                    replaced
                )[-1],
                "Nothing was hidden: these are the logits of the whole text.": logits(ids)[-1],
                "The mask is the wrong way round: everything but the place was hidden.": logits(ids, 1 - mask)[-1],
                "The token was deleted. It stays where it is; only the mask hides it.": logits(ids[mask.bool()])[-1],
                "These are the logits at the hidden place. Return those after the last token.": logits(ids, mask)[
                    place
                ],
                "These are the logits at all places. Return those after the last token.": logits(ids, mask),
                "The batch's axis is still there: return (vocabulary,).": right[None],
                "These are probabilities. Return the logits.": right.softmax(-1),
            },
            name=f"the logits without place {place}",
        )
    passed("a hidden token may be any token at all: the logits don't know")


def way(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "a hole stays in the text, and the model has never seen one; nobody writes holes.",
            "b": "the text that the author would have written is one without the word, if what is left is a "
            "sentence at all. "
            "If not, no variant answers the question.",
            "c": "token 0 is a token like any other. It would be a text with another word in it.",
            "d": "they give different texts, and often different scores.",
        },
    )


@quiet()
def leave_one_out(student: Callable, seed: int = 0) -> None:
    cases = [(chapter_game, 3), (random_game(seed, 4), 4), (random_game(seed + 1, 2), 2)]
    lost = [torch.tensor([f(everybody(n)) - f(everybody(n, i)) for i in range(n)]) for f, n in cases]
    alone = [torch.tensor([f(~everybody(n, i)) - f(~everybody(n)) for i in range(n)]) for f, n in cases]
    judge_all(
        tensors([call(student, *case) for case in cases], "(players,)"),
        lost,
        {
            "The sign is turned: f(all) - f(without), so that a word which speaks for the answer gets a positive "
            "score.": [-x for x in lost],
            "Absolute values were taken: then nothing can speak against.": [x.abs() for x in lost],
            "These are the values of f without each player. Subtract them from f of everybody.": [
                f(everybody(n)) - x for x, (f, n) in zip(lost, cases, strict=True)
            ],
            "These are the values of each player alone. Leave one out, and keep the others.": alone,
            "Players were left out one after the other and never came back. Start from everybody each time.": [
                torch.tensor([f(everybody(n)) - f(everybody(n, *range(i + 1))) for i in range(n)]) for f, n in cases
            ],
            "The scores were divided by their sum. Return the losses as they are.": [x / x.sum() for x in lost],
        },
        tolerance=1e-5,
        names=[
            "the scores of the chapter's game",
            "the scores of a random game of four",
            "the scores of a game of two",
        ],
    )
    passed("f of all less f without each: 10, 4 and 4 in the example")


@quiet()
def occlusion(student: Callable, seed: int = 0) -> None:
    def lost(f: Game, n: int, *missing: int) -> float:
        return f(everybody(n)) - f(everybody(n, *missing))

    chapter = table_game(_by_windows({(0, 1): 2.0, (1, 2): 6.0, (2, 3): 0.0}))
    cases = [
        (chapter, 4, 2),
        (random_game(seed, 5), 5, 3),
        (random_game(seed + 1, 5), 5, 1),
        (random_game(seed + 2, 6), 6, 4),
    ]

    def scores(f, n, width, starts=None, mean=True, gain=False):
        total, covered = torch.zeros(n), torch.zeros(n)
        for first in range(n - width + 1) if starts is None else starts(n, width):
            members = [place for place in range(first, first + width) if place < n]
            for place in members:
                total[place] += f(everybody(n, *members)) if gain else lost(f, n, *members)
                covered[place] += 1
        return total / covered.clamp(min=1) if mean else total

    judge_all(
        [call(student, *case) for case in cases],
        [scores(*case) for case in cases],
        {
            "The losses were summed. Divide by the number of windows that cover the player.": [
                scores(*case, mean=False) for case in cases
            ],
            "All were divided by the width, though players at the edges are covered less often.": [
                scores(*case, mean=False) / case[2] for case in cases
            ],
            "The windows move by their own width. They move one player at a time.": [
                scores(*case, starts=lambda n, w: range(0, n, w)) for case in cases
            ],
            "The windows do not overlap: the next one begins where the last one ended. Move one player at a time.": [
                scores(*case, starts=lambda n, w: range(0, n - w + 1, w)) for case in cases
            ],
            "Windows hang over the end. The last one ends with the last player.": [
                scores(*case, starts=lambda n, w: range(n)) for case in cases
            ],
            "The last window is missing: there are players - width + 1.": [
                scores(*case, starts=lambda n, w: range(n - w)) for case in cases
            ],
            "The sign is turned: a loss is f(all) - f(without the window).": [-scores(*case) for case in cases],
            "The values without the windows were averaged, not what is lost.": [
                scores(*case, gain=True) for case in cases
            ],
            "That is leave-one-out: the windows have one player only.": [scores(f, n, 1) for f, n, _ in cases],
        },
        names=[f"the scores of {n} players in windows of {w}" for _, n, w in cases],
    )
    passed("the mean over the windows that cover each player: 2, 4, 3, 0 in the example")


def _by_windows(losses: dict[tuple[int, ...], float]) -> torch.Tensor:
    """A game of four in which taking away a window loses what the table says."""
    values = torch.full((16,), 7.0, dtype=torch.float64)
    for members, loss in losses.items():
        values[15 - sum(1 << place for place in members)] = 7.0 - loss
    return values


def together(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "to halve it, one would have to ask about the two together, and leave-one-out never does.",
            "b": "take one away and the other still gives the answer away, so little is lost. This is the blind "
            "spot of asking one at a time.",
            "c": "each would have to be indispensable for that, and each has a stand-in.",
            "d": "both are treated alike; the order of the words plays no part.",
        },
    )


def _orders(f: Game, n: int) -> torch.Tensor:
    total, count = torch.zeros(n, dtype=torch.float64), 0
    for order in permutations(range(n)):
        kept = torch.zeros(n, dtype=torch.bool)
        for player in order:
            before = f(kept)
            kept = kept.clone()
            kept[player] = True
            total[player] += f(kept) - before
        count += 1
    return total / count


def _sets(f: Game, n: int, weight: Callable[[int, int], float], least: int = 0) -> torch.Tensor:
    values = torch.zeros(n, dtype=torch.float64)
    for player in range(n):
        for number in range(2**n):
            kept = torch.tensor([bool(number >> place & 1) for place in range(n)])
            if not kept[player] and int(kept.sum()) >= least:
                gain = f(kept | ~everybody(n, player)) - f(kept)
                values[player] += weight(int(kept.sum()), n) * gain
    return values


@quiet()
def shapley(student: Callable, seed: int = 0) -> None:
    from math import comb, factorial

    cases = [(chapter_game, 3), (random_game(seed, 4), 4), (random_game(seed + 1, 3), 3)]
    right = [_orders(*case) for case in cases]

    def proper(size, n):
        return factorial(size) * factorial(n - size - 1) / factorial(n)

    judge_all(
        tensors([call(student, *case) for case in cases], "(players,)"),
        right,
        {
            "All sets weigh the same (that is the Banzhaf value). Weigh a set of size s by s! (n - s - 1)! / n!.": [
                _sets(*case, weight=lambda size, n: 1 / 2 ** (n - 1)) for case in cases
            ],
            "The gains were summed without weights.": [_sets(*case, weight=lambda size, n: 1.0) for case in cases],
            "The empty set is missing: what a player adds to nobody counts too.": [
                _sets(*case, weight=proper, least=1) for case in cases
            ],
            "The full set of the others is missing: sizes go from 0 to players - 1.": [
                _sets(*case, weight=lambda size, n: proper(size, n) * (size < n - 1)) for case in cases
            ],
            "The division by n! is missing, or the weights of a size were not shared among its sets.": [
                _sets(*case, weight=lambda size, n: factorial(size) * factorial(n - size - 1)) for case in cases
            ],
            "Each set has the weight 1 / n, which belongs to all sets of its size together. Divide it among them.": [
                _sets(*case, weight=lambda size, n: 1 / n) for case in cases
            ],
            "These are leave-one-out scores: only the full set of the others was asked about.": [
                _sets(*case, weight=lambda size, n: float(size == n - 1)) for case in cases
            ],
            "These are the gains over nobody: only the empty set was asked about.": [
                _sets(*case, weight=lambda size, n: float(size == 0)) for case in cases
            ],
            "The weights go with s! (n - s)! / n!: one player too many is counted. It is (n - s - 1)!.": [
                _sets(*case, weight=lambda size, n: factorial(size) * factorial(n - size) / factorial(n))
                for case in cases
            ],
            "The weights are turned round: these are those of KernelSHAP's regression, for another purpose.": [
                _sets(*case, weight=lambda size, n: (n - 1) / (comb(n, size) * max(size, 1) * (n - size)))
                for case in cases
            ],
            "The sign is turned: what the player adds, f(with) - f(without).": [-x for x in right],
        },
        names=[
            "the values of the chapter's game",
            "the values of a random game of four",
            "the values of a game of three",
        ],
    )
    passed("10, 2 and 2 in the example, and the mean over all orders in random games")


def shares(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "only if the logit with no words at all were zero, which it seldom is.",
            "b": "f(all) - f(none) is what there is to share out, and all of it is shared.",
            "c": "a sum of scores counts nothing; large and small ones, for and against, are all in it.",
            "d": "a single loss, however large, is not the sum of all shares.",
        },
    )


@quiet()
def similarity(student: Callable, seed: int = 0) -> None:
    by_hand = torch.tensor([[True, False, False, False], [True, True, True, True], [True, True, False, False]])
    drawn = torch.rand(6, 5, generator=torch.Generator().manual_seed(seed)) < 0.6
    cases = [(by_hand, 0.25), (drawn, 0.25), (drawn, 0.7)]

    def weights(kept, sigma, distance=lambda share: 1 - share.sqrt()):
        return (-(distance(kept.double().mean(1)) ** 2) / sigma**2).exp()

    judge_all(
        tensors([call(student, *case) for case in cases], "(texts,)"),
        [weights(*case) for case in cases],
        {
            "The root is missing: D = 1 - √(m / n).": [
                weights(*case, distance=lambda share: 1 - share) for case in cases
            ],
            "The distance was taken as √(m / n) itself: the whole text would be the farthest. D = 1 - √(m / n).": [
                weights(*case, distance=lambda share: share.sqrt()) for case in cases
            ],
            "The distance is not squared.": [(-(1 - k.double().mean(1).sqrt()) / s**2).exp() for k, s in cases],
            "Sigma is not squared.": [(-((1 - k.double().mean(1).sqrt()) ** 2) / s).exp() for k, s in cases],
            "The minus in the exponent is missing: far texts would weigh most.": [
                ((1 - k.double().mean(1).sqrt()) ** 2 / s**2).exp() for k, s in cases
            ],
            "These are the distances. The weights are exp(-D² / σ²).": [
                1 - k.double().mean(1).sqrt() for k, _ in cases
            ],
            "You averaged over the texts, not over the words: each row is one text.": [
                weights(k.T, s) for k, s in cases
            ],
            "Sigma is always 0.25. Use the one that is given.": [weights(k, 0.25) for k, _ in cases],
            "There is a 2 too many in the exponent: exp(-D² / σ²), not exp(-D² / 2σ²).": [
                weights(k, s * 2**0.5) for k, s in cases
            ],
        },
        names=["the weights of the example", "the weights of random texts", "the weights with sigma 0.7"],
    )
    passed("1 for the whole text, 0.018 for one word of four")


@quiet()
def weighted_fit(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    kept = torch.rand(14, 4, generator=draw) < 0.5
    kept[0], kept[1:5] = True, ~torch.eye(4, dtype=torch.bool)
    truth = torch.randn(4, generator=draw, dtype=torch.float64) * 2
    weights = torch.rand(14, generator=draw, dtype=torch.float64) + 0.05
    cases = [
        (torch.tensor([[True], [False]]), torch.tensor([5.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 0.1])),
        (kept, kept.double() @ truth + 1.5, weights),
        (kept, torch.randn(14, generator=draw, dtype=torch.float64) * 3, weights),
    ]

    def fit(z, y, w, constant=True, power=0.5, drop="last"):
        columns = z.double()
        if constant:
            columns = torch.cat([columns, torch.ones(len(z), 1, dtype=torch.float64)], 1)
        root = (w.double() ** power)[:, None]
        solved = torch.linalg.lstsq(columns * root, y[:, None] * root).solution[:, 0]
        return solved[:-1] if constant and drop == "last" else solved[1:] if drop == "first" else solved

    def ones_first(z, y, w):
        columns = torch.cat([torch.ones(len(z), 1, dtype=torch.float64), z.double()], 1)
        root = w.double().sqrt()[:, None]
        return torch.linalg.lstsq(columns * root, y[:, None] * root).solution[:-1, 0]

    def ones_unweighted(z, y, w):
        root = w.double().sqrt()[:, None]
        columns = torch.cat([z.double() * root, torch.ones(len(z), 1, dtype=torch.float64)], 1)
        return torch.linalg.lstsq(columns, y[:, None] * root).solution[:-1, 0]

    def half_weighted(z, y, w, which):
        columns = torch.cat([z.double(), torch.ones(len(z), 1, dtype=torch.float64)], 1)
        root = w.double().sqrt()[:, None]
        left, right = (columns * root, y[:, None]) if which == "left" else (columns, y[:, None] * root)
        return torch.linalg.lstsq(left, right).solution[:-1, 0]

    judge_all(
        tensors([call(student, *case) for case in cases], "(words,)"),
        [fit(*case) for case in cases],
        {
            "The column of ones is missing: a sum without a constant has to be zero where all words are gone.": [
                fit(*case, constant=False) for case in cases
            ],
            "The weights are missing: every text counts the same.": [fit(*case, power=0) for case in cases],
            "The weights went in whole on both sides, so that they count squared. Take their roots.": [
                fit(*case, power=1) for case in cases
            ],
            "The constant is still among the scores. Leave it out of what you return.": [
                fit(*case, drop="none") for case in cases
            ],
            "The wrong entry was left out: the constant belongs to the column of ones.": [
                fit(*case, drop="first") for case in cases
            ],
            "The constant is among the scores: the column of ones came first, and the last column was left out. Leave "
            "out the one that belongs to the ones.": [ones_first(*case) for case in cases],
            "The column of ones was not weighted. Weigh every entry of a row, that of the ones too.": [
                ones_unweighted(*case) for case in cases
            ],
            "Only the rows were weighted, not the values.": [half_weighted(*case, which="left") for case in cases],
            "Only the values were weighted, not the rows.": [half_weighted(*case, which="right") for case in cases],
        },
        tolerance=1e-4,
        names=["the score of the example's word", "the scores where f is a sum", "the scores of random values"],
    )
    passed("3 in the example, the true scores where f is a sum, and the best ones where it is not")


@quiet()
def reduce_text(student: Callable, seed: int = 0) -> None:
    def twins(kept: torch.Tensor) -> float:
        a, b, c, d = kept.tolist()
        return 5.0 * (a or b) + 3.0 * c + 0.5 * d

    def added(kept: torch.Tensor) -> float:
        return float(kept.double() @ torch.tensor([5.0, 2.0, 4.0, 1.0, 3.0], dtype=torch.float64))

    def steps(says: Callable, f: Game, n: int, pick=max, stop=True, one_more=False):
        kept = torch.ones(n, dtype=torch.bool)
        answer = says(kept)
        while kept.sum() > 1:
            best = pick([kept & everybody(n, i) for i in kept.nonzero()[:, 0].tolist()], key=f)
            if stop and says(best) != answer:
                return best if one_more else kept
            kept = best
        return kept

    def once(says: Callable, f: Game, n: int, least=1, stop=True, last_first=False):
        """With the scores of the start: at the first word that is needed it stops, or tries the others too."""
        kept = torch.ones(n, dtype=torch.bool)
        players = range(n)[::-1] if last_first else range(n)
        for player in sorted(players, key=lambda i: -f(everybody(n, i))):
            shorter = kept & everybody(n, player)
            if shorter.sum() >= least and says(shorter) == says(everybody(n)):
                kept = shorter
            elif stop:
                break
        return kept

    def last_of_equals(options: list, key: Callable):
        return max(options[::-1], key=key)

    def another(says: Callable, f: Game, n: int, pick=max):
        """Where the least costly word is needed, the next one is tried."""
        kept = torch.ones(n, dtype=torch.bool)
        while kept.sum() > 1:
            shorter = [kept & everybody(n, i) for i in kept.nonzero()[:, 0].tolist()]
            spare = [each for each in shorter if says(each) == says(everybody(n))]
            if not spare:
                break
            kept = pick(spare, key=f)
        return kept

    table = torch.rand(64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    sizes = torch.tensor([bin(number).count("1") for number in range(64)])
    random = table_game(table + 0.4 * sizes)
    cases = [
        (lambda kept: "yes" if twins(kept) >= 8 else "no", twins, 4),
        (lambda kept: "yes" if random(kept) > 1.4 else "no", random, 6),
        (lambda kept: "yes" if added(kept) >= 12 else "no", added, 5),
        (
            lambda kept: "same",
            lambda kept: float(kept.double() @ torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)),
            3,
        ),
        (
            lambda kept: "yes" if kept[0] else "no",
            lambda kept: float(kept.double() @ torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)),
            4,
        ),
    ]

    def once_to_the_end(least: int, last_first: bool, stop: bool = True) -> list:
        return [once(*case, least=least, last_first=last_first, stop=stop) for case in cases]

    forms = list(product((1, 0), (False, True)))
    values = tensors([call(student, *case) for case in cases], "(players,)")
    judge_all(
        values,
        [steps(*case) for case in cases],
        {
            "The answer changed with the last word that was taken away. Put it back: keep what still gives the same "
            "answer.": [steps(*case, one_more=True) for case in cases],
            "The scores were taken once, at the start. A word that was spare may be needed once its twin is gone: take "
            "them anew after each step.": form_of(values, [once_to_the_end(*form) for form in forms]),
            "The scores were taken once, and where a word was needed you went on with another one.": form_of(
                values, [once_to_the_end(*form, stop=False) for form in forms]
            ),
            "Where the least costly word changed the answer, you went on with another one. Stop there.": form_of(
                values, [[another(*case, pick=pick) for case in cases] for pick in (max, last_of_equals)]
            ),
            "Of words that cost the same, the first one goes.": [steps(*case, pick=last_of_equals) for case in cases],
            "The word that costs most was taken first. Take the one that costs least.": [
                steps(*case, pick=min) for case in cases
            ],
            "The answer was never asked for again: only one word is left.": [
                steps(*case, stop=False) for case in cases
            ],
            "Nothing was taken away.": [torch.ones(n) for *_, n in cases],
            "These are the players that went. Return those that are left.": [~steps(*case) for case in cases],
        },
        names=[
            "who is left where two words are twins",
            "who is left in a random game",
            "who is left of five",
            "who is left where no word matters",
            "who is left where the least costly word changes the answer",
        ],
    )
    passed("the least costly word goes first, scores are taken anew, and the answer never changes")
