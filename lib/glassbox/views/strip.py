"""The token strip: a text whose words carry their scores, and a switch between the methods that gave them."""

from __future__ import annotations

from collections.abc import Sequence

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.views.view import Table, View, label, rounded


def token_strip(
    attributions: Attribution | Sequence[Attribution],
    *,
    names: Sequence[str] | None = None,
    evidence: Sequence[bool] | None = None,
    title: str | None = None,
) -> View:
    """One text with its tokens coloured by attribution; several attributions of the same text can be switched between.

    names:     what to call each of them, where it is not the method.
    evidence:  one truth value per token; these are marked.

    Words that are several tokens are merged on request. Raises InputError for attributions of different texts.
    """
    several = [attributions] if isinstance(attributions, Attribution) else list(attributions)
    if not several:
        raise InputError("there is no attribution; allowed: one, or a list of several of one text")
    tokens = several[0].tokens
    if any(each.tokens != tokens for each in several):
        raise InputError("the attributions are of different texts; allowed: one text")
    names = [each.method for each in several] if names is None else list(names)
    if len(names) != len(several):
        raise InputError(f"there are {len(names)} names; allowed: {len(several)}, one for each attribution")
    marks = [False] * len(tokens) if evidence is None else [bool(each) for each in evidence]
    if len(marks) != len(tokens):
        raise InputError(f"evidence has {len(marks)} entries; allowed: {len(tokens)}, one for each token")

    units = [_unit("token", several, marks)]
    spans = several[0].word_spans
    if any(stop - start > 1 for _, start, stop in spans):
        merged = [any(marks[start:stop]) for _, start, stop in spans]
        units.append(_unit("word", [each.words() for each in several], merged))
    data = {
        "names": names,
        "headings": [each.heading for each in several],
        "units": units,
        "evidence": evidence is not None,
    }
    rows = [
        [label(token) + (" (evidence)" if mark else ""), *(f"{float(each.scores[place]):.3f}" for each in several)]
        for place, (token, mark) in enumerate(zip(tokens, marks, strict=True))
    ]
    asked = dict.fromkeys(each.heading.removeprefix(f"{each.method}: ") for each in several)  # mostly one question
    return View(
        "token_strip",
        title or (several[0].heading if len(several) == 1 else "What each method says of each token"),
        data,
        [Table(f"Scores of the tokens: {'; '.join(asked)}", ["token", *names], rows)],
        lambda title: _figure(several, names, evidence, title),
    )


def _unit(what: str, attributions: Sequence[Attribution], marks: Sequence[bool]) -> dict:
    """The strip's pieces, by tokens or by words, with the scores of each attribution."""
    pieces = attributions[0].tokens
    # Words are given without the space that stands before them.
    shown = [label(piece) if what == "token" or not place else f" {label(piece)}" for place, piece in enumerate(pieces)]
    return {
        "what": what,
        "pieces": shown,
        "scores": [rounded(each.scores) for each in attributions],
        "marks": [place for place, mark in enumerate(marks) if mark],
    }


def _figure(attributions, names, evidence, title):
    from glassbox import figures  # matplotlib loads when something is drawn, not before

    if len(attributions) == 1:
        return figures.token_bars(attributions[0], title=title, evidence=evidence)
    return figures.token_strip(attributions, title=title, names=names)
