"""Integrated gradients on other paths than the straight line, because points between words are no words.

Half-way between a baseline and a word lies an embedding that the model has never seen. These methods keep the integral
of `glassbox.integrated`, Σ_k ∇f(point_k) ⊙ move_k, and choose the points otherwise:

    DIG    from word to word: the next point lies near an embedding of the vocabulary, its anchor, which is sought among
           the neighbours of the last anchor. Sanyal and Ren 2021, "Discretized Integrated Gradients for Explaining
           Language Models", section 3.
    UDIG   the same, but anchors are sought among the neighbours of evenly spaced points on the straight line, so that
           they do not crowd around the word. Roy and Kundu 2024, "Uniform Discretized Integrated Gradients".
    SIG    one token at a time: a straight line for token i while the others stay as they are. Enguehard 2023,
           "Sequential Integrated Gradients", section 3.

In DIG and UDIG each coordinate has to move in one direction only, from the word's w to the baseline's w'. Where anchor
a lies outside, a step from the last point c replaces it (the papers' "monotonize"; m is the number of anchors):

    next c_d = a_d  if a_d lies between c_d and w'_d,  else  c_d - (c_d - w'_d) / m

An anchor fits well if most of its coordinates lie inside ("maxcount"), or if the others move it least ("greedy"). Both
compare it with the last anchor itself, not with c, as in the authors' programs.

What they can't tell you: DIG and UDIG add up slopes at a few points a long way from each other (a left Riemann sum), so
their gap is wide; `halvings` narrows it. SIG is complete for each token by itself: summed over the embedding, its score
is f(text) - f(text with the baseline at token i), which is what replacing the token, one run of the model, also gives.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.gradients import checked_count, settled_at_the_text, texts_at_a_time, value_of
from glassbox.integrated import (
    Baseline,
    Step,
    baseline_embeddings,
    completeness,
    path_integral,
    straight_path,
    values_at,
)
from glassbox.methods import method
from glassbox.question import Question
from glassbox.trace import undisturbed

STRATEGIES = ("greedy", "maxcount")


def anchored_path(
    words: torch.Tensor,
    baseline: torch.Tensor,
    vocabulary: torch.Tensor,
    strategy: str = "greedy",
    anchors: int = 30,
    neighbours: int = 50,
    uniform: bool = False,
) -> torch.Tensor:
    """From the baseline to the words by points near other words, both ends included; (anchors + 2, seq, width).

    words: ids (seq,). baseline: (seq, width). vocabulary: all embeddings, (token, width).
    neighbours: how many words around the last anchor (DIG) or around a point of the straight line (`uniform`, UDIG) are
    looked at. No word is an anchor twice, and the baseline is none; where no word is left, the path ends there.
    """
    starts, which = baseline.unique(dim=0, return_inverse=True)
    taken = torch.stack([(vocabulary == start).all(dim=-1) for start in starts])[which]  # (seq, token)
    x = anchor = vocabulary[words]  # (seq, width)
    points = [x]
    for left in range(anchors, 0, -1):
        taken.scatter_(1, words[:, None], True)
        centre = baseline + left / (anchors + 1) * (x - baseline) if uniform else anchor
        count = min(neighbours + (not uniform), len(vocabulary))  # an anchor's nearest neighbour is itself
        near = torch.cdist(centre, vocabulary).topk(count, largest=False).indices  # (seq, neighbour)
        last, following = anchor, baseline.clone()
        for i in range(len(words)):
            free = near[i][~taken[i, near[i]]]  # nearest first
            if len(free):
                words = words.clone()
                words[i] = free[misfit(vocabulary[free], last[i], baseline[i], strategy, anchors).argmin()]
                following[i] = vocabulary[words[i]]
        anchor = following
        points.append(monotonic(anchor, points[-1], baseline, anchors))
    return torch.stack([*points, baseline]).flip(0)


def misfit(
    candidates: torch.Tensor, last: torch.Tensor, baseline: torch.Tensor, strategy: str, anchors: int
) -> torch.Tensor:
    """How badly does each candidate (candidate, width) stand between the last anchor and the baseline? (candidate,)."""
    if strategy == "maxcount":
        return (~between(candidates, last, baseline)).sum(dim=-1)
    return (candidates - monotonic(candidates, last, baseline, anchors)).norm(dim=-1)


def between(point: torch.Tensor, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Which coordinates of a point lie between those of two others, ends included?"""
    return (point >= torch.minimum(one, other)) & (point <= torch.maximum(one, other))


def monotonic(anchor: torch.Tensor, last: torch.Tensor, baseline: torch.Tensor, anchors: int) -> torch.Tensor:
    """The anchor, with each coordinate that would turn back replaced with a small step from the last point."""
    return torch.where(between(anchor, last, baseline), anchor, last - (last - baseline) / anchors)


def riemann_steps(points: torch.Tensor, halvings: int = 0) -> Iterator[Step]:
    """The points but the last, each with the move to the next; halving puts a point in the middle of each move."""
    for _ in range(halvings):
        halves = torch.stack([points[:-1], (points[:-1] + points[1:]) / 2], dim=1).flatten(0, 1)
        points = torch.cat([halves, points[-1:]])
    yield from zip(points[:-1], points.diff(dim=0), strict=True)


def sequential_path(x: torch.Tensor, baseline: torch.Tensor, steps: int) -> Iterator[Step]:
    """For one token after the other, a straight line from its baseline to itself; the others stay and do not move."""
    for i in range(len(x)):
        for point, move in straight_path(x[i], baseline[i], steps):
            text, moves = x.clone(), torch.zeros_like(x)  # (seq, width)
            text[i], moves[i] = point, move
            yield text, moves


@method("discretised_integrated_gradients")
def explain_by_discretised_integrated_gradients(
    question: Question,
    *,
    baseline: Baseline = "mean",
    strategy: str = "greedy",
    anchors: int = 30,
    neighbours: int = 500,
    halvings: int = 3,
    batch_size: int | None = None,
) -> Attribution:
    """How much does each token add on a way from the baseline to the text that goes from word to word (DIG)?

    baseline:    see `integrated.baseline_embeddings`; the paper takes the padding token.
    strategy:    how an anchor is chosen, "greedy" or "maxcount", whose moves are longer and whose gap is wider.
    anchors:     how many, the paper's m.
    neighbours:  among how many words an anchor is sought.
    halvings:    how often each stretch between two points is halved, so that the sum comes closer to the integral. The
                 authors' programs take 0 or 1, which mostly leaves a gap of a tenth and more on a trained model.
    batch_size:  how many texts the model sees at a time; by default as many as make `gradients.TOKENS_AT_A_TIME`.

    `details`, warning and errors: as for integrated gradients.
    """
    options = (baseline, strategy, anchors, neighbours, halvings, batch_size)
    return _explain_by_anchors("discretised_integrated_gradients", question, False, *options)


@method("uniform_discretised_integrated_gradients")
def explain_by_uniform_discretised_integrated_gradients(
    question: Question,
    *,
    baseline: Baseline = "mean",
    strategy: str = "greedy",
    anchors: int = 30,
    neighbours: int = 50,
    halvings: int = 3,
    batch_size: int | None = None,
) -> Attribution:
    """How much does each token add on a way by words that lie near the straight line to the baseline (UDIG)?

    The options are those of discretised integrated gradients; the neighbours are those of evenly spaced points.
    """
    options = (baseline, strategy, anchors, neighbours, halvings, batch_size)
    return _explain_by_anchors("uniform_discretised_integrated_gradients", question, True, *options)


def _explain_by_anchors(name, question, uniform, baseline, strategy, anchors, neighbours, halvings, batch_size):
    if strategy not in STRATEGIES:
        raise InputError(f"strategy is {strategy!r}; allowed: {', '.join(map(repr, STRATEGIES))}")
    if isinstance(halvings, bool) or not isinstance(halvings, int) or halvings < 0:
        raise InputError(f"halvings is {halvings!r}; allowed: a whole number, 0 or more")
    checked_count("anchors", anchors)
    checked_count("neighbours", neighbours)
    with undisturbed(question.model):
        asked, x, output = settled_at_the_text(question)
        start = baseline_embeddings(question, baseline, x)
        layer = question.model.get_input_embeddings()
        with torch.no_grad():
            vocabulary = layer(torch.arange(layer.num_embeddings, device=x.device)).to(x)  # (token, width)
        points = anchored_path(question.ids[0], start, vocabulary, strategy, anchors, neighbours, uniform)
        f, size = value_of(asked), texts_at_a_time(asked, output, batch_size)
        scores = path_integral(f, riemann_steps(points, halvings), size).sum(dim=-1)  # (seq,)
        at_start, at_text = values_at(f, [start, x], size)
    details = completeness(name, scores.sum(), at_text - at_start, more="halvings", stacklevel=6)
    return question.answer(name, scores, output, baseline_value=float(at_start), **details)


@method("sequential_integrated_gradients")
def explain_by_sequential_integrated_gradients(
    question: Question, *, baseline: Baseline = "mean", steps: int = 20, batch_size: int | None = None
) -> Attribution:
    """How much does each token add on the straight way from its baseline to itself, while the others stay (SIG)?

    The options are those of integrated gradients. It takes as many gradients as there are tokens times steps. The
    paper divides the scores by their norm, which changes none against another; here they keep the unit of f.
    `details` hold the gaps of all tokens, added up, and their share of what should be explained.
    """
    name = "sequential_integrated_gradients"
    checked_count("steps", steps)
    with undisturbed(question.model):
        asked, x, output = settled_at_the_text(question)
        start = baseline_embeddings(question, baseline, x)
        f, size = value_of(asked), texts_at_a_time(asked, output, batch_size)
        scores = path_integral(f, sequential_path(x, start, steps), size).sum(dim=-1)  # (seq,)
        each = torch.eye(len(x), dtype=torch.bool, device=x.device)[:, :, None]  # (text, seq, 1)
        at_text, *without = values_at(f, [x, *(torch.where(one, start, x) for one in each)], size)
    details = completeness(name, scores, at_text - torch.stack(without))
    return question.answer(name, scores, output, **details)
