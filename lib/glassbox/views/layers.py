"""The lens view: what the model would say after each layer, at each position."""

from __future__ import annotations

from collections.abc import Sequence

from glassbox.lens import LensReading
from glassbox.text import spell
from glassbox.views.view import Table, View, label, name, rounded


def lens(reading: LensReading, *, words: Sequence[str | int] = (), title: str | None = None) -> View:
    """A grid of layers by positions with each layer's top word, its five best, and the rank of a word across layers.

    reading:  what `glassbox.logit_lens` gives.
    words:    words (tokens or their ids) whose ranks can be followed at every position, besides the model's own answer
              there and each layer's top word.

    Raises InputError for a word that is not one token.
    """
    best = reading.logits.softmax(-1).topk(min(5, reading.logits.shape[-1]), dim=-1)  # (layer, position, 5)
    final = reading.final.argmax(-1).tolist()
    asked = [int(reading._numbers(word)[0]) for word in words]
    cells, followed = [], []
    for column, own in enumerate(final):
        cells.append([[ids, chances] for ids, chances in zip(best.indices[:, column].tolist(), rounded(best.values[:, column], 3), strict=True)])
        here = list(dict.fromkeys([own, *asked, *best.indices[:, column, 0].tolist()]))
        logits = reading.logits[:, column]  # (layer, vocabulary)
        ranks = [((logits > logits[:, [number]]).sum(-1) + 1).tolist() for number in here]
        followed.append([here, ranks])
    numbers = sorted({n for column in cells for ids, _ in column for n in ids} | {n for here, _ in followed for n in here})
    index = {number: place for place, number in enumerate(numbers)}
    data = {
        "lens": reading.name,
        "layers": reading.layers,
        "positions": reading.positions,
        "tokens": [label(reading.tokens[place]) for place in reading.positions],
        "words": [label(word) for word in spell(reading.tokenizer, numbers)],
        "cells": [[[[index[n] for n in ids], chances] for ids, chances in column] for column in cells],
        "followed": [[[index[n] for n in here], ranks] for here, ranks in followed],
        "asked": [index[n] for n in asked],
    }
    rows = [
        [
            f"layer {reading.layers[row]}",
            *(f"{data['words'][column[row][0][0]].strip()} {column[row][1][0]:.3f}" for column in data["cells"]),
        ]
        for row in reversed(range(len(reading.layers)))
    ]
    columns = ["layer", *(f"{place} {name(reading.tokens[place])}" for place in reading.positions)]
    return View(
        "lens",
        title or f"The {reading.name} at each layer",
        data,
        [
            Table(f"{reading.name}: each layer's top word for what follows each token, and its probability", columns, rows),
            Table(
                "The rank of the model's own answer at each layer",
                columns,
                [
                    [f"layer {reading.layers[row]}", *(str(ranks[0][row]) for _, ranks in data["followed"])]
                    for row in reversed(range(len(reading.layers)))
                ],
            ),
        ],
        reading.plot,
    )
