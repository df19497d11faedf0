# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Perturbation: what happens when a word is taken away?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.perturbation
#     - glassbox.removal
#     - glassbox.surrogates
#     - glassbox.game
#   objectives:
#     - {text: "take a word away in three ways, and say what each of them asks", tested_by: [check-variant, check-hide, check-answer-way]}
#     - {text: "score words one at a time and in windows", tested_by: [check-leave-one-out, check-occlusion, check-answer-together]}
#     - {text: "share a prediction out among words by all coalitions (Shapley), and fit a sum to a sample of them (LIME)", tested_by: [check-shapley, check-similarity, check-weighted-fit, check-answer-shapley]}
#     - {text: "see when a perturbed text has left what the model knows", tested_by: [written-without-the-word]}
#     - {text: "shorten a text to what the model still needs, and say what that shows", tested_by: [check-reduce-text]}
# ---

# %% [markdown]
# # 05 Perturbation: what happens when a word is taken away?
#
# No gradients, no weights, no formula for the inside of the model. Take a word away and ask again. It is the oldest way to find out what matters, and it works on any model, even one that you can't look into. Run the next two cells.

# %%
import math
from dataclasses import replace
from itertools import combinations

import glassbox as gb
import smallworld
import torch
from classroom.checks import perturbation as check
from glassbox import charts, figures

model, tokenizer = gb.load("smallworld")
PROMPT = "The Eiffel Tower is located in the city of"


@torch.no_grad()
def last_logits(ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The model's logits after the last token, (vocabulary,); ids and mask are (seq,)."""
    mask = torch.ones_like(ids) if mask is None else mask
    return model(ids[None], attention_mask=mask[None]).logits[0, -1]


def ids_of(text: str) -> torch.Tensor:
    """A text's token ids, the start token first: (seq,)."""
    return tokenizer(text, return_tensors="pt")["input_ids"][0]


# %% alt="Bars: the probability of Paris after the whole prompt and after prompts that lack one word, for each word but the first. Without Eiffel, city or of it falls to nothing; without the others it stays near one."
# each word but the first is taken away once
shorter = {"(nothing)": PROMPT} | {
    word: PROMPT.replace(f" {word}", "", 1) for word in PROMPT.split()[1:]
}
paris = tokenizer(" Paris", add_special_tokens=False)["input_ids"][0]
chances = torch.stack([last_logits(ids_of(text)).softmax(-1)[paris] for text in shorter.values()])
charts.bars(
    list(shorter),
    chances,
    label="probability of Paris",
    names_are="word taken away",
    title='Without "Eiffel", "city" or "of" the answer is no longer Paris',
)

# %% tags=["quoted"]
for word in ("(nothing)", "Eiffel", "Tower", "city", "of"):
    row = last_logits(ids_of(shorter[word])).softmax(-1)
    print(f"without {word:<10} Paris {row[paris]:.2f}   says {tokenizer.decode(row.argmax())!r}")

# %% [markdown]
# Without *Eiffel* the model names another city, so *Eiffel* matters. That is as it should be. But look at *of*: without it the model does not say *Paris* either. It says *of*. The text ended in *the city*, and the missing word comes next. Does *of* tell
# anything about Paris? Before you read on, say what you would have to change to find out.
#
# **After this chapter you can**
#
# 1. take a word away in three ways, and say what each of them asks;
# 2. score words one at a time and in windows;
# 3. share a prediction out among words by all coalitions (Shapley), and fit a sum to a sample of them (LIME);
# 4. see when a perturbed text has left what the model knows;
# 5. shorten a text to what the model still needs, and say what that shows.
#
# **You need** chapter 00: tokens, logits, surprisal. **Time:** 120 minutes, and longer if the formulas are new to you: sections 4 and 5 (exercise 5.11, question 5.12) make a good second sitting. **The new question:** not what the model looks at inside, but what it does when the world is changed.

# %% [markdown]
# ## 1. Three ways to take a word away
#
# - **Delete** it: the text closes up, and everything behind it moves one place ahead.
# - **Replace** it by another token that says little.
# - **Hide** it: it stays in its place, but no other token may look at it.
#
# **By hand.** The ids are `0, 5, 8, 3`, and place 2 is to go. Delete: `0, 5, 3`. Replace by token 9: `0, 5, 9, 3`. Hide: the ids stay `0, 5, 8, 3`, and the mask of what may be looked at is `1, 1, 0, 1`.

# %% [markdown]
# ### Exercise 5.1: A variant of the text
#
# *10 points · ●○○ · 10 minutes*
#
# `ids` are `(seq,)`, `place` is the place of the token to take away, `how` is `"delete"`, `"replace"` or `"hide"`. Return two tensors: the ids of the variant, and its mask, of the same length, with 1 for what may be looked at (whole numbers or truth values). With `"replace"` the token `substitute` comes in; which one is a choice, and 0 is no better than others, as you will see.
#
# <details><summary>Hint 1</summary>
#
# Don't change the tensor that you were given: `ids.clone()` is one of your own.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.arange(len(ids)) != place` is true for every place but one, and a tensor can be indexed with it.
#
# </details>


# %% nbgrader={"grade_id": "variant", "solution": true}
def variant(
    ids: torch.Tensor, place: int, how: str, substitute: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The text without the token at `place`: its ids, and which of them may be looked at."""
    ### BEGIN SOLUTION
    others = torch.arange(len(ids)) != place
    if how == "delete":
        return ids[others], torch.ones_like(ids[others])
    if how == "replace":
        return ids.where(others, torch.tensor(substitute)), torch.ones_like(ids)
    return ids, others.long()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-variant", "grade": true, "points": 10}
check.variant(variant)
### BEGIN HIDDEN TESTS
check.variant(variant, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Only deleting makes the text shorter. Only hiding changes the mask. If two of the three come out alike, something was mixed up.
#
# </details>

# %% [markdown]
# Which substitute says little? Many models have a token for padding or for an unknown word. GPT-2 has neither. Here is code that does not care, as it goes around:
#
# ```python
# def logits_without(model, tokenizer, ids, place):
#     removed = ids.clone()
#     removed[place] = tokenizer.pad_token_id or 0      # "remove" the token
#     return model(removed[None]).logits[0, -1]
# ```
#
# The symptom: in GPT-2, token 0 is an exclamation mark, and every explanation is about texts with an exclamation mark in the middle. In the small world, token 0 is the start token: the model reads the beginning of a new text. Nothing was removed in either case.

# %% [markdown]
# ### Exercise 5.2: Find the bug
#
# *10 points · ●●○ · 10 minutes*
#
# Mend it so that nobody can look at the token: the ids stay as they are, and the model's `attention_mask` hides the place. Your version needs no tokenizer. `ids` are `(seq,)`, and `place` is not the last one; return the logits after the last token, `(vocabulary,)`, without gradients.
#
# <details><summary>Hint</summary>
#
# `model(ids[None], attention_mask=mask[None])` takes a mask of the shape `(1, seq)`. Wrap the call in `torch.no_grad()`.
#
# </details>


# %% nbgrader={"grade_id": "hide", "solution": true}
def hide(model, ids: torch.Tensor, place: int) -> torch.Tensor:
    """The logits after the last token when no token may look at `place`: (vocabulary,)."""
    ### BEGIN SOLUTION
    unseen, mask = variant(ids, place, "hide")
    with torch.no_grad():
        return model(unseen[None], attention_mask=mask[None]).logits[0, -1]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-hide", "grade": true, "points": 10}
check.hide(hide)
### BEGIN HIDDEN TESTS
check.hide(hide, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# If a token is truly hidden, it may be any token at all: the check changes the hidden token's id and asks whether the logits stay the same. A substitute fails that test whatever it is.
#
# </details>

# %% [markdown]
# ### Question 5.3: Which way?
#
# *5 points · ●●○ · 3 minutes*
#
# You want to know whether a reviewer's text would still be classified as positive had the author not written the word *superb*. Which variant is closest to your question?
#
# - **a** Hiding: nothing else changes.
# - **b** Deleting, and reading whether a sentence is left that somebody might have written.
# - **c** Replacing by token 0.
# - **d** All three ask the same.

# %% nbgrader={"grade_id": "answer-way", "solution": true}
answer_way = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_way = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-way", "grade": true, "points": 5}
check.way(answer_way)

# %% [markdown]
# Now the question of the first page: does *of* tell anything about Paris? Guess what the three ways say about it, and about *Eiffel*. Then run the cell.

# %% tags=["quoted"]
ids = ids_of(PROMPT)
print("what the logit of Paris loses      delete  replace by token 0    hide")
for place in range(1, len(ids)):
    ways = [variant(ids, place, how) for how in ("delete", "replace", "hide")]
    loss = [float(last_logits(ids)[paris] - last_logits(*way)[paris]) for way in ways]
    print(
        f"{tokenizer.decode(ids[place]):>25} {loss[0]:>z15.1f} {loss[1]:>z19.1f} {loss[2]:>z7.1f}"
    )

# %% [markdown] tags=["quotes"]
# *Eiffel* counts whichever way it goes: 17.3, 15.6 and 16.1. *of* costs 25.9 if it is deleted and 28.7 if it is replaced, but 0.7 if it is hidden. No other word needs to read it; something has to stand in its place that says "now a city". (The last token itself still speaks: its vector is in the stream, only attention can't read it.) So the
# deleted *of* told about the grammar of the end, not about Paris.

# %% [markdown]
# ## 2. One word at a time, and in windows
#
# From here on the text is a **game**. Its words are the players, and `f(kept)` says what the model gives when only some of them are kept: `kept` has one truth value for each player. A player's **leave-one-out** score is what is lost without it:
#
# $$s_i = f(\text{all}) - f(\text{all but } i)$$
#
# **By hand.** Three players, and $f$ is 10 if the first is there, plus 4 if both others are, else nothing more. With everybody: 14. Without the first: 4, so its score is $10$. Without the second: 10, so its score is $4$. Without the third: $4$ as well. The scores sum to 18, and there were
# only 14 to share out. Each of the two others claims the whole 4.

# %% [markdown]
# ### Exercise 5.4: Leave one out
#
# *5 points · ●○○ · 6 minutes*
#
# `f` takes a tensor of truth values `(players,)` and returns a number. Return the scores, `(players,)`.
#
# <details><summary>Hint</summary>
#
# `torch.ones(players, dtype=torch.bool)` keeps everybody. Set one of them to False, in a copy.
#
# </details>


# %% nbgrader={"grade_id": "leave-one-out", "solution": true}
def leave_one_out(f, players: int) -> torch.Tensor:
    """What f loses without each player: (players,)."""
    ### BEGIN SOLUTION
    everybody = torch.ones(players, dtype=torch.bool)
    alone_missing = [
        everybody.index_fill(0, torch.tensor(player), False) for player in range(players)
    ]
    return torch.tensor([f(everybody) - f(kept) for kept in alone_missing])
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-leave-one-out", "grade": true, "points": 5}
check.leave_one_out(leave_one_out)
### BEGIN HIDDEN TESTS
check.leave_one_out(leave_one_out, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A positive score means that the word spoke for the answer. Some published code subtracts the other way round, and some takes absolute values; then "for" and "against" are lost or swapped.
#
# </details>

# %% [markdown]
# A phrase may matter as a whole. A **window** of neighbours is taken away at once, and slides over the text. A word's score is the mean over the windows that cover it.
#
# **By hand.** Four players, windows of two: $\{0, 1\}, \{1, 2\}, \{2, 3\}$, and they lose $2, 6, 0$. Player 0 is covered by the first only: $2$. Player 1 by two windows: $(2 + 6) / 2 = 4$. Player 2: $(6 + 0) / 2 = 3$. Player 3: $0$.

# %% [markdown]
# ### Exercise 5.5: Sliding windows
#
# *10 points · ●●○ · 12 minutes*
#
# Return the scores of the players, `(players,)`, by windows of `width` neighbours, which move one player at a time and never hang over the end.
#
# <details><summary>Hint</summary>
#
# There are `players - width + 1` windows. Add each window's loss to all that it covers, count how often each is covered, and divide.
#
# </details>


# %% nbgrader={"grade_id": "occlusion", "solution": true}
def occlusion(f, players: int, width: int) -> torch.Tensor:
    """The mean loss over the windows that cover each player: (players,)."""
    ### BEGIN SOLUTION
    everybody = torch.ones(players, dtype=torch.bool)
    lost, covered = torch.zeros(players), torch.zeros(players)
    for first in range(players - width + 1):
        kept = everybody.clone()
        kept[first : first + width] = False
        lost += (f(everybody) - f(kept)) * ~kept
        covered += ~kept
    return lost / covered
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-occlusion", "grade": true, "points": 10}
check.occlusion(occlusion)
### BEGIN HIDDEN TESTS
check.occlusion(occlusion, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# With windows of one player this is leave-one-out. Players at the edges are covered less often than those in the middle: a sum instead of a mean would make them look less important for no reason but their place.
#
# </details>

# %% [markdown]
# Now the model as a game. The start token is no word of the text; it is always kept.


# %% tags=["quoted"]
def game(text: str, answer: str):
    """The text as a game of its words, by deleting: f(kept) is the answer's logit. Also the number of words."""
    ids, target = ids_of(text), tokenizer(answer, add_special_tokens=False)["input_ids"][0]
    known = {}  # the same words kept give the same value, so the model is asked only once

    def f(kept: torch.Tensor) -> float:
        which = tuple(kept.tolist())
        if which not in known:
            known[which] = float(last_logits(torch.cat([ids[:1], ids[1:][kept]]))[target])
        return known[which]

    return f, len(ids) - 1


f, players = game(PROMPT, " Paris")
words = [tokenizer.decode(number).strip() for number in ids_of(PROMPT)[1:]]
by_one, by_two = leave_one_out(f, players), occlusion(f, players, 2)
for word, one, two in zip(words, by_one, by_two):
    print(f"{word:>8}  alone {one:>6.1f}   in windows of two {two:>6.1f}")

# %% [markdown] tags=["quotes"]
# *of* gets the highest score, 25.9, ahead of *Eiffel* with 17.3 and *city* with 15.3. Leave-one-out has fallen into the trap that you saw at the top. Windows of two spread the scores, and *of* still leads.

# %% [markdown]
# ### Question 5.6: Two that know the same
#
# *5 points · ●●○ · 3 minutes*
#
# In *The friends of Paul met near the Eiffel Tower in Paris, the city of*, two words give the answer away, *Eiffel* and *Paris*. Either is enough. What does leave-one-out say?
#
# - **a** Both get half of the score.
# - **b** Both get far less than the two are worth together, since the other one is still there.
# - **c** Both get the full score.
# - **d** The first one gets everything.

# %% nbgrader={"grade_id": "answer-together", "solution": true}
answer_together = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_together = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-together", "grade": true, "points": 5}
check.together(answer_together)

# %% tags=["quoted"]
twice = "The friends of Paul met near the Eiffel Tower in Paris, the city of"
f_twice, players_twice = game(twice, " Paris")
names = [tokenizer.decode(number).strip() for number in ids_of(twice)[1:]]
for word, score in zip(names, leave_one_out(f_twice, players_twice)):
    if word in ("Eiffel", "Paris"):
        print(f"without {word:<6} {score:>5.1f}")
neither = torch.tensor([word not in ("Eiffel", "Paris") for word in names])
print(
    f"without both   {f_twice(torch.ones(players_twice, dtype=torch.bool)) - f_twice(neither):.1f}"
)

# %% [markdown] tags=["quotes"]
# Alone they lose 3.8 and 2.1, together 18.6. The two losses do not even add up to a third of that.

# %% [markdown]
# ## 3. All coalitions: Shapley values
#
# If one at a time is not enough, ask about every set of words; such a set is called a **coalition**. Let the players come in one after the other, in some order, and note what $f$ gains when player $i$ comes. Average over **all orders**: that is the Shapley value. Orders can be put together: each set $S$ of
# those who came before $i$ counts with a weight that depends only on its size. $S$ can have come in $|S|!$ orders and those after $i$ in $(n - |S| - 1)!$ orders, out of $n!$ in all. For $n = 3$ that makes a weight of $\tfrac{1}{3}$ for nobody, $\tfrac{1}{6}$ for each one other, and $\tfrac{1}{3}$ for both others.
#
# $$\phi_i = \sum_{S \not\ni i} \frac{|S|! \, (n - |S| - 1)!}{n!} \, \big( f(S \cup \{i\}) - f(S) \big)$$
#
# **By hand.** The game from above: 10 for the first player, 4 if both others are there, $n = 3$. The first gains 10 in any order: $\phi_0 = 10$. The second gains 4 if the third is there already, and nothing otherwise. In half of the orders the third comes first, so $\phi_1 = 2$, and
# $\phi_2 = 2$. The sum is 14, all that there was.

# %% [markdown]
# ### Exercise 5.7: Shapley values
#
# *15 points · ●●● · 18 minutes*
#
# `f` takes truth values `(players,)`. Return the Shapley values, `(players,)`, by going through all sets.
#
# 1. For each player, go through all sets of the *others*, of every size from none to all.
# 2. Weigh what the player adds to the set.
#
# <details><summary>Hint 1</summary>
#
# `combinations(others, size)` gives all sets of a size, `math.factorial` the factorials.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A little function that turns a set of player numbers into truth values makes the rest short.
#
# </details>


# %% nbgrader={"grade_id": "shapley", "solution": true}
def shapley(f, players: int) -> torch.Tensor:
    """What each player adds to f, on average over all orders in which they could come: (players,)."""

    ### BEGIN SOLUTION
    def worth(members) -> float:
        kept = torch.zeros(players, dtype=torch.bool)
        kept[list(members)] = True
        return f(kept)

    values = torch.zeros(players)
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            weight = (
                math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            )
            for members in combinations(others, size):
                values[player] += weight * (worth((*members, player)) - worth(members))
    return values
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-shapley", "grade": true, "points": 15}
check.shapley(shapley)
### BEGIN HIDDEN TESTS
check.shapley(shapley, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Shapley values sum to $f(\text{all}) - f(\text{none})$, two players who always add the same get the same, and one who never adds anything gets zero. No other way of sharing has these properties for all games and adds up over sums of games. The check tests each of them, and compares with the average over
# all orders.
#
# </details>

# %% [markdown]
# ### Question 5.8: What Shapley values share out
#
# *5 points · ●●○ · 3 minutes*
#
# The Shapley values of a prompt's words sum to 6. What is 6?
#
# - **a** The logit of the answer.
# - **b** The logit of the answer with all words, less the logit with none of them.
# - **c** The number of words that matter.
# - **d** The largest leave-one-out score.

# %% nbgrader={"grade_id": "answer-shapley", "solution": true}
answer_shapley = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_shapley = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-shapley", "grade": true, "points": 5}
check.shares(answer_shapley)

# %% [markdown]
# Nine words have 512 sets, and that takes seconds. Twenty have a million. **KernelSHAP** (Lundberg and Lee, 2017) gets at the same values from a sample of sets, by a regression with suitable weights. **LIME** (Ribeiro, Singh and Guestrin, 2016) is the plainer
# relative: fit a sum of one score a word to the model's answers, and let texts that are close to the original count more.
#
# How close is a text that keeps $m$ of $n$ words? LIME measures the cosine distance between the kept words and all of them, $D = 1 - \sqrt{m / n}$, and weighs it by
#
# $$\pi = e^{-D^2 / \sigma^2}, \qquad \sigma = 0.25$$
#
# **By hand.** Four words, one kept: $D = 1 - \sqrt{0.25} = 0.5$, and $\pi = e^{-0.25 / 0.0625} = e^{-4} = 0.018$. All kept: $D = 0$ and $\pi = 1$.

# %% [markdown]
# ### Exercise 5.9: How close
#
# *5 points · ●○○ · 6 minutes*
#
# `kept` is `(texts, words)`, truth values. Return the weights, `(texts,)`.


# %% nbgrader={"grade_id": "similarity", "solution": true}
def similarity(kept: torch.Tensor, sigma: float = 0.25) -> torch.Tensor:
    """How much each perturbed text counts: (texts,)."""
    ### BEGIN SOLUTION
    distance = 1 - kept.double().mean(dim=1).sqrt()
    return torch.exp(-(distance**2) / sigma**2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-similarity", "grade": true, "points": 5}
check.similarity(similarity)
### BEGIN HIDDEN TESTS
check.similarity(similarity, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The whole text weighs 1, and the weight falls as words go. At $\sigma = 0.25$ it falls fast: half of the words weigh about a quarter.
#
# </details>

# %% [markdown]
# The fit is **weighted least squares**: find scores $s$ and a constant $c$ that make $\sum_z \pi_z \big( f(z) - c - \sum_i s_i z_i \big)^2$ as small as possible, where $z_i$ is 1 for a kept word and 0 otherwise.
#
# **By hand.** One word. Kept, $f = 5$ with weight 1; taken away, $f = 2$ with weight 0.1. Two numbers, two unknowns: $c = 2$, $s = 3$, whatever the weights. Weights matter once there are more texts than unknowns.

# %% [markdown]
# ### Exercise 5.10: Fit a sum
#
# *10 points · ●●● · 15 minutes*
#
# `kept` `(texts, words)` truth values, `values` `(texts,)`, `weights` `(texts,)`. Return the scores of the words, `(words,)`, without the constant.
#
# 1. Put a column of ones beside the columns of the words.
# 2. Multiply each row, and each value, by the **root** of its weight. Then plain least squares does the rest.
# 3. Leave the constant out of what you return.
#
# <details><summary>Hint</summary>
#
# `torch.linalg.lstsq(A, b[:, None]).solution` solves plain least squares. Use float64.
#
# </details>


# %% nbgrader={"grade_id": "weighted-fit", "solution": true}
def weighted_fit(kept: torch.Tensor, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The scores of the sum that comes closest to the values: (words,)."""
    ### BEGIN SOLUTION
    columns = torch.cat(
        [kept.double(), torch.ones(len(kept), 1, dtype=torch.float64)], dim=1
    )  # (texts, words + 1)
    root = weights.double().sqrt()[:, None]  # (texts, 1)
    solved = torch.linalg.lstsq(columns * root, values.double()[:, None] * root).solution
    return solved[:-1, 0]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-weighted-fit", "grade": true, "points": 10}
check.weighted_fit(weighted_fit)
### BEGIN HIDDEN TESTS
check.weighted_fit(weighted_fit, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Squares are minimised, so a weight goes in by its root on both sides. If $f$ really is a sum, any weights give its scores exactly; the check has one that is, and one that is not.
#
# </details>

# %% tags=["quoted"]
generator = torch.Generator().manual_seed(0)
# how many words go, each number as likely
count = torch.randint(0, players + 1, (400, 1), generator=generator)
# each row is a random order of the words; those with a place below `count` go
kept = torch.rand(400, players, generator=generator).argsort(1).argsort(1) >= count
kept[0] = True
values = torch.tensor([f(row) for row in kept])
by_lime = weighted_fit(kept, values, similarity(kept))
by_shapley = shapley(f, players)
print(f"{'word':>8}  leave one out  Shapley   LIME")
for word, one, shap, lime in zip(words, by_one, by_shapley, by_lime):
    print(f"{word:>8}  {one:>13.1f}  {shap:>7.1f}  {lime:>5.1f}")
nobody = torch.zeros(players, dtype=torch.bool)
print(
    f"f(all) - f(none) = {f(~nobody) - f(nobody):.1f}, sum of the Shapley values {by_shapley.sum():.1f}, of leave-one-out {by_one.sum():.1f}"
)


# %% alt="Three rows of coloured tokens on the prompt about the Eiffel Tower: leave-one-out, Shapley values and LIME, all with of in front, then Eiffel and city."
def shown(text: str, scores: torch.Tensor, method: str) -> gb.Attribution:
    """Scores of your own, one for each word of the text, as glassbox shows them; the start token gets zero."""
    whole = torch.cat([torch.zeros(1), scores.float()])
    return replace(
        gb.explain(model, tokenizer, text, method="attention"),
        method=method,
        scores=whole,
        details={},
    )


figures.token_strip(
    [
        shown(PROMPT, scores, name)
        for name, scores in (("leave one out", by_one), ("Shapley", by_shapley), ("LIME", by_lime))
    ],
    title='All three put "of" before the landmark',
)

# %% [markdown] tags=["quotes"]
# All three name the same three words first, *of*, *Eiffel* and *city*, and give the last four next to nothing. They part on how much. The sum of the leave-one-out scores is 62.6, although only 26.5 were to be shared out: each of the three words is needed and claims more than half of the whole, *of* nearly all of it. Shapley values sum to 26.5 and give *of* 9.9, *city* 7.1 and *Eiffel* 6.7.

# %% [markdown]
# ## 4. Cut it down
#
# Another way to use perturbation: take away the word that matters least, again and again, as long as the model still gives the same answer. What is left at the end is called a **reduced** text (Feng and others, 2018).
#
# **By hand.** Words $a, b, c$ with leave-one-out scores $1, 5, 2$. Without $a$ the answer is the same, so $a$ goes. Now the scores of $b, c$ in the *shorter* text are $4, 3$. Without $c$ the answer changes: stop, and keep $b, c$.

# %% [markdown]
# ### Exercise 5.11: Reduce
#
# *10 points · ●●○ · 15 minutes*
#
# `says(kept)` gives the model's answer, and `f(kept)` the score of the answer that it gave at the start, both for truth values `(players,)`. Return which players are left.
#
# 1. Start with everybody, and note the answer.
# 2. Find the player whose loss costs $f$ least, **now**, among those still there. Of equal ones take the first.
# 3. If the answer without it is the noted one, take it away for good and go on. Otherwise stop; don't try another one.
# 4. At least one player stays.
#
# <details><summary>Hint</summary>
#
# Losing the least is the same as having the largest `f` without the player.
#
# </details>


# %% nbgrader={"grade_id": "reduce-text", "solution": true}
def reduce_text(says, f, players: int) -> torch.Tensor:
    """The players that are left when no more can go without changing the answer: truth values, (players,)."""
    ### BEGIN SOLUTION
    kept = torch.ones(players, dtype=torch.bool)
    answer = says(kept)
    while kept.sum() > 1:
        shorter = [kept.index_fill(0, player, False) for player in kept.nonzero()[:, 0]]
        best = max(shorter, key=f)
        if says(best) != answer:
            break
        kept = best
    return kept
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-reduce-text", "grade": true, "points": 10}
check.reduce_text(reduce_text)
### BEGIN HIDDEN TESTS
check.reduce_text(reduce_text, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The scores have to be taken anew after each step: a word that was spare while its twin was there may be needed afterwards. The check has such twins.
#
# </details>

# %% tags=["quoted"]
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 10, seed=6)]


def answer_of(text: str):
    """The text as a game whose value is the model's answer."""
    ids = ids_of(text)
    return lambda kept: int(last_logits(torch.cat([ids[:1], ids[1:][kept]])).argmax())


# the model is asked some thousand times: on a busy machine that takes minutes
left, evidence_kept, shown = [], [], []
for s in gb.progress(sentences[::7], unit="sentences"):
    f_s, players_s = game(s.prompt, s.answer)
    kept_s = reduce_text(answer_of(s.prompt), f_s, players_s)
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:]
    left.append(float(kept_s.float().mean()))
    evidence_kept.append(float(kept_s[evidence].float().mean()))
    if len(left) in (1, 6, 14, 22):
        shown.append(
            f"{s.prompt} ->{s.answer}\n    left: {' '.join(tokenizer.decode(number).strip() for number in ids_of(s.prompt)[1:][kept_s])}"
        )
print("\n".join(shown))
print(
    f"{len(left)} sentences: {sum(left) / len(left):.0%} of the words are left, and {sum(evidence_kept) / len(left):.0%} of the evidence"
)

# %% [markdown] tags=["quotes"]
# On average 30% of the words are left, and 65% of the evidence; words dropped at random would keep as much of the one as of the other. *Vietnam capital is* can still be read as a question. But look at the last example. The verb agrees with *pictures*, and *pictures* is gone: the answer survives because *trees* happens to be plural too. A reduced text shows what is enough for the answer,
# on a text that nobody wrote. It need not be what the answer rested on.

# %% [markdown]
# ## 5. Not so fast
#
# What is a text without a word? Often no text that anybody would write. The model was never trained on such things. How far off is it? Let the model say so itself: its **surprisal** at what follows the gap (chapter 00).


# %% tags=["quoted"]
def interval(values: list[float]) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.tensor(values)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f}   ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


@torch.no_grad()
def bits_after(ids: torch.Tensor, place: int) -> float:
    """The model's surprisal, in bits, at the token at `place`, given those before it."""
    return float(-model(ids[None]).logits[0, place - 1].log_softmax(-1)[ids[place]] / math.log(2))


before, after, swapped = [], [], []
generator = torch.Generator().manual_seed(1)
for s in sentences:
    ids = ids_of(s.prompt)
    # any word but the first and the last
    place = int(torch.randint(2, len(ids) - 1, (1,), generator=generator))
    before.append(bits_after(ids, place + 1))
    after.append(bits_after(torch.cat([ids[:place], ids[place + 1 :]]), place))
    swapped.append(bits_after(ids.where(torch.arange(len(ids)) != place, 0), place + 1))
print(f"surprisal of the word after a gap, in bits, {len(sentences)} sentences")
for name, found in (
    ("as it was", before),
    ("word deleted", after),
    ("word replaced by token 0", swapped),
):
    print(f"{name:<25} {interval(found)}")

# %% [markdown] tags=["quotes"]
# As the sentences stand, the word after the chosen place costs 3.08 bits. With the word before it deleted, it costs 25.94, about as much as a coin that falls on the same side twenty-six times in a row. With token 0 in the gap, 13.31: token 0 starts a text in this model, which may take what follows for the beginning of another. The model has left the ground that it knows, and then we ask it for an explanation. It learned from whole sentences only, and it is more easily thrown off than a large model. How far
# another one is thrown off can be measured in the same way.

# %% tags=["quoted"]
# this asks the model once for each word of each sentence, and takes a while
hits = {"leave one out": [], "a word at random": []}
last_word = []
for s in gb.progress(sentences, unit="sentences"):
    f_s, players_s = game(s.prompt, s.answer)
    scores = leave_one_out(f_s, players_s)
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:]
    hits["leave one out"].append(float(evidence[scores.argmax()]))
    hits["a word at random"].append(float(evidence.float().mean()))
    last_word.append(float(scores.argmax() == players_s - 1))
print(f"how often the top word is evidence, {len(sentences)} sentences")
for name, found in hits.items():
    print(f"{name:<17} {interval(found)}")
print(f"how often the top word is the last one: {interval(last_word)}")

# %% [markdown] tags=["quotes"]
# The top word of leave-one-out is evidence in 0.07 of the sentences. That is **less** than a word drawn at random, with 0.11. In 0.94 of the sentences it is the last word, because without that word the sentence no longer asks for the answer. It is true of the model: the logit does fall. As an explanation of why *this* answer it is useless. A rival answer repairs much of it: score the
# difference to the answer that would be right for another landmark, which falls as well when the question is gone. The next chapter measures it.

# %% [markdown]
# ### Question 5.12: Without the word
#
# *10 points · ●●○ · 10 minutes*
#
# A colleague deletes each word of a prompt, finds that *of* has the highest score, and concludes: "The model relies on *of* to know the city." Answer in four to six sentences: what the score does show, what else it can mean (with an experiment from this chapter), and how you would
# test whether *of* tells the model anything about the city.

# %% [markdown] nbgrader={"grade_id": "written-without-the-word", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The score shows that the logit of *Paris* falls when *of* is deleted, and that is true. But without *of* the text ends in *the city*, and the model expects a verb or another word there, not the name of any city. The fall is about whether a city is named now, not about which one. Deleting also makes
# texts that the model has never seen: the word after a gap costs it 25.94 bits instead of 3.08, and part of every score is that surprise. To test what *of* tells about the city, compare cities: take the logit of *Paris* less that of another city, or replace the landmark and see that *of* stays and the answer changes. If *of* carried
# the fact, keeping it would keep *Paris*.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: says what the score shows: the logit falls without the word.
# - 3: another reading with evidence: grammar rather than fact, or off-manifold surprise.
# - 3: a test that separates the two: a foil (another city), a counterfactual landmark, another variant of removal.
# - 2: clear, no overclaim.

# %% [markdown]
# ## 6. In the wild
#
# captum has `FeatureAblation` and `Occlusion`, which replace by a baseline; `shap` has Shapley values with many samplers; `lime` has the original LIME with a text explainer that deletes words. When you read their output, find out first which way of removal they used. With glassbox you say it: `how="delete"`, `"replace"` or
# `"mask"`, and the answer remembers it.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_ids = real_tokenizer(PROMPT, return_tensors="pt")["input_ids"][0]
    with torch.no_grad():
        word = int(real_model(real_ids[None]).logits[0, -1].argmax())

    @torch.no_grad()
    def real_f(kept: torch.Tensor) -> float:
        return float(real_model(real_ids[kept][None]).logits[0, -1, word])

    for number, score in zip(real_ids, leave_one_out(real_f, len(real_ids))):
        print(f"{real_tokenizer.decode(number)!r:>12} {score:+.2f}")
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 7. Take away
#
# - Taking words away asks the model itself, and needs nothing of its inside.
# - Deleting, replacing and hiding are three questions. Say which one you asked.
# - One at a time misses words that can stand in for each other. Coalitions see them, at a price.
# - A perturbed text is seldom a text. Part of every score is the model's surprise at that.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | leave one out | what is lost without the word? | one forward pass a word | a first look, on any model | words that do the same; broken grammar |
# | sliding window | what is lost without the phrase? | one forward pass a window | phrases | the width is a choice |
# | Shapley, KernelSHAP | what does the word add, over all orders? | exponential, or a sample | scores that add up | most of the texts are word salad |
# | LIME | which sum is like the model nearby? | hundreds of forward passes | a local picture | the width of the kernel decides |
# | input reduction | what does the model still need? | the square of the length | seeing strange needs | what is left need not be a reason |
#
# **Further reading**
#
# - Li, Monroe and Jurafsky (2016), *Understanding Neural Networks through Representation Erasure*: leave-one-out for words, and a search for the smallest set that changes an answer.
# - Ribeiro, Singh and Guestrin (2016), *"Why Should I Trust You?"*: LIME, with experiments on whether it helps people.
# - Lundberg and Lee (2017), *A Unified Approach to Interpreting Model Predictions*: why Shapley values, and how a regression finds them.
# - Feng and others (2018), *Pathologies of Neural Models Make Interpretations Difficult*: what is left of a text when it is reduced, and why that is odd.
