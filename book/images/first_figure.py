"""The figure of the README and of the book's front page: `python book/images/first_figure.py` draws it anew."""

from pathlib import Path

import glassbox as gb
import smallworld
from glassbox import figures

PROMPT = "When Mary and John went to the store, John gave a drink to"
DECIDING = ((5, 9), (38, 42))  # Mary, and John the second time

model, tokenizer = gb.load("smallworld")
explanation = gb.explain(model, tokenizer, PROMPT, method="rollout")
figure = figures.token_bars(
    explanation,
    evidence=smallworld.token_mask(PROMPT, DECIDING, tokenizer),
    title="The model says Mary. Rollout points at the first token,\nnot at the two words that decide",
)
figure.savefig(Path(__file__).with_name("first-figure.png"), dpi=130, metadata={"Software": None})
