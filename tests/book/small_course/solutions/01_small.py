# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Small: one exercise of each kind"
#   minutes: 60
#   points: 9
#   teaches: []
#   objectives:
#     - {text: "Double a number.", tested_by: [check-double]}
#     - {text: "Say what doubling does to zero.", tested_by: [check-zero, written-why]}
# ---

# %% [markdown]
# # Small: one exercise of each kind
#
# What happens to a number that is added to itself? If $A$ is a matrix, then
#
# $$\hat{A} = \tfrac12 (A + I), \qquad R = \prod_{l=1}^{L} \hat{A}_l .$$
#
# > Before you run the next cell, guess.

# %%
import matplotlib.pyplot as plt


def check(function, number):
    """Like the checks of the course: it raises, or prints one line."""
    assert function(number) == 2 * number, "a sum of two numbers is expected"
    print("\x1b[32m✓\x1b[0m the function gives twice its argument")


def check_zero(answer):
    """Like the checks of the course's questions: the verdict gives the reason."""
    assert answer == "a", "zero is not two"
    print("\x1b[32m✓\x1b[0m a:", " and ".join(["zero", "zero"]), "are zero")


print("the numbers:", [1, 2, 3])

# %%
print("a sentence is no table,", *["and goes on and on"] * 9, "to the end")

# %% alt="Three bars: the doubles of one, two and three."
figure, axes = plt.subplots(figsize=(4, 2))
axes.bar([1, 2, 3], [2, 4, 6])
plt.show()

# %% [markdown]
# Point at a word, or walk along the line with the arrow keys.

# %%
import torch

import glassbox as gb

words = ["One", " and", " one", " are"]
spans = [(word.strip(), place, place + 1) for place, word in enumerate(words)]
gb.views.token_strip(
    [
        gb.Attribution(words, torch.tensor(scores), method, 2, " two", 3, "logit", 2.0, spans)
        for method, scores in {"sum": [1.0, 0.0, 1.0, 0.0], "difference": [1.0, 0.0, -1.0, 0.0]}.items()
    ],
    title="Each one is half of two",
)

# %% [markdown]
# ## Exercises
#
# ### Exercise 1.1: Double
# *5 points · ●○○ · 5 minutes*
#
# <details><summary>Hint 1</summary>
#
# A sum has *two* terms, $x$ and $x$.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Write `x + x`.
#
# </details>


# %% nbgrader={"grade_id": "double", "solution": true}
def double(x):
    """Twice `x`, without a product."""
    ### BEGIN SOLUTION
    marmalade_sum = x + x  # the ``` in a comment must not end the box
    return marmalade_sum
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-double", "grade": true, "points": 5}
check(double, number=2)
### BEGIN HIDDEN TESTS
check(double, number=4711)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 1.2: Zero
# *2 points · ●○○ · 2 minutes*
#
# What is the double of zero? (a) zero, (b) two.

# %% nbgrader={"grade_id": "zero", "solution": true}
### BEGIN SOLUTION
answer_zero = "a"  # quince_reason
### END SOLUTION

# %% nbgrader={"grade_id": "check-zero", "grade": true, "points": 2}
check_zero(answer_zero)

# %% [markdown]
# ### Exercise 1.3: Why
# *2 points · ●○○ · 5 minutes*
#
# Why? Answer in one sentence.

# %% [markdown] nbgrader={"grade_id": "written-why", "grade": true, "solution": true, "points": 2}
# ### BEGIN SOLUTION
# Zero is the number that changes no sum: the elderberry_argument, $0 + 0 = 0$.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric.** Two points for the gooseberry_criterion.

# %% [markdown]
# ## Closing
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | doubling | how much is twice as much? | one addition | small numbers | zero stays zero |
#
# | number | double |
# | ---: | ---: |
# | 1 | 2 |
# | 3 | 6 |
#
# And here is a line of code that is far too wide for a telephone, to see whether the page stays still:
#
# ```python
# the_answer = [double(1), double(2), double(3), double(4), double(5), double(6), double(7), double(8), double(9)]
# ```
