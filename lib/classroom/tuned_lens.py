"""Train the small world's tuned lens and put it beside the model: `python -m classroom.tuned_lens`, seeded.

It belongs to the shipped weights, so it is trained again whenever they are.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch

import glassbox as gb
import smallworld
from smallworld.families import FAMILIES

SEED = 20261121
TEXTS = 6000
STEPS = 600


def texts(count: int, seed: int) -> list[str]:
    """Training texts of the small world: one sentence each, or three in a row, from any of the families."""
    random, families = Random(seed), list(FAMILIES.values())

    def text() -> str:
        sentences = random.choice((1, 1, 1, 3))
        return " ".join(random.choice(families).training_text(random, later=True)[0] for _ in range(sentences))

    return [text() for _ in range(count)]


def main() -> None:
    model, tokenizer = gb.load("smallworld")
    chosen = dict(steps=STEPS, batch_size=16, learning_rate=3e-3, seed=SEED, progress=True)
    lens = gb.tuned_lens.train(model, tokenizer, texts(TEXTS, SEED), **chosen)
    file = Path(smallworld.__file__).parent / "weights" / gb.tuned_lens.FILE
    lens.save(file, dtype=torch.float16)
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
