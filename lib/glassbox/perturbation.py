"""Perturbation: what happens to the prediction when words are taken away?

The oldest question that can be put to a model, and one that looks at nothing but its answers:

    leave one out      s_i = f(x) - f(x without token i)
    sliding window     s_w = f(x) - f(x without the tokens of window w),   s_i = mean of s_w over the windows w around i

A positive score: the token spoke for the target. Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional
Networks", section 4, slid a grey window over an image; Li, Monroe and Jurafsky 2016, "Understanding Neural Networks
through Representation Erasure", section 4, erased words.

What it can't tell you: what words do together. If either of two words is enough, taking away one changes nothing, and
both score zero; a window sees neighbours only. `glassbox.surrogates` asks about sets of words. The scores depend on
how a word is taken away, see `glassbox.removal`, and they need not add up to f.
"""

from __future__ import annotations

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.game import Coalitions, Game
from glassbox.methods import method
from glassbox.question import Question


def leave_one_out(f: Coalitions, players: int) -> torch.Tensor:
    """How much does f fall when one player is taken away? (players,); f: kept (n, players) bool -> (n,)."""
    return fall(f, torch.eye(players, dtype=torch.bool))


def fall(f: Coalitions, removed: torch.Tensor) -> torch.Tensor:
    """f with everyone minus f without those removed, (n,); removed: bool (n, players), one set to a row."""
    everyone = torch.ones_like(removed[:1])
    values = f(torch.cat([everyone, ~removed]))  # (1 + n,)
    return values[0] - values[1:]


def windows(players: int, window: int, stride: int = 1) -> torch.Tensor:
    """Which players each window covers, bool (window, players).

    The first begins at the first player, each next one `stride` later; the last ends with the last player, and may be
    shorter. Raises InputError for a window or stride below 1, and for a stride that would leave players out.
    """
    if window < 1 or not 1 <= stride <= window:
        raise InputError(
            f"window is {window} and stride {stride}; allowed: 1 or more, the stride no wider than a window"
        )
    first = torch.arange(0, max(players - window, 0) + stride, stride)[:, None]  # (window, 1)
    player = torch.arange(players)
    return (first <= player) & (player < first + window)


def mean_over_windows(scores: torch.Tensor, covered: torch.Tensor) -> torch.Tensor:
    """Each player's mean over the windows that cover it, (players,); scores: (window,), covered: (window, players)."""
    shares = covered.to(scores.dtype)
    return scores @ shares / shares.sum(dim=0)


@method("leave_one_out")
def explain_by_leave_one_out(
    question: Question, *, how: str = "delete", replacement: str | int | None = None, batch_size: int | None = None
) -> Attribution:
    """How much does f fall when one token is taken away?

    Tokens that the tokenizer adds around each text are never taken away and score 0. `details` say how it was done.
    Options and errors: as for `glassbox.removal.values_without`.
    """
    game = Game.of(question, how, replacement, batch_size)
    return game.answer("leave_one_out", leave_one_out(game, game.players))


@method("occlusion")
def explain_by_occlusion(
    question: Question,
    *,
    window: int = 3,
    stride: int = 1,
    how: str = "delete",
    replacement: str | int | None = None,
    batch_size: int | None = None,
) -> Attribution:
    """How much does f fall when a window of neighbouring tokens is taken away, on average over the windows around it?

    window, stride:  how many tokens a window covers, and how many lie between the beginnings of two.

    `details["windows"]` holds each window's first token and the token after its last, `details["window_scores"]`
    its score. Other options and errors: as for `windows` and for `glassbox.removal.values_without`.
    """
    game = Game.of(question, how, replacement, batch_size)
    covered = windows(game.players, window, stride)
    scores = fall(game, covered)  # (window,)
    spans = [(int(game.places[row][0]), int(game.places[row][-1]) + 1) for row in covered]
    details = {"windows": spans, "window_scores": scores.float()}
    return game.answer("occlusion", mean_over_windows(scores, covered), **details)
