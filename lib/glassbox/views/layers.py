"""The lens view: what the model would say after each layer, at each position."""

from __future__ import annotations

from collections.abc import Sequence

from glassbox.errors import checked_index
from glassbox.reading.lens import LensReading
from glassbox.text import single_token, spell
from glassbox.views.view import Table, View, label, name, rounded


def lens(reading: LensReading, *, follow: Sequence[str | int] = (), title: str | None = None) -> View:
    """A grid of layers by positions with each layer's top word, its five best, and the rank of a word across layers.

    reading:  what `glassbox.logit_lens` gives.
    follow:   words (tokens or their ids) whose ranks can be followed at every position, besides the model's own answer
              there and each layer's top word.

    Raises InputError for a word that is not one token.
    """
    vocabulary = reading.logits.shape[-1]
    asked = [
        single_token(reading.tokenizer, word, "word")
        if isinstance(word, str)
        else checked_index("word", word, vocabulary)
        for word in follow
    ]
    best = reading.logits.softmax(-1).topk(min(5, vocabulary), dim=-1)  # (layer, position, 5)
    cells, followed = [], []  # for each position: each layer's best words; the words to follow, and their ranks
    for column, own in enumerate(reading.final.argmax(-1).tolist()):
        ids, chances = best.indices[:, column].tolist(), rounded(best.values[:, column], 3)
        cells.append(list(zip(ids, chances, strict=True)))
        here = list(dict.fromkeys([own, *asked, *best.indices[:, column, 0].tolist()]))
        logits = reading.logits[:, column]  # (layer, vocabulary)
        followed.append((here, [((logits > logits[:, [number]]).sum(-1) + 1).tolist() for number in here]))
    numbers = sorted({*best.indices.flatten().tolist(), *(number for here, _ in followed for number in here)})
    index = {number: place for place, number in enumerate(numbers)}
    words = [label(word) for word in spell(reading.tokenizer, numbers)]
    data = {
        "lens": reading.name,
        "layers": reading.layers,
        "positions": reading.positions,
        "tokens": [label(reading.tokens[place]) for place in reading.positions],
        "words": words,
        "cells": [[[[index[n] for n in ids], chances] for ids, chances in column] for column in cells],
        "followed": [[[index[n] for n in here], ranks] for here, ranks in followed],
    }
    columns = ["layer", *(f"{place} {name(reading.tokens[place])}" for place in reading.positions)]
    tops, ranks = [], []
    for row in reversed(range(len(reading.layers))):
        first = [f"layer {reading.layers[row]}"]
        best_here = [(column[row][0][0], column[row][1][0]) for column in data["cells"]]
        tops.append(first + [f"{words[word].strip() or '␣'} {chance:.3f}" for word, chance in best_here])
        ranks.append(first + [str(own[row]) for _, (own, *_) in followed])
    caption = f"{reading.name}: each layer's top word for what follows each token, and its probability"
    return View(
        "lens",
        title or f"The {reading.name} at each layer",
        data,
        [Table(caption, columns, tops), Table("The rank of the model's own answer at each layer", columns, ranks)],
        reading.plot,
    )
