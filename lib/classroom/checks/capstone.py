"""Checks of chapter 09: words in front, votes, tests on a model, smallest changes, checked wording, and a safe report.

Toys stand for the model: functions whose answer to every text is known, so that every smaller change can be ruled out.
"""

import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from itertools import combinations, permutations, product
from operator import ge, gt
from random import Random

import torch

from classroom.checks import Mistake, call, choice, judge, judge_all, passed, quiet
from classroom.checks.perturbation import tensors


def _until(
    goal: float, order: torch.Tensor, amounts: torch.Tensor, reached: Callable[[float, float], bool] = ge
) -> list[int]:
    """The places in `order` that it takes until their amounts have reached the goal."""
    held, places = 0.0, []
    for place in order.tolist():
        if reached(held, goal):
            break
        places.append(place)
        held += float(amounts[place])
    return places


def _front(scores: torch.Tensor, share: float, reached: Callable[[float, float], bool] = ge) -> list[int]:
    sizes = scores.abs()
    return _until(share * float(sizes.sum()), sizes.argsort(descending=True), sizes, reached)


@quiet()
def front_words(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    # Whole numbers and binary shares, so that reaching a share exactly means the same in every order of adding.
    signed = (torch.randperm(40, generator=draw)[:9] + 1.0) * torch.tensor([1, -1, 1, 1, -1, 1, -1, -1, 1.0])
    inputs = {
        "scores 3, -5, 1.5, 0.5 with share 0.5": (torch.tensor([3.0, -5, 1.5, 0.5]), 0.5),
        "scores 3, -5, 1.5, 0.5 with share 0.6": (torch.tensor([3.0, -5, 1.5, 0.5]), 0.6),
        "scores 1, 8, 4, -3 with share 0.5": (torch.tensor([1.0, 8, 4, -3]), 0.5),
        "scores 2, -6, 7, 1, -4 with share 0.75": (torch.tensor([2.0, -6, 7, 1, -4]), 0.75),
        "nine words with share 0.8": (signed, 0.8),
    }

    def by_sign(scores: torch.Tensor, share: float) -> list[int]:
        return _front(scores.clamp(min=0), share)

    def signed_sum(scores: torch.Tensor, share: float) -> list[int]:
        return _until(share * float(scores.sum()), scores.argsort(descending=True), scores)

    def above(scores: torch.Tensor, share: float) -> list[int]:
        order = scores.abs().argsort(descending=True).tolist()
        return [place for place in order if float(scores[place].abs()) >= share * float(scores.abs().max())]

    def smallest(scores: torch.Tensor, share: float) -> list[int]:
        return _until(share * float(scores.abs().sum()), scores.abs().argsort(), scores.abs())

    mistakes = {
        "Words with negative scores were left out. Count absolute values: what speaks against the answer belongs to "
        "the story.": by_sign,
        "The scores were summed with their signs, and cancel. Share out the sum of the absolute values.": signed_sum,
        "There is one word too few: the share is not reached yet. Take the word that crosses the goal, too.": (
            lambda scores, share: _front(scores, share)[:-1]
        ),
        "There is one word too many where the share is reached exactly: `at least` is enough.": (
            lambda scores, share: _front(scores, share, gt)
        ),
        "These are all words near the largest one. The share is one of the sum, not of the largest score.": above,
        "The smallest scores came first. The fewest words are the ones with the largest.": smallest,
        "The right words, in the order of the text. Put the largest first.": (
            lambda scores, share: sorted(_front(scores, share))
        ),
        "This is a share of the number of words. Share out the scores.": (
            lambda scores, share: scores.abs().argsort(descending=True)[: round(share * len(scores))].tolist()
        ),
    }
    values = [call(student, scores, share) for scores, share in inputs.values()]
    judge_all(
        values,
        [_front(scores, share) for scores, share in inputs.values()],
        {message: [wrong(*given) for given in inputs.values()] for message, wrong in mistakes.items()},
        names=[f"the answer for {name}" for name in inputs],
    )
    judge(
        call(student, signed * -7, 0.8),
        _front(signed, 0.8),
        {},
        name="the words in front after all scores were multiplied by -7",
    )
    passed("the fewest words that hold the share, the largest first, whatever the units and the signs")


@quiet()
def votes(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    large = torch.randn(5, 7, generator=draw, dtype=torch.float64)
    large[:, 2] -= 4  # all methods agree on a word that speaks against the answer
    inputs = {
        "the two methods of the example": (torch.tensor([[2.0, -3, 1], [4, 0, 1]], dtype=torch.float64), 1),
        "five methods, k = 1": (large, 1),
        "five methods, k = 3": (large, 3),
    }

    def counted(places: torch.Tensor, words: int) -> torch.Tensor:
        return torch.bincount(places.flatten(), minlength=words).double()[:words]

    mistakes = {
        "Words with negative scores get no vote. Take absolute values before you look for the largest.": (
            lambda scores, k: counted(scores.topk(k, dim=1).indices, scores.shape[1])
        ),
        "These are votes for the smallest scores.": (
            lambda scores, k: counted(scores.abs().topk(k, dim=1, largest=False).indices, scores.shape[1])
        ),
        "`k` is not used: each method has one vote here, whatever k is.": (
            lambda scores, k: counted(scores.abs().topk(1, dim=1).indices, scores.shape[1])
        ),
        "This looks for the largest among the methods. Each method, a row, votes among its words: dim=1.": (
            lambda scores, k: counted(scores.abs().topk(min(k, len(scores)), dim=0).indices, scores.shape[1])
        ),
        "Divided by the number of methods, these are shares. Return how many methods.": (
            lambda scores, k: counted(scores.abs().topk(k, dim=1).indices, scores.shape[1]) / len(scores)
        ),
        "Scores were added. They have a different unit in each method, so count votes.": (
            lambda scores, k: scores.abs().sum(0)
        ),
        "Only whether a word has any vote is told. Count them.": (
            lambda scores, k: (counted(scores.abs().topk(k, dim=1).indices, scores.shape[1]) > 0).double()
        ),
    }
    values = [call(student, scores, k) for scores, k in inputs.values()]
    judge_all(
        values,
        [counted(scores.abs().topk(k, dim=1).indices, scores.shape[1]) for scores, k in inputs.values()],
        {message: [wrong(*given) for given in inputs.values()] for message, wrong in mistakes.items()},
        names=list(inputs),
    )
    passed("each method has k votes, and a strong score counts on either side of zero")


def _toy(answers: list[str], words: int) -> Callable[[torch.Tensor], str]:
    """The toy whose answer for each set of words stands in a list, at the number with the words as binary digits."""

    def says(kept: torch.Tensor) -> str:
        if not isinstance(kept, torch.Tensor) or kept.dtype != torch.bool or tuple(kept.shape) != (words,):
            raise Mistake("says takes a tensor of truth values, one for each word: torch.bool, (words,).")
        return answers[sum(1 << place for place, there in enumerate(kept.tolist()) if there)]

    return says


@quiet()
def enough_and_needed(student: Callable, seed: int = 0) -> None:
    random, inputs, names = Random(seed), [], []
    # The chapter's toy, and toys that answer at random: among many, each mistake shows somewhere.
    toy = ["yes" if number & 1 and number & 6 else "no" for number in range(8)]
    for chosen in ([True, True, False], [False, True, True], [False, True, False]):
        inputs.append((_toy(toy, 3), torch.tensor(chosen)))
        names.append(f"the example with words {[place for place, there in enumerate(chosen) if there]}")
    for number in range(24):
        answers = [random.choice(["yes", "no", "perhaps"]) for _ in range(16)]
        chosen = torch.tensor([random.random() < 0.5 for _ in range(4)])
        inputs.append((_toy(answers, 4), chosen))
        names.append(f"toy {number}")

    def pair(enough: bool, needed: bool) -> list[float]:
        return [float(enough), float(needed)]

    def right(says: Callable, chosen: torch.Tensor) -> list[float]:
        answer = says(torch.ones_like(chosen))
        return pair(says(chosen) == answer, says(~chosen) != answer)

    def whole(says: Callable, chosen: torch.Tensor) -> str:
        return says(torch.ones_like(chosen))

    mistakes = {
        "The two are the wrong way round: first enough, then needed.": lambda s, c: right(s, c)[::-1],
        "Needed is turned: it is true where the answer changes without the words.": (
            lambda s, c: pair(s(c) == whole(s, c), s(~c) == whole(s, c))
        ),
        "Enough and needed both come from keeping the words alone. Needed asks what happens without them.": (
            lambda s, c: pair(s(c) == whole(s, c), s(c) != whole(s, c))
        ),
        "Enough is asked of the text without the words. Keep them, and them only.": (
            lambda s, c: pair(s(~c) == whole(s, c), s(~c) != whole(s, c))
        ),
        "Needed compares the text without the words to the words alone. Compare it to the whole text.": (
            lambda s, c: pair(s(c) == whole(s, c), s(~c) != s(c))
        ),
        "Both are compared to the answer to no words at all. The answer to explain is that to the whole text.": (
            lambda s, c: pair(
                s(c) == s(torch.zeros_like(c)),
                s(~c) != s(torch.zeros_like(c)),
            )
        ),
        "Enough is turned: it is true where the words alone give the same answer.": (
            lambda s, c: pair(s(c) != whole(s, c), s(~c) != whole(s, c))
        ),
    }
    values = []
    for says, chosen in inputs:
        value = call(student, says, chosen)
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Mistake("Return two truth values: whether the words are enough, and whether they are needed.")
        values.append([float(bool(each)) for each in value])
    judge_all(
        values,
        [right(*given) for given in inputs],
        {message: [wrong(*given) for given in inputs] for message, wrong in mistakes.items()},
        names=names,
    )
    passed("enough asks about the words alone, needed about the text without them")


def _exchanges(options: dict[int, list[str]], size: int) -> list[dict[int, str]]:
    return [
        dict(zip(places, words, strict=True))
        for places in combinations(options, size)
        for words in product(*(options[place] for place in places))
    ]


def _written(changes: list[dict[int, str]]) -> list[str]:
    return sorted(" ".join(f"{place}:{change[place]}" for place in sorted(change)) for change in changes)


@quiet()
def exchanges(student: Callable, seed: int = 0) -> None:
    random = Random(seed)
    words = random.sample(["mild", "loud", "warm", "cold", "kind", "rude", "dull", "keen", "calm"], 6)
    inputs = {
        "the example, size 1": ({0: ["a", "b"], 2: ["c"]}, 1),
        "the example, size 2": ({0: ["a", "b"], 2: ["c"]}, 2),
        "three places, size 2": ({1: words[:2], 4: words[2:4], 5: words[4:]}, 2),
        "three places, size 3": ({1: words[:2], 4: words[2:4], 5: words[4:]}, 3),
    }

    def up_to(options: dict, size: int) -> list[dict]:
        return [change for smaller in range(1, size + 1) for change in _exchanges(options, smaller)]

    def in_order(options: dict, size: int) -> list[dict]:
        return [
            dict(zip(places, chosen, strict=True))
            for places in permutations(options, size)
            for chosen in product(*(options[place] for place in places))
        ]

    def merged(options: dict, size: int) -> list[dict]:
        pairs = [(place, word) for place in options for word in options[place]]
        return [dict(chosen) for chosen in combinations(pairs, size)]

    def first_only(options: dict, size: int) -> list[dict]:
        return [{place: options[place][0] for place in places} for places in combinations(options, size)]

    def in_step(options: dict, size: int) -> list[dict]:
        return [
            dict(zip(places, chosen, strict=True))
            for places in combinations(options, size)
            for chosen in zip(*(options[place] for place in places), strict=False)
        ]

    def neighbours(options: dict, size: int) -> list[dict]:
        places = list(options)
        runs = [places[first : first + size] for first in range(len(places) - size + 1)]
        return [
            dict(zip(run, chosen, strict=True))
            for run in runs
            for chosen in product(*(options[place] for place in run))
        ]

    mistakes = {
        "Smaller changes are among them. Exactly `size` places change.": up_to,
        "Changes occur more than once, in another order of their places. Use combinations of places.": in_order,
        "Two words were put into the same place, so that some changes are smaller. Choose places first.": merged,
        "Only the first word of each place was tried. Go through all of them.": first_only,
        "The words of two places go in step, the first with the first. Every word goes with every other.": in_step,
        "Only neighbouring places change together. Take every set of places.": neighbours,
    }
    for name, (options, size) in inputs.items():
        value = call(student, options, size)
        if not isinstance(value, list | tuple) or not all(isinstance(change, dict) for change in value):
            raise Mistake("Return a list of dicts, each from places to words.")
        if not value:
            raise Mistake(f"There is no change at all for {name}.")
    values = [_written(list(call(student, *given))) for given in inputs.values()]
    judge_all(
        values,
        [_written(_exchanges(*given)) for given in inputs.values()],
        {message: [_written(wrong(*given)) for given in inputs.values()] for message, wrong in mistakes.items()},
        names=list(inputs),
    )
    if list(call(student, {0: ["a"], 1: ["b"]}, 3)):
        raise Mistake("Three words can't be exchanged in two places: return an empty list there.")
    passed("each change once: 12 of size two and 8 of size three for three places with two words each")


@quiet()
def turned(student: Callable, seed: int = 0) -> None:
    draw = torch.Generator().manual_seed(seed)
    old, wanted = 2, [4, 5]
    rows = torch.tensor(
        [
            [0.4, 0.4, 1.0, 0.4, 0.4, 0.4],  # the old answer leads with less than half
            [0.0, 9.0, 3.0, 0.0, 4.0, 0.0],  # an unwanted one leads, a wanted one is ahead of the old
            [0.0, 1.0, 3.0, 0.0, 9.0, 0.0],  # a wanted one leads
            [0.0, 1.0, 3.0, 0.0, 0.0, 9.0],  # the other wanted one leads
            [0.0, 0.0, 9.0, 0.0, 5.0, 0.0],  # the old answer leads far
            [9.0, 0.0, -3.0, 0.0, 0.0, 0.0],  # an unwanted one leads, the old answer is last
        ]
    )
    many = torch.randn(60, 6, generator=draw) * 2
    inputs = {
        "any other answer": (rows, old, None),
        "wanted answers": (rows, old, wanted),
        "wanted answers, the old one among them": (rows, old, [2, 4, 5]),
        "no answer wanted": (rows, old, []),
        "sixty texts": (many, old, wanted),
        "sixty texts, any other answer": (many, old, None),
    }

    def said(logits: torch.Tensor) -> torch.Tensor:
        return logits.argmax(-1)

    def among(said: torch.Tensor, goal: list[int] | None) -> torch.Tensor:
        return torch.ones_like(said, dtype=torch.bool) if goal is None else torch.isin(said, torch.tensor(goal))

    def right(logits: torch.Tensor, answer: int, goal: list[int] | None) -> torch.Tensor:
        return (said(logits) != answer) & among(said(logits), goal)

    def ahead(logits: torch.Tensor, answer: int, goal: list[int] | None) -> torch.Tensor:
        rivals = [number for number in (range(logits.shape[1]) if goal is None else goal) if number != answer]
        best = torch.cat([logits[:, rivals], torch.full((len(logits), 1), -torch.inf)], 1).max(-1).values
        return best > logits[:, answer]

    mistakes = {
        "The bug is still there: a probability below 0.5 is no other answer. Ask what the model says.": (
            lambda x, answer, goal: x.softmax(-1)[:, answer] < 0.5
        ),
        "The new answer has to be a wanted one, where `wanted` is given.": (lambda x, answer, goal: said(x) != answer),
        "The old answer counts as soon as it is among the wanted ones. It never does.": (
            lambda x, answer, goal: (said(x) != answer) if goal is None else among(said(x), goal)
        ),
        "A wanted answer ahead of the old one is not enough: a third may lead. Ask what the model says.": ahead,
        "These are the texts that were not turned.": lambda *given: ~right(*given),
        "With an empty list of wanted answers none counts. Ask whether `wanted is None`.": (
            lambda x, answer, goal: right(x, answer, goal or None)
        ),
        "Without `wanted`, any other answer counts.": (lambda x, answer, goal: right(x, answer, goal or [])),
        "Only the first of the wanted answers counts. Any of them should.": (
            lambda x, answer, goal: right(x, answer, goal and [n for n in goal if n != answer][:1])
        ),
        "The least probable word was taken for the answer. It is the largest logit.": (
            lambda x, answer, goal: (x.argmin(-1) != answer) & among(x.argmin(-1), goal)
        ),
    }
    values = tensors([call(student, *given) for given in inputs.values()], "(texts,)")
    judge_all(
        [value.double() for value in values],
        [right(*given).double() for given in inputs.values()],
        {message: [wrong(*given).double() for given in inputs.values()] for message, wrong in mistakes.items()},
        names=list(inputs),
    )
    passed("a text is turned when the model says another answer, and one that counts")


def _smallest(says: Callable, words: list[str], options: dict, wanted: set[str], most: int) -> int:
    """The size of the smallest change that turns the answer; 0 if there is none."""
    old = says(words)
    for size in range(1, most + 1):
        for change in _exchanges(options, size):
            new = says([change.get(place, word) for place, word in enumerate(words)])
            if new != old and new in wanted:
                return size
    return 0


@quiet()
def smallest_change(student: Callable, seed: int = 0) -> None:
    random = Random(seed)
    words = ["the", "film", "was", "really", "good"]
    options = {1: ["book", "meal"], 3: ["hardly", "very", "never"], 4: ["bad", "fine", "dull"]}

    def review(text: list[str]) -> str:
        if text[1] == "meal":
            return "tasty"  # an answer to another question
        bad = text[4] in ("bad", "dull")
        return "negative" if bad != (text[3] in ("hardly", "never")) else "positive"

    def stubborn(text: list[str]) -> str:
        return "negative" if text[1] == "book" and text[4] == "dull" else "positive"

    secret = {place: random.choice(found) for place, found in options.items()}

    def three(text: list[str]) -> str:
        return "no" if all(text[place] == word for place, word in secret.items()) else "yes"

    verdicts = {"positive", "negative"}
    cases = [
        ("a review", review, verdicts, 2),
        ("a review where another answer is wanted", review, {"tasty"}, 2),
        ("a toy that needs two words", stubborn, verdicts, 2),
        ("a toy that needs two words, with most=1", stubborn, verdicts, 1),
        ("a toy that needs three words, with most=2", three, {"no"}, 2),
        ("a toy that needs three words, with most=3", three, {"no"}, 3),
        ("a toy that never says what is wanted", stubborn, {"neutral"}, 2),
    ]
    for name, says, wanted, most in cases:
        value = call(student, says, list(words), dict(options), set(wanted), most)
        if not isinstance(value, dict):
            raise Mistake("Return the change, a dict from places to words; an empty dict if there is none.")
        if any(place not in options or word not in options[place] for place, word in value.items()):
            raise Mistake(f"{name}: the change {value} puts a word where `options` does not allow it.")
        size = _smallest(says, words, options, wanted, most)
        old, new = says(words), says([value.get(place, word) for place, word in enumerate(words)])
        if len(value) > most:
            raise Mistake(f"{name}: {len(value)} words were exchanged, and `most` allows {most}.")
        if not value and size:
            raise Mistake(f"{name}: nothing was found, and a change of {size} word{'s' * (size > 1)} turns the answer.")
        if value and new == old:
            raise Mistake(f"{name}: after the change {value} the answer is still {old!r}. Nothing was turned.")
        if value and new not in wanted:
            raise Mistake(f"{name}: after the change {value} the answer is {new!r}, which is not a wanted one.")
        if len(value) > size:
            raise Mistake(
                f"{name}: the change {value} works, and a smaller one, of {size}, does too. Try small ones first."
            )
    passed("the change turns the answer to a wanted one, and no smaller one does")


def _held(explanation: str, important: list[str]) -> tuple[list[str], list[str]]:
    inside = explanation.split('"')[1::2]
    named = {word for piece in inside for word in re.findall(r"\w+", piece.lower())}
    front = {word.lower() for word in important}
    return sorted(front - named), sorted(named - front)


@quiet()
def held_against(student: Callable, seed: int = 0) -> None:
    names = Random(seed).sample(["lively", "noisy", "gentle", "costly", "bright", "hollow"], 3)
    inputs = [
        ('It read "Superb" and "weak".', ["superb", "despite"]),
        ('Because of "not superb," it fell.', ["Not", "superb"]),
        ('The word superb counts, and so does "party".', ["art", "superb"]),
        (f'Of "{names[0]}" and "{names[1]}" and again "{names[0]}".', [names[1], names[2]]),
        ('"zebra" before "apple", and "apple" before "zebra".', ["mango", "lemon"]),
        ("Nothing is quoted here.", ["superb"]),
    ]

    def pair(missed: list[str], unsupported: list[str]) -> str:
        return f"missed {', '.join(missed) or 'nothing'}; unsupported {', '.join(unsupported) or 'nothing'}"

    def by(words_of_explanation: Callable[[str], list[str]], lower: bool = True) -> Callable:
        def held(explanation: str, important: list[str]) -> str:
            named = set(words_of_explanation(explanation))
            front = {word.lower() for word in important} if lower else set(important)
            return pair(sorted(front - named), sorted(named - front))

        return held

    def quoted(explanation: str) -> list[str]:
        return explanation.split('"')[1::2]

    def substring(explanation: str, important: list[str]) -> str:
        inside = " ".join(quoted(explanation)).lower()
        missed = sorted(word.lower() for word in important if word.lower() not in inside)
        return pair(missed, _held(explanation, important)[1])

    def with_repeats(explanation: str, important: list[str]) -> str:
        front = [word.lower() for word in important]
        named = [word for piece in quoted(explanation) for word in re.findall(r"\w+", piece.lower())]
        return pair(sorted(set(front) - set(named)), sorted(word for word in named if word not in front))

    def unsorted(explanation: str, important: list[str]) -> str:
        front = [word.lower() for word in important]
        named = [word for piece in quoted(explanation) for word in re.findall(r"\w+", piece.lower())]
        once = dict.fromkeys(word for word in named if word not in front)
        return pair([word for word in front if word not in named], list(once))

    mistakes = {
        "The two lists are the wrong way round: first missed, then unsupported.": (
            lambda e, i: pair(*_held(e, i)[::-1])
        ),
        "Capital and small letters are told apart. Put both sides into small letters.": by(
            lambda e: [word for piece in quoted(e) for word in re.findall(r"\w+", piece)], lower=False
        ),
        "Words outside the quotation marks count here. Only what is quoted is named.": by(
            lambda e: re.findall(r"\w+", e.lower())
        ),
        "What stands between two quotation marks was taken as one word. Split it into words.": by(
            lambda e: [piece.lower() for piece in quoted(e)]
        ),
        "Only quotes of one word were found. Quotes may hold several words.": by(
            lambda e: [word.lower() for word in re.findall(r'"(\w+)"', e)]
        ),
        "The punctuation inside the quotes was left on the words.": by(
            lambda e: [word for piece in quoted(e) for word in piece.lower().split()]
        ),
        "An important word counts as named where it is a part of another one. Compare whole words.": substring,
        "A word that is quoted twice is in the list twice. Each word once.": with_repeats,
        "The lists are not sorted.": unsorted,
        "Words that are named without support are not reported.": lambda e, i: pair(_held(e, i)[0], []),
    }
    values = []
    for explanation, important in inputs:
        value = call(student, explanation, list(important))
        if not isinstance(value, tuple | list) or len(value) != 2 or isinstance(value[0], str):
            raise Mistake("Return two lists of words: those missed, and those named without support.")
        if not all(isinstance(word, str) for found in value for word in found):
            raise Mistake("The two lists hold strings.")
        values.append(pair(list(value[0]), list(value[1])))
    judge_all(
        values,
        [pair(*_held(*given)) for given in inputs],
        {message: [wrong(*given) for given in inputs] for message, wrong in mistakes.items()},
        names=[f"the answer for `{explanation}`" for explanation, _ in inputs],
    )
    passed("whole words between quotation marks, in small letters, against the important ones")


class _Row(HTMLParser):
    """What a browser makes of a row: its elements, and the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.cells: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append(tag)
        self.inside = tag == "td"
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


@quiet()
def table_row(student: Callable, seed: int = 0) -> None:
    number = Random(seed).randrange(100, 999) / 100
    for word, score, shown in (("superb", number, f"+{number:.2f}"), ("weak", -number, f"-{number:.2f}")):
        row = call(student, word, score)
        if not isinstance(row, str):
            raise Mistake("Return a string, the row's HTML.")
        found = _Row(row)
        if found.elements != ["tr", "td", "td"] or found.cells[0].strip() != word:
            raise Mistake(
                f"A row is one `tr` with two `td`, the word and the score. Yours for {word!r} is {row[:80]!r}."
            )
        if found.cells[1].strip() != shown:
            raise Mistake(f"The score shows as {found.cells[1].strip()!r}. It should be {shown!r}: sign, two decimals.")
    for word in ("<b>", "</td><script>alert(1)</script>", "a < b & c", "AT&amp;T", "5 > 4", 'the "best"'):
        row = call(student, word, number)
        found = _Row(row)
        if found.elements != ["tr", "td", "td"]:
            raise Mistake(f"The bug is still there: the word {word!r} became a part of the page's own markup.")
        read = found.cells[0]
        if read == escape(word) != word:
            raise Mistake(f"The word {word!r} was escaped twice: the reader sees {read!r}.")
        if read != word and len(read) < len(word) and "&" not in word:
            raise Mistake(f"Characters of {word!r} were thrown away: the reader sees {read!r}. Show the word as it is.")
        if read != word:
            raise Mistake(
                f"The reader sees {read!r} instead of {word!r}: an ampersand has a meaning of its own in HTML."
            )
    passed("whatever the word is made of, the reader sees it, and the page stays as it was")


def agree(answer: str) -> None:
    choice(
        answer,
        "b",
        {
            "a": "among the sentences above where three methods agree, every fourth such word is no evidence.",
            "b": "agreement helps, as the cell shows. But three methods that all come from one backward pass are "
            "not three witnesses.",
            "c": "the odd one out may be the one that is right; a vote does not tell.",
            "d": "the methods are ways to look, not ways in which the model works.",
        },
    )


def wanted(answer: str) -> None:
    choice(
        answer,
        "b",
        {
            "a": "it was, and the answer did change. But the question changed with it.",
            "b": "a full stop is no verdict. Say beforehand which answers count, and the change has to decide between "
            "them.",
            "c": "the number of words is not the trouble; two would break the question even more easily.",
            "d": "a probability would show the same: it fell because the sentence ended.",
        },
    )


def passes(answer: str) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the form says that the word *is* counted most, and passes, because the attribution says so too.",
            "b": "the check compares words with words. It can catch an invention, and it can't make an attribution "
            "faithful.",
            "c": "a list of words passes, and helps nobody.",
            "d": "the attribution is taken for granted here. Whether it is faithful takes another test, on the model.",
        },
    )
