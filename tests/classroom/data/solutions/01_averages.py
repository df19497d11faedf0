# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Averages: one number for many"
#   minutes: 20
#   points: 20
#   teaches: [statistics.mean, statistics.median]
#   objectives:
#     - {text: "You can write the mean from its definition.", tested_by: [check-mean]}
#     - {text: "You can find the middle of a list.", tested_by: [check-median]}
#     - {text: "You can tell which of the two a single large number moves.", tested_by: [check-robust, written-choice]}
# ---

# %% [markdown]
# # Averages: one number for many
#
# Nine people earn a little and one earns a fortune. What does "the average person" earn?

# %%
import statistics

import matplotlib.pyplot as plt

from classroom.checks import call, choice, judge, passed

# %% [markdown]
# ## Two ways to the middle
#
# ### Exercise 1.1: The mean
#
# *7 points · ●○○ · 5 minutes*
#
# Add the numbers up and divide by how many there are: of 2, 3 and 7 it is $12 / 3 = 4$.
#
# <details>
# <summary>Hint</summary>
#
# Python has `sum` and `len`.
#
# </details>


# %% nbgrader={"grade_id": "mean", "solution": true}
def mean(numbers):
    """The sum of `numbers` divided by how many there are."""
    ### BEGIN SOLUTION
    total_of_all = sum(numbers)
    return total_of_all / len(numbers)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-mean", "grade": true, "points": 7}
judge(call(mean, [2.0, 3.0, 7.0]), 4.0, {"That is the sum: divide by how many there are.": 12.0})
### BEGIN HIDDEN TESTS
judge(call(mean, [1.0, 4.0, 1024.0]), 343.0)
### END HIDDEN TESTS
passed("the mean of 2, 3 and 7 is 4")

# %% [markdown]
# ### Exercise 1.2: The median
#
# *4 points · ●●○ · 5 minutes*
#
# Sort the numbers; the one in the middle is the median. (Here there is always a middle one.)


# %% nbgrader={"grade_id": "median", "solution": true}
def median(numbers):
    """The number in the middle once they are sorted; `numbers` is of odd length."""
    ### BEGIN SOLUTION
    in_order = sorted(numbers)
    return in_order[len(in_order) // 2]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-median", "grade": true, "points": 4}
judge(call(median, [7.0, 2.0, 3.0]), 3.0, {"You took the middle of the unsorted list.": 2.0})
passed("the median of 7, 2 and 3 is 3")

# %% [markdown]
# ### Question 1.3: Which one moves?
#
# *3 points · ●○○ · 2 minutes*
#
# The largest number becomes a hundred times larger. Which of the two changes? (a) the mean, (b) the median, (c) both.

# %% nbgrader={"grade_id": "robust", "solution": true}
answer_robust = ...  # "a", "b" or "c"
### BEGIN SOLUTION
answer_robust = "a"
### END SOLUTION

# %% nbgrader={"grade_id": "check-robust", "grade": true, "points": 3}
choice(
    answer_robust,
    right="a",
    reasons={
        "a": "the sum grows; the order stays.",
        "b": "the order of the numbers stays, so the middle one does too.",
        "c": "the median looks at the order only, which stays.",
    },
)

# %% tags=["quoted"]
incomes = [1.0] * 9 + [91.0]
assert statistics.fsum(incomes) == 100
share = sum(income < mean(incomes) for income in incomes) / len(incomes)
print(f"mean {mean(incomes):.1f}, below it {share:.0%}")

# %% [markdown] tags=["quotes"]
# The mean of these incomes is 10.0, and 90% of the people earn less than that.

# %% alt="Ten bars. Nine of them are hardly visible, and the last one is ninety-one high."
figure, axes = plt.subplots(figsize=(4, 2))
axes.bar(range(len(incomes)), incomes)
plt.show()

# %% [markdown]
# ### Question 1.4: Choose
#
# *6 points · ●●○ · 5 minutes*
#
# Which of the two would you print in a newspaper, and why? Two sentences.

# %% [markdown] nbgrader={"grade_id": "written-choice", "grade": true, "solution": true, "points": 6}
# ### BEGIN SOLUTION
# The median, since one fortune leaves it alone and it tells what a person in the middle earns.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# Three points for the median, three for the reason: one person alone must not move it.
