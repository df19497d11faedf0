"""Checks of chapter 08: pushes, hooks, mean difference, first component, projections, AUROC, perplexity, ablation.

Each check tries the case worked by hand in the chapter and others drawn from the seed, and names a mistake that
explains the answers to all of them.
"""

import math
from collections.abc import Callable
from functools import partial

import torch

from classroom.checks import Mistake, call, choice, judge, judge_all, passed, quiet
from classroom.checks.attention import drawn

HAND = torch.tensor([[3.0, 0.0], [3.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 1.0]])


def stacks(seed: int, positive: int, negative: int, width: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Two stacks of random texts which differ on average, and neither of which lies around zero."""
    shift, middle = drawn(seed + 2, width), drawn(seed + 3, width)
    return drawn(seed, positive, width) + middle + shift, drawn(seed + 1, negative, width) + middle - shift


@quiet()
def push(student: Callable, seed: int = 0) -> None:
    hand = torch.tensor([[[1.0, 0.0], [2.0, 2.0], [0.0, 3.0]]])
    vector = torch.tensor([1.0, -1.0])
    more, other = drawn(seed, 2, 5, 4), drawn(seed + 1, 4)
    cases = [(hand, vector, None), (hand, vector, [-1]), (more, other, None), (more, other, [0, 3]), (more, other, [2])]
    cases.append((more, other, []))

    def right(hidden, added, places):
        at = torch.zeros(hidden.shape[1], dtype=torch.bool)
        at[list(range(hidden.shape[1])) if places is None else places] = True
        return hidden + at[:, None] * added

    def first_text_only(hidden, added, places):
        return torch.cat([right(hidden, added, places)[:1], hidden[1:]])

    def replaced(hidden, added, places):
        at = right(torch.zeros_like(hidden), torch.ones_like(added), places)  # 1 where something was to be pushed
        return torch.where(at > 0, added.expand_as(hidden), hidden)

    judge_all(
        [call(student, *case) for case in cases],
        [right(*case) for case in cases],
        {
            "All places were pushed, whatever `places` says.": [right(h, v, None) for h, v, _ in cases],
            "An empty list names no place. Ask whether `places is None`.": [
                right(h, v, p or None) for h, v, p in cases
            ],
            "Nothing was pushed. Return the new tensor, not the one that you were given.": [h for h, _, _ in cases],
            "With places=None the last place alone was pushed. None stands for all.": [
                right(h, v, [-1] if p is None else p) for h, v, p in cases
            ],
            "With places=None nothing was pushed. None stands for all.": [
                right(h, v, p) if p else h for h, v, p in cases
            ],
            "The places that were not named were pushed, and those that were named were left.": [
                right(h, v, p) if p is None else right(h, v, None) - right(h, v, p) + h for h, v, p in cases
            ],
            "The stream was replaced by the vector. Add it to what is there.": [replaced(*case) for case in cases],
            "The vector was subtracted.": [right(h, -v, p) for h, v, p in cases],
            "Only the first text was pushed. The places are those of every text in the batch.": [
                first_text_only(*case) for case in cases
            ],
            "The vector was brought to length 1 first. Add it as it is.": [
                right(h, v / v.norm(), p) for h, v, p in cases
            ],
            "The result holds the pushed places alone. The other places belong to it, unchanged.": [
                right(h, v, p) if p is None else right(h, v, p)[:, p] for h, v, p in cases
            ],
        },
        names=["the example, pushed everywhere", "the example, pushed at the last place", "two random texts"]
        + [f"two random texts, pushed at {places}" for *_, places in cases[3:]],
    )
    passed("the vector is added at the places that were named, in each text, and nowhere else")


@quiet()
def edited(student: Callable, seed: int = 0) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)).double().requires_grad_(False)
    for place, weight in enumerate(model.parameters()):
        weight.copy_(drawn(seed + place, *weight.shape))
    block, run = model[0], partial(model, drawn(seed + 4, 2, 3, 4))

    def edit(hidden: torch.Tensor) -> torch.Tensor:
        if not isinstance(hidden, torch.Tensor):
            raise Mistake(f"`edit` was handed a {type(hidden).__name__} by a block that gives a tensor. Hand it that.")
        return 2 * hidden + hidden.roll(1, -1)

    def with_hook(place, hook) -> torch.Tensor:
        handle = place(hook)
        try:
            return run()
        finally:
            handle.remove()

    after, before = block.register_forward_hook, block.register_forward_pre_hook
    as_it_is = run()
    right = with_hook(after, lambda module, inputs, output: edit(output))
    mistakes = {
        "Nothing was changed: the hook has to return what takes the output's place.": as_it_is,
        "The edit was applied twice. Is there one hook, and does it call `edit` once?": with_hook(
            after, lambda module, inputs, output: edit(edit(output))
        ),
        "What goes into the block was edited. Edit what it gives: register_forward_hook.": with_hook(
            before, lambda module, inputs: (edit(inputs[0]), *inputs[1:])
        ),
        "What run() returns was edited. Edit what the block gives while run() is under way.": edit(as_it_is),
    }
    count = len(block._forward_hooks), len(block._forward_pre_hooks)
    _tensor(student, seed)
    try:
        for again in ("", ", asked again"):
            value = call(student, block, edit, run)
            if isinstance(value, tuple | list) and len(value) == 2:
                raise Mistake("Return what run() returned, and nothing else beside it.")
            judge(value, right, mistakes, name=f"what run() returns{again}")
            if (len(block._forward_hooks), len(block._forward_pre_hooks)) != count:
                raise Mistake(
                    "The hook is still on the block when the function has returned: the next run is edited too."
                )
        _tuple(student, seed)
        _stopped(student, block, run, count)
    finally:
        block._forward_hooks.clear()
        block._forward_pre_hooks.clear()
    passed("what the block gives is edited, tensor or tuple, and no hook stays, also after an error")


def _tensor(student: Callable, seed: int) -> None:
    block, x = torch.nn.Identity(), drawn(seed + 2, 1, 4, 3)
    value = call(student, block, lambda hidden: hidden, partial(block, x))
    if isinstance(value, tuple) and len(value) == 1:
        raise Mistake("The block gives a tensor, and after the edit a tuple came. Look: `isinstance(output, tuple)`.")


def _tuple(student: Callable, seed: int) -> None:
    block, x = torch.nn.MaxPool1d(2, return_indices=True), drawn(seed + 5, 1, 3, 6)
    stream, rest = block(x)

    def edit(hidden: torch.Tensor) -> torch.Tensor:
        if not isinstance(hidden, torch.Tensor):
            raise Mistake(
                f"`edit` was handed a {type(hidden).__name__}: the block gives one, and its first item is the stream."
            )
        return hidden + 1

    value = call(student, block, edit, partial(block, x))
    if not isinstance(value, tuple):
        raise Mistake(
            "The block gives a tuple, and after the edit a tensor came. Hand on a tuple, its first item the edited "
            "stream."
        )
    if len(value) != 2 or not isinstance(value[1], torch.Tensor) or not torch.equal(value[1], rest):
        raise Mistake("The block gives a tuple, and the rest of it was lost. Only the first item is edited.")
    judge(
        value[0],
        stream + 1,
        {"Where the block gives a tuple, nothing was changed.": stream},
        name="the stream of a block that gives a tuple",
    )


def _stopped(student: Callable, block: torch.nn.Module, run: Callable, count: tuple[int, int]) -> None:
    def stops(hidden: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the run stopped")

    try:
        student(block, stops, run)
    except Exception as error:
        if "the run stopped" not in str(error):
            raise Mistake(f"run() stopped with an error; what came out is {type(error).__name__}: {error}") from None
    else:
        raise Mistake("run() stopped with an error, and nobody heard of it: let the error go on to whoever called.")
    if (len(block._forward_hooks), len(block._forward_pre_hooks)) != count:
        raise Mistake("When run() stops with an error, the hook stays on the block. Remove it under `finally:`.")


@quiet()
def mean_difference(student: Callable, seed: int = 0) -> None:
    cases = [HAND, stacks(seed, 4, 7), stacks(seed + 10, 6, 5)]

    def unit(x: torch.Tensor) -> torch.Tensor:
        return x / x.norm()

    judge_all(
        [call(student, *case) for case in cases],
        [p.mean(0) - n.mean(0) for p, n in cases],
        {
            "The sign is turned: positive less negative.": [n.mean(0) - p.mean(0) for p, n in cases],
            "The sums were subtracted. The stacks may differ in size, so take means.": [
                p.sum(0) - n.sum(0) for p, n in cases
            ],
            "The difference was brought to length 1. Its length says how far apart the stacks are: keep it.": [
                unit(p.mean(0) - n.mean(0)) for p, n in cases
            ],
            "Each text was brought to length 1 first. Take the activations as they are.": [
                (p / p.norm(dim=1, keepdim=True)).mean(0) - (n / n.norm(dim=1, keepdim=True)).mean(0) for p, n in cases
            ],
            "That is the mean of the positive texts alone.": [p.mean(0) for p, _ in cases],
            "The mean of all texts was subtracted, positive ones included.": [
                p.mean(0) - torch.cat([p, n]).mean(0) for p, n in cases
            ],
            "The means were added.": [p.mean(0) + n.mean(0) for p, n in cases],
            "Medians were taken. Take means.": [p.median(0).values - n.median(0).values for p, n in cases],
            "The mean went over all numbers. Keep the width: the mean over the texts.": [
                p.mean() - n.mean() for p, n in cases
            ],
            "The first texts were paired and the rest left out. All texts count.": [
                (p[: min(len(p), len(n))] - n[: min(len(p), len(n))]).mean(0) for p, n in cases
            ],
        },
        names=["the vector of the example", "the vector of four and seven texts", "the vector of six and five texts"],
    )
    passed("mean of the positive less mean of the negative: (2, 0) in the example")


@quiet()
def along(student: Callable, seed: int = 0) -> None:
    cases = [
        (torch.cat(HAND), torch.tensor([2.0, 0.0])),
        (drawn(seed, 6, 4), 3 * drawn(seed + 1, 4)),
        (drawn(seed + 2, 4, 4), -0.2 * drawn(seed + 3, 4)),
    ]
    judge_all(
        [call(student, *case) for case in cases],
        [s @ v / v.norm() for s, v in cases],
        {
            "The vector's length counts: divide it by its norm first.": [s @ v for s, v in cases],
            "It was divided by the squared length. That counts in vectors; v / ‖v‖ has length 1.": [
                s @ v / v.norm() ** 2 for s, v in cases
            ],
            "That is the cosine: the texts' own lengths were divided out too.": [
                torch.cosine_similarity(s, v[None], dim=1) for s, v in cases
            ],
            "Absolute values were taken. Which side a text lies on is the point.": [
                (s @ v / v.norm()).abs() for s, v in cases
            ],
            "These are the projected vectors. Return how far along each text lies, one number for each.": [
                (s @ v)[:, None] * v / v.norm() ** 2 for s, v in cases
            ],
            "The sign is turned.": [-s @ v / v.norm() for s, v in cases],
            "These are the distances from the vector.": [(s - v).norm(dim=1) for s, v in cases],
            "The texts' mean was subtracted. Take the states as they are.": [
                (s - s.mean(0)) @ v / v.norm() for s, v in cases
            ],
            "The vector was divided by its largest number, not by its length.": [
                s @ v / v.abs().max() if len(v) > 2 else s @ v / v.sum() for s, v in cases
            ],
        },
        names=["the example", "six random texts", "four random texts and a short vector"],
    )
    passed("the part of each text along the direction, whatever the vector's length")


@quiet()
def beyond_line(student: Callable, seed: int = 0) -> None:
    hand = torch.tensor([2.5, 1.0, 5.0]), torch.tensor([4.0, 2.0]), torch.tensor([0.0, 2.0, 1.0])
    cases = [hand]
    for number, (m, n) in enumerate(((3, 12), (12, 3), (2, 9), (8, 4))):
        start = seed + 10 * number
        middle, apart = 5 - 4 * number, 2 + number
        few = torch.tensor([6.0])  # one text far out, so that mean and median part
        positive = torch.cat([drawn(start, m - 1) + middle + apart, few * (number + 1) + middle])
        negative = drawn(start + 1, n) + middle - apart
        cases.append((torch.linspace(middle - 7.3, middle + 12.1, 200, dtype=torch.float64), positive, negative))

    def beyond(line: Callable) -> list[torch.Tensor]:
        return [x > line(x, p, n) for x, p, n in cases]

    def middle_of(x, p, n):
        return (p.mean() + n.mean()) / 2

    values = []
    for case in cases:
        value = call(student, *case)
        if isinstance(value, list | tuple):
            raise Mistake("Return a tensor of truth values, not a list: `positions > ...`.")
        if isinstance(value, torch.Tensor) and value.dtype != torch.bool and value.shape == case[0].shape:
            raise Mistake("Return truth values, one for each of the new texts: `positions > ...`.")
        values.append(value)
    judge_all(
        values,
        [x.bool() for x in beyond(middle_of)],
        {
            "The line was drawn at zero. Draw it halfway between the stacks.": beyond(lambda x, p, n: 0.0),
            "The line was drawn at the mean of all texts, so the larger stack drew it to its side.": beyond(
                lambda x, p, n: torch.cat([p, n]).mean()
            ),
            "The line was drawn in the middle of the new texts. It belongs to the two stacks.": beyond(
                lambda x, p, n: x.mean()
            ),
            "The sides are exchanged: what lies farther along is positive.": [~each for each in beyond(middle_of)],
            "The line was drawn at the mean of the positive texts.": beyond(lambda x, p, n: p.mean()),
            "The line was drawn at the mean of the negative texts.": beyond(lambda x, p, n: n.mean()),
            "The line was drawn between the medians. Take the means.": beyond(
                lambda x, p, n: (p.median() + n.median()) / 2
            ),
            "The line was drawn between the outermost texts. Take the means.": beyond(
                lambda x, p, n: (p.min() + n.max()) / 2
            ),
            "The line was drawn at half the distance of the stacks, counted from zero. Take the middle.": beyond(
                lambda x, p, n: (p.mean() - n.mean()) / 2
            ),
            "The new texts have to lie beyond the sum of the means. Take half of it.": beyond(
                lambda x, p, n: p.mean() + n.mean()
            ),
            "That is the line. Return which of the new texts lie beyond it.": [middle_of(*case) for case in cases],
        },
        names=["the verdicts of the example", *(f"the verdicts of new texts, draw {n}" for n in range(1, 5))],
    )
    passed("the line lies halfway between the means of the stacks: at 2 in the example")


@quiet()
def in_spreads(student: Callable, seed: int = 0) -> None:
    hand = HAND[0], HAND[1][:2]
    cases = [
        (*hand, torch.tensor([2.0, 0.0]), 2.0),
        (*stacks(seed, 6, 9), 4 * drawn(seed + 5, 5), -1.5),
        (*stacks(seed + 7, 5, 4), 0.1 * drawn(seed + 6, 5), 1.0),
    ]

    def pushes(size: Callable) -> list[torch.Tensor]:
        """size(positive, negative, direction of length 1, vector) -> the length of a push of strength 1."""
        return [s * size(p, n, v / v.norm(), v) * v / v.norm() for p, n, v, s in cases]

    judge_all(
        [call(student, *case) for case in cases],
        pushes(lambda p, n, u, v: (torch.cat([p, n]) @ u).std()),
        {
            "The vector's length is still in the push. Divide the vector by its norm.": pushes(
                lambda p, n, u, v: (torch.cat([p, n]) @ u).std() * v.norm()
            ),
            "The strength was multiplied by the vector. Its unit is the texts' spread along it.": pushes(
                lambda p, n, u, v: v.norm()
            ),
            "The push has the strength as its length: the spread is missing.": pushes(lambda p, n, u, v: 1.0),
            "The squared distances were divided by the number of texts. `std` of torch divides by one less.": pushes(
                lambda p, n, u, v: (torch.cat([p, n]) @ u).std(correction=0)
            ),
            "The spread of the positive texts was taken. It is that of all texts together.": pushes(
                lambda p, n, u, v: (p @ u).std()
            ),
            "The spreads within the two stacks were averaged. Put the stacks together first.": pushes(
                lambda p, n, u, v: ((p @ u).std() + (n @ u).std()) / 2
            ),
            "The variance was taken. The spread is its root.": pushes(lambda p, n, u, v: (torch.cat([p, n]) @ u).var()),
            "The unit is the mean length of the texts. It is their spread along the vector.": pushes(
                lambda p, n, u, v: torch.cat([p, n]).norm(dim=1).mean()
            ),
            "The standard deviation of all numbers was taken. Project the texts on the vector first.": pushes(
                lambda p, n, u, v: torch.cat([p, n]).std()
            ),
            "That is the length of the push. Return the push itself, (width,).": [
                s * (torch.cat([p, n]) @ (v / v.norm())).std() for p, n, v, s in cases
            ],
            "A negative strength pushes the same way as a positive one.": [
                abs(s) * (torch.cat([p, n]) @ (v / v.norm())).std() * v / v.norm() for p, n, v, s in cases
            ],
        },
        names=["a push of 2 in the example", "a push of -1.5", "a push of 1 along a short vector"],
    )
    passed("strength times the spread along the vector: (2.31, 0) in the example")


def control(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the model gives the same answer each time, so there is no noise in it to be found.",
            "b": "size alone can turn an answer. Only a push as large in another direction tells the two apart.",
            "c": "it turned hardly any verdict here, and choosing the best of many tries would need a test of its own.",
            "d": "the scale is the texts' spread along the vector, which is measured without any random direction.",
        },
    )


@quiet()
def first_component(student: Callable, seed: int = 0) -> None:
    offset = torch.tensor([[5.0, 2.0], [1.0, 7.0], [0.0, 3.0]])
    hand = offset + torch.tensor([[4.0, 1.0], [4.0, 0.0], [4.0, -1.0]]), offset
    cases = [hand]
    for number, sign in ((0, 1), (1, -1), (2, 1), (3, -1)):
        noise = drawn(seed + 20 + number, 7, 5) * torch.tensor([1.6, 0.4, 0.3, 0.2, 0.3])
        shared = sign * torch.nn.functional.normalize(drawn(seed + 40 + number, 5), dim=0) * 3
        base = drawn(seed + 60 + number, 7, 5) * 2
        cases.append((base + shared + noise, base))

    def component(rows, number=0):
        return torch.linalg.svd(rows, full_matrices=False).Vh[number]

    def towards(x, p, n):
        return x if x @ (p - n).mean(0) > 0 else -x

    values = [call(student, *case) for case in cases]
    rights = [towards(component(p - n), p, n) for p, n in cases]

    def as_given(makes):
        """What a mistake gives; where it leaves the sign open, with the sign of the student's own answer."""
        turned = []
        for value, (p, n) in zip(values, cases, strict=True):
            wrong = makes(p, n)
            if isinstance(value, torch.Tensor) and value.shape == wrong.shape and (value.double() * wrong).sum() < 0:
                wrong = -wrong
            turned.append(wrong)
        return turned

    def near(wrongs, least):
        """The student's own answers where they point nearly as the wrong ones do, otherwise the wrong ones."""
        pairs = list(zip(values, wrongs, strict=True))
        fit = all(isinstance(value, torch.Tensor) and value.shape == wrong.shape for value, wrong in pairs)
        fit = fit and all(
            torch.cosine_similarity(value.double(), wrong.double(), dim=0) > least for value, wrong in pairs
        )
        return values if fit else wrongs

    judge_all(
        values,
        rights,
        {
            "The sign points away from the mean difference.": [-right for right in rights],
            "The bug is still there: the differences were centred, and what the pairs share is gone.": as_given(
                lambda p, n: component((p - n) - (p - n).mean(0))
            ),
            "The sign was left as it came. Turn the direction so that it goes with the mean difference.": as_given(
                lambda p, n: component(p - n)
            ),
            "All texts were put in one stack, and the pairs were lost. Take that of the differences.": as_given(
                lambda p, n: component(torch.cat([p, n]) - torch.cat([p, n]).mean(0))
            ),
            "That is the component of the positive texts. Take that of the differences.": as_given(
                lambda p, n: component(p)
            ),
            "That is the direction that the pairs share least. The most shared one comes first.": as_given(
                lambda p, n: component(p - n, -1)
            ),
            "That is the second component. The first is wanted.": as_given(lambda p, n: component(p - n, 1)),
            "That is the mean difference of length 1. Take the first component.": [
                torch.nn.functional.normalize((p - n).mean(0), dim=0) for p, n in cases
            ],
            "The length is not 1: it was multiplied by the singular value.": [
                right * torch.linalg.svdvals(p - n)[0] for right, (p, n) in zip(rights, cases, strict=True)
            ],
            "The rows were read as columns: the third value of the svd holds the directions as rows.": as_given(
                lambda p, n: torch.linalg.svd(p - n, full_matrices=False).Vh[:, 0]
            ),
            "Close, but an estimate: `pca_lowrank` starts from random numbers. Use `torch.linalg.svd`.": near(
                rights, 0.99
            ),
            "The bug is still there: `pca_lowrank` centres the differences, and what the pairs share is gone.": near(
                as_given(lambda p, n: component((p - n) - (p - n).mean(0))), 0.9
            ),
        },
        names=["the component of the example", *(f"the component of random pairs, draw {n}" for n in range(1, 5))],
    )
    passed("what the pairs share, of length 1 and with the sign of the mean: (1, 0) in the example")


@quiet()
def perplexity(student: Callable, seed: int = 0) -> None:
    chances = torch.tensor([[0.25] * 4, [0.5, 0.3, 0.1, 0.1], [0.25] * 4, [0.625, 0.125, 0.125, 0.125], [0.25] * 4])
    ids = torch.tensor([0, 3, 0, 2, 1])
    ids_random = torch.randint(0, 9, (8,), generator=torch.Generator().manual_seed(seed))
    cases = [(chances.double().log() + 2.0, ids, 2), (drawn(seed, 8, 9) * 2, ids_random, 1)]
    cases.append((drawn(seed + 1, 8, 9) * 2, ids_random, 5))

    def chosen(logits, text, first, shift=1):
        rows = torch.arange(first, len(text))
        return logits.log_softmax(-1)[rows - shift, text[rows]]

    judge_all(
        [call(student, *case) for case in cases],
        [float((-chosen(*case).mean()).exp()) for case in cases],
        {
            "The logits at a word's own place were taken. Those at the place before are about it.": [
                float((-chosen(*case, shift=0).mean()).exp()) for case in cases
            ],
            "The prompt was counted too. Only the words from `first` on count.": [
                float((-chosen(logits, text, 1).mean()).exp()) for logits, text, _ in cases
            ],
            "Natural logarithms and a power of 2 were mixed. Use bits and 2, or natural ones and e.": [
                float(2 ** (-chosen(*case).mean())) for case in cases
            ],
            "Bits and a power of e were mixed. Use bits and 2, or natural logarithms and e.": [
                float((-chosen(*case).mean() / math.log(2)).exp()) for case in cases
            ],
            "The sum was divided by the length of the whole text. Divide by the number of words from `first` on.": [
                float((-chosen(*case).sum() / len(case[1])).exp()) for case in cases
            ],
            "The surprisals were summed. Take their mean before the power.": [
                float((-chosen(*case).sum()).exp()) for case in cases
            ],
            "That is the mean surprisal in bits. Perplexity is two to that power.": [
                float(-chosen(*case).mean() / math.log(2)) for case in cases
            ],
            "That is the mean surprisal in natural units. Perplexity is e to that power.": [
                float(-chosen(*case).mean()) for case in cases
            ],
            "The probabilities were averaged, and the mean turned over. Average the surprisals.": [
                float(1 / chosen(*case).exp().mean()) for case in cases
            ],
            "The inverse probabilities were averaged. Average the surprisals.": [
                float((-chosen(*case)).exp().mean()) for case in cases
            ],
            "The sign of the surprisal is missing: perplexity is at least 1.": [
                float(chosen(*case).mean().exp()) for case in cases
            ],
            "One word more was counted: `first` is the first that counts.": [
                float((-chosen(logits, text, max(first - 1, 1)).mean()).exp()) for logits, text, first in cases
            ],
            "One word too few was counted: the word at `first` counts.": [
                float((-chosen(logits, text, first + 1).mean()).exp()) for logits, text, first in cases
            ],
            "The perplexity of each word was returned. Return one number for the text.": [
                0.0 * chosen(*case) + (-chosen(*case)).exp() for case in cases
            ],
        },
        names=["the perplexity of three words", "that of a random text from its second token", "that of its end"],
    )
    passed("two to the power of the mean surprisal of the words that count")


def word(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "a capital has no verdict, and without the push the model names the right city.",
            "b": "a weaker push leaves the capital as it is. It is the strong one that says the word.",
            "c": "the vector says at every place what it said there. A vector that was read elsewhere need not do so.",
            "d": "without a push the next run is right again, so the hook is gone.",
        },
    )


@quiet()
def without(student: Callable, seed: int = 0) -> None:
    cases = [
        (torch.tensor([3.0, 4.0]), torch.tensor([2.0, 0.0])),
        (drawn(seed, 5, 4), 3 * drawn(seed + 1, 4)),
        (drawn(seed + 2, 2, 3, 4), 0.3 * drawn(seed + 3, 4)),
    ]

    def along_unit(h, v):
        return (h @ v / v.norm())[..., None] * v / v.norm()

    judge_all(
        [call(student, *case) for case in cases],
        [h - along_unit(h, v) for h, v in cases],
        {
            "The direction's length was forgotten: divide it by its norm before you use it.": [
                h - (h @ v)[..., None] * v for h, v in cases
            ],
            "The direction was divided by its norm in one of its two places only.": [
                h - (h @ v)[..., None] * v / v.norm() for h, v in cases
            ],
            "The direction itself was subtracted. Take out as much of it as there is in each state.": [
                h - v for h, v in cases
            ],
            "That is the part along the direction. Return what is left without it.": [
                along_unit(h, v) for h, v in cases
            ],
            "It was added, not taken out.": [h + along_unit(h, v) for h, v in cases],
            "That mirrors the stream. Take the part out once, not twice.": [h - 2 * along_unit(h, v) for h, v in cases],
            "Absolute values: what points the other way was pushed farther away.": [
                h - along_unit(h, v) * (h @ v).sign()[..., None] for h, v in cases
            ],
            "The stream was brought back to its old length. Leave it shorter.": [
                torch.nn.functional.normalize(h - along_unit(h, v), dim=-1) * h.norm(dim=-1, keepdim=True)
                for h, v in cases
            ],
            "Only where it points along the direction was it taken out. The opposite side goes too.": [
                h - along_unit(h, v) * ((h @ v) > 0)[..., None] for h, v in cases
            ],
            "Nothing was taken out.": [h for h, _ in cases],
        },
        names=["(3, 4) without (2, 0)", "five random states", "two random texts"],
    )
    passed("what is left is at right angles to the direction: (0, 4) in the example")


def reads(answer, seed: int = 0) -> None:
    choice(
        answer,
        "d",
        {
            "a": "the order is perfect, and the AUROC says so. The question is what the model makes of it.",
            "b": "something is computed besides, but nothing shows that it is the verdict, or that it is thrown away.",
            "c": "the same edit costs many plain reviews their verdict, so it works there.",
            "d": "reading asks what we can find in the stream, ablating what the model needs. Both have to be asked.",
        },
    )
