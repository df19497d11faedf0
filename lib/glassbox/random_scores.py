"""Random scores: an explanation that knows nothing, to hold the others against.

    s_i drawn from the standard normal distribution, from a seed

A method that is no better than this on some measure has not explained anything by that measure; and a measure that
thinks well of this measures nothing. What it can't tell you: how far a single draw is from the average one; draw many
seeds before saying that a method beats chance.
"""

from __future__ import annotations

import torch

from glassbox.attribution import Attribution
from glassbox.methods import method
from glassbox.question import Question
from glassbox.removal import removable
from glassbox.trace import undisturbed


@method("random")
def explain_by_random(question: Question, *, seed: int = 0) -> Attribution:
    """What would an explanation look like that knew nothing of the model?

    The scores depend on `seed` and the number of tokens alone; tokens that the tokenizer adds around each text score 0.
    """
    with undisturbed(question.model), torch.no_grad():
        output = question.run()
    scores = torch.randn(question.ids.shape[1], generator=torch.Generator().manual_seed(seed))
    return question.answer("random", scores * removable(question).cpu(), output)
