# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Steering: can I push a concept instead of a word?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.steering
#     - glassbox.residual
#   objectives:
#     - {text: "change what a block gives while the model runs, and leave no trace behind", tested_by: [check-push, check-edited]}
#     - {text: "find a direction between two sets of texts, by the mean and by the first component", tested_by: [check-mean-difference, check-first-component]}
#     - {text: "read a concept from a direction, and say how well that works", tested_by: [check-along, check-beyond-line, check-answer-reads]}
#     - {text: "choose how strongly to push, with a control, and measure what the push costs", tested_by: [check-in-spreads, check-perplexity, check-answer-control]}
#     - {text: "take a direction out, and judge what a direction stands for", tested_by: [check-without, check-answer-word, written-dial]}
# ---

# %% [markdown]
# # 08 Steering: can I push a concept instead of a word?
#
# So far you changed words and watched the prediction. Now leave the words alone, and change what the model has in its head while it reads them. Run the next two cells.

# %%
import os
from functools import partial

import glassbox as gb
import smallworld
import torch
from classroom.checks import steering as check
from glassbox import charts
from smallworld import world

model, tokenizer = gb.load("smallworld")
HOTEL = "What Martha says about the hotel: it was awful and boring. Overall, the verdict is"


def token(word: str) -> int:
    return tokenizer(word, add_special_tokens=False)["input_ids"][0]


POSITIVE, NEGATIVE = token(" positive"), token(" negative")


@torch.no_grad()
def after_block_3(text: str) -> torch.Tensor:
    """The residual stream at the last token, after block 3: (width,)."""
    output = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
    return output.hidden_states[4][0, -1]


@torch.no_grad()
def with_bias(added: torch.Tensor, text: str = HOTEL) -> torch.Tensor:
    """The probabilities of the next word when the last bias of block 3 is larger by `added`: (vocabulary,)."""
    bias = model.transformer.h[3].mlp.c_proj.bias
    as_it_was = bias.clone()
    bias += added
    chances = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].softmax(-1)
    bias.copy_(as_it_was)
    return chances


# %% alt="Lines over how much of a vector is added, from none to twice the vector. The probability of positive after a bad review of a hotel rises from zero to one with the difference of two film reviews; with a random vector of the same length it stays at zero."
film = after_block_3("To Paul, the film was really superb. The verdict is") - after_block_3(
    "To Paul, the film was really painful. The verdict is"
)
noise = torch.randn(len(film), generator=torch.Generator().manual_seed(0))
noise *= film.norm() / noise.norm()
amounts = [0, 0.25, 0.5, 0.75, 1, 1.5, 2]
chances = {
    name: torch.stack([with_bias(amount * vector)[POSITIVE] for amount in amounts])
    for name, vector in (("the film's difference", film), ("a random vector as long", noise))
}
charts.curves(
    amounts,
    chances,
    label="probability of positive",
    over="how much of the vector is added",
    title="One vector from two film reviews, and an awful hotel is praised",
)

# %% [markdown]
# The text says *awful and boring* all the time. Two other texts, about a film, were read once, one with *superb* and one with *painful*; their activations were subtracted, and the difference was added to one bias of the model. That is all. A random vector of the same length does nothing.
#
# It looks as if we had found the place where the model keeps its opinion, and a dial for it. Did we? Before you read on, write down two other things that this vector could be.
#
# **After this chapter you can**
#
# 1. change what a block gives while the model runs, and leave no trace behind;
# 2. find a direction between two sets of texts, by the mean and by the first component;
# 3. read a concept from a direction, and say how well that works;
# 4. choose how strongly to push, with a control, and measure what the push costs;
# 5. take a direction out, and judge what a direction stands for.
#
# **You need** chapters 00 (surprisal, the residual stream) and 07 (what a vector in the stream says when it is read as words). **Time:** 120 minutes, and more with the long tables: sections 5 to 7 (from exercise 8.9) make a good second sitting. **The new question:** not which word decides, but which direction in the stream.

# %% [markdown]
# ## 1. Look and touch
#
# Changing a bias changes the model, and somebody has to remember to change it back. The usual way is a **hook** (chapter 01): a function that sees what a module gives, and may give something else in its place.
#
# First the change itself. **By hand.** One text of three tokens, width 2: the stream is $(1, 0), (2, 2), (0, 3)$ and the vector $(1, -1)$. Pushed everywhere: $(2, -1), (3, 1), (1, 2)$. Pushed at place $-1$ only: $(1, 0), (2, 2), (1, 2)$.

# %% [markdown]
# ### Exercise 8.1: Push
#
# *5 points · ●○○ · 6 minutes*
#
# `hidden` is `(batch, seq, width)`, `vector` is `(width,)`. Return a new tensor in which the vector is added at the given places of each text, or at all places if `places` is None. (An empty list names no place.) Negative places count from the end.
#
# <details><summary>Hint</summary>
#
# A tensor can be indexed with a list: `x[:, [0, 2]]` are the places 0 and 2 of each text. Work on a clone.
#
# </details>


# %% nbgrader={"grade_id": "push", "solution": true}
def push(
    hidden: torch.Tensor, vector: torch.Tensor, places: list[int] | None = None
) -> torch.Tensor:
    """The stream with the vector added at some places: (batch, seq, width)."""
    ### BEGIN SOLUTION
    pushed = hidden.clone()
    chosen = range(hidden.shape[1]) if places is None else places
    pushed[:, list(chosen)] += vector
    return pushed
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-push", "grade": true, "points": 5}
check.push(push)
### BEGIN HIDDEN TESTS
check.push(push, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Pushing by $v$ and then by $-v$ gives back what there was, and nothing but the given places may differ. The check also looks whether the tensor that you got is still as it was: a hook that changes it in place changes it for everybody who holds it.
#
# </details>

# %% [markdown]
# Now the hook. Here is code as it goes around:
#
# ```python
# def edited(block, edit, run):
#     def hook(module, inputs, output):
#         output = edit(output)
#     block.register_forward_hook(hook)
#     return run()
# ```
#
# The symptom: nothing happens, at any strength. Somebody then adds a line to the hook, and now it works, but the second run is pushed twice and the third three times. And on another model it stops with an error that speaks of tuples.

# %% [markdown]
# ### Exercise 8.2: Find the bug
#
# *15 points · ●●○ · 15 minutes*
#
# There are three. `run()` runs the model and returns something. Return that, computed while everything that `block` gives passes through `edit`.
#
# 1. What a hook does not return is lost.
# 2. Some blocks give a tensor, some give a tuple whose first item is the stream. Edit the stream and hand on the rest of the tuple as it was.
# 3. `register_forward_hook` gives back a handle. The hook has to be gone afterwards, also when `run` stops with an error; and the error has to reach whoever called.
#
# <details><summary>Hint 1</summary>
#
# `isinstance(output, tuple)` tells the two apart. `(first, *output[1:])` is a tuple with another first item.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# What stands under `finally:` is done in any case, and an error goes on its way afterwards.
#
# </details>


# %% nbgrader={"grade_id": "edited", "solution": true}
def edited(block, edit, run):
    """What run() returns while all that the block gives passes through `edit`."""

    ### BEGIN SOLUTION
    def hook(module, inputs, output):
        if isinstance(output, tuple):
            return (edit(output[0]), *output[1:])
        return edit(output)

    handle = block.register_forward_hook(hook)
    try:
        return run()
    finally:
        handle.remove()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-edited", "grade": true, "points": 15}
check.edited(edited)
### BEGIN HIDDEN TESTS
check.edited(edited, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check runs a block that gives a tensor, one that gives a tuple, and one run that stops half way, and counts the hooks before and after. A hook that stays is the nastiest of the three: all that you measure later is measured on another model.
#
# </details>

# %% [markdown]
# An edit that changes nothing can take notes. So `edited` also **reads** the stream. It reads what the block really gave. The usual way, `output_hidden_states=True`, gives that too, but for the last block: that one has passed the final norm already (chapter 07).

# %%
BLOCKS = list(model.transformer.h)


def padded(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (text, seq), filled up on the right, where no earlier token can see it; and each text's last place (text,)."""
    rows = tokenizer(texts)["input_ids"]
    last = torch.tensor([len(row) - 1 for row in rows])
    return torch.tensor([row + [0] * (int(last.max()) + 1 - len(row)) for row in rows]), last


AT_ONCE = 40  # texts; more at a time take more memory and no less time


def some_at_once(texts: list) -> list[list]:
    return [texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE)]


@torch.no_grad()
def next_logits(texts: list[str], edits: dict | None = None) -> torch.Tensor:
    """The logits after each text, (text, vocabulary), with an edit for some of the blocks, by number."""
    if len(texts) > AT_ONCE:
        return torch.cat([next_logits(some, edits) for some in some_at_once(texts)])
    ids, last = padded(texts)

    def run():
        stream = model.transformer(ids).last_hidden_state  # after the final norm
        return model.lm_head(stream[torch.arange(len(ids)), last])  # words for the last place only

    # the run is wrapped once more for each block that is edited
    for number, edit in (edits or {}).items():
        run = partial(edited, BLOCKS[number], edit, run)
    return run()


def states(texts: list[str], at: str = "") -> torch.Tensor:
    """What each block gives at each text's last token: (layer, text, width). With `at`, where that token last occurs."""
    if len(texts) > AT_ONCE:
        return torch.cat([states(some, at) for some in some_at_once(texts)], dim=1)
    ids, last = padded(texts)
    if at:
        last = torch.stack([(row == token(at)).nonzero()[-1, 0] for row in ids])
    notes = {}

    def keep(number, hidden):
        notes[number] = hidden[torch.arange(len(hidden)), last]
        return hidden

    next_logits(texts, {number: partial(keep, number) for number in range(len(BLOCKS))})
    return torch.stack([notes[number] for number in range(len(BLOCKS))])


# %% [markdown]
# ## 2. Two stacks of texts
#
# A **steering vector** by the mean difference (Rimsky and others, 2024; with a single pair, Turner and others, 2023): read texts of two kinds, take the stream at the last token of each, and subtract the mean of one stack from the mean of the other.
#
# $$v = \frac{1}{|P|} \sum_{p \in P} h(p) - \frac{1}{|N|} \sum_{n \in N} h(n)$$
#
# **By hand.** Positive: $(3, 0)$ and $(3, 2)$, with mean $(3, 1)$. Negative: $(1, 0), (1, 2), (1, 1)$, with mean $(1, 1)$. So $v = (2, 0)$. The second number varies within both stacks alike and drops out. It is taken as it is: neither the activations nor the difference are normalised, since the length says how far
# apart the stacks are.

# %% [markdown]
# ### Exercise 8.3: Mean difference
#
# *5 points · ●○○ · 5 minutes*
#
# `positive` and `negative` are `(texts, width)`, and need not have the same number of texts. Return `(width,)`.


# %% nbgrader={"grade_id": "mean-difference", "solution": true}
def mean_difference(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """From the mean of the negative texts to the mean of the positive ones: (width,)."""
    ### BEGIN SOLUTION
    return positive.mean(dim=0) - negative.mean(dim=0)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-mean-difference", "grade": true, "points": 5}
check.mean_difference(mean_difference)
### BEGIN HIDDEN TESTS
check.mean_difference(mean_difference, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Exchange the stacks and the sign turns. Add the same vector to every text of both and nothing changes.
#
# </details>

# %% [markdown]
# A direction can also be **read**: how far along it does a text lie? That is the projection $h \cdot \hat v$ with $\hat v = v / \lVert v \rVert$.
#
# **By hand.** $v = (2, 0)$, so $\hat v = (1, 0)$. The text $(3, 2)$ lies at 3, the text $(1, 2)$ at 1. Twice the vector would give the same, since only its direction counts.

# %% [markdown]
# ### Exercise 8.4: Along the vector
#
# *5 points · ●○○ · 5 minutes*
#
# Return how far each text lies along the vector, `(texts,)`, for `states` `(texts, width)`.


# %% nbgrader={"grade_id": "along", "solution": true}
def along(states: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """The projections on the vector's direction: (texts,)."""
    ### BEGIN SOLUTION
    return states @ (vector / vector.norm())
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-along", "grade": true, "points": 5}
check.along(along)
### BEGIN HIDDEN TESTS
check.along(along, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A longer vector in the same direction reads the same, the opposite one reads the negative. A state that is longer lies farther out, so this is no cosine.
#
# </details>

# %% [markdown]
# To read a **verdict** you have to draw a line: on this side positive, on that side negative. The natural place is halfway between the two stacks that the vector was made from: at the middle of their mean positions.
#
# **By hand.** The positive texts lie at 4 and 2, mean 3; the negative ones at 0, 2 and 1, mean 1. The line is at 2. New texts at $2.5, 1, 5$ are read as positive, negative, positive.

# %% [markdown]
# ### Exercise 8.5: Draw the line
#
# *10 points · ●○○ · 8 minutes*
#
# `positions` `(texts,)` says how far along some new texts lie, `positive` `(m,)` and `negative` `(n,)` how far those do that the vector was made from. Return which of the new texts lie on the positive side: truth values, `(texts,)`.


# %% nbgrader={"grade_id": "beyond-line", "solution": true}
def beyond_line(
    positions: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor
) -> torch.Tensor:
    """Which texts lie beyond the middle between the two stacks: truth values, (texts,)."""
    ### BEGIN SOLUTION
    line = (positive.mean() + negative.mean()) / 2
    return positions > line
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-beyond-line", "grade": true, "points": 10}
check.beyond_line(beyond_line)
### BEGIN HIDDEN TESTS
check.beyond_line(beyond_line, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The line must not depend on the new texts: one that lies there alone has a verdict too. Nor on how many texts either stack had, so it is the middle of two means and not the mean of all.
#
# </details>

# %% [markdown]
# A line can be in the wrong place while the order is right. So look at both: the share of verdicts that the line gets right, and the **AUROC** (chapter 06), the share of all pairs of a positive and a negative text in which the positive one lies farther along. One half is a coin; zero is a perfect order with the wrong sign.
#
# The texts: forty plain reviews, each beside the same review with the opposite words (its counterfactual), so that as little else as possible differs. The vector is then tried on other reviews, of three kinds. *Plain*: the adjective decides. *Contrasted*: a word of the other kind stands beside it ("moving despite a messy plot"). *Negated*:
# "not at all awful", where the verdict is the opposite of the adjective.
#
# Before you run the cell: the vector was made from plain reviews alone. At which block, if any, will it put the negated ones in order? And on the right side of the line? (Block 0 here is what chapter 07 called layer 1: what comes out of the first block.)


# %% tags=["quoted"]
def pairs(family: str, n: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """Reviews and their counterfactuals: the positive ones and, in the same order, the negative ones."""
    both = [
        (s.answer, s.prompt, s.changed(s.counterfactuals[0]))
        for s in smallworld.sample(family, n, seed)
    ]
    return [a if answer == " positive" else b for answer, a, b in both], [
        b if answer == " positive" else a for answer, a, b in both
    ]


ups, downs = pairs("review_plain", 40)
made_from = {*ups, *downs}
KINDS = {"plain": "review_plain", "contrasted": "review_contrasted", "negated": "review_negated"}
held = {
    kind: [s for s in smallworld.sample(family, 202, seed=2) if s.prompt not in made_from]
    for kind, family in KINDS.items()
}
good = {
    kind: torch.tensor([s.answer == " positive" for s in sentences])
    for kind, sentences in held.items()
}

up, down = states(ups), states(downs)  # (layer, text, width)
vectors = [mean_difference(a, b) for a, b in zip(up, down)]
read = {kind: states([s.prompt for s in held[kind]]) for kind in ("plain", "negated")}


def auroc(positive: torch.Tensor, negative: torch.Tensor) -> float:
    """The share of pairs in which the positive text lies farther along; a tie counts half."""
    table = (positive[:, None] - negative).sign()  # (positive, negative): 1, 0 or -1
    return float(table.double().mean() + 1) / 2


def interval(values, middle=torch.mean) -> str:
    """The mean (or median), and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.as_tensor(values, dtype=torch.float32)
    draws = torch.randint(
        len(numbers), (1000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    found = middle(numbers[draws], dim=-1)
    # torch.median gives places, too
    found = found if isinstance(found, torch.Tensor) else found.values
    return f"{float(middle(numbers)):.2f} ({float(found.quantile(0.025)):.2f} to {float(found.quantile(0.975)):.2f})"


def order(positions: torch.Tensor, is_good: torch.Tensor) -> str:
    """The AUROC, and where it lies in 95 of 100 draws of as many texts, with replacement."""
    found = auroc(positions[is_good], positions[~is_good])
    generator, draws = torch.Generator().manual_seed(0), []
    for _ in range(200):
        drawn = torch.randint(len(positions), (len(positions),), generator=generator)
        chosen, kinds = positions[drawn], is_good[drawn]
        draws.append(auroc(chosen[kinds], chosen[~kinds]))
    low, high = torch.tensor(draws).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{found:.2f} ({low:.2f} to {high:.2f})"


print(
    "reviews held out: " + ", ".join(f"{len(sentences)} {kind}" for kind, sentences in held.items())
)
print(
    "           AUROC, plain            AUROC, negated          line, plain             line, negated"
)
for layer, vector in enumerate(vectors):
    row = [order(along(read[kind][layer], vector), good[kind]) for kind in ("plain", "negated")]
    for kind in ("plain", "negated"):
        said = beyond_line(
            along(read[kind][layer], vector), along(up[layer], vector), along(down[layer], vector)
        )
        row.append(interval((said == good[kind]).float()))
    print(f"block {layer}    " + "".join(f"{each:<24}" for each in row))

# %% [markdown] tags=["quotes"]
# On plain reviews the direction is perfect from block 0 on: AUROC 1.00, and every verdict on the right side of the line. On negated ones it begins as a coin at 0.45, with an interval around one half; it passes 0.89 at block 2 and reaches 1.00 at block 4. So along **this** direction the verdict of *not at all awful* shows late. That does not mean that it comes late: the logit lens of the chapter before reads it after the first block. It is written in another direction.
#
# And now look at the last column. The line is right for 0.50 of the negated reviews, at every block, even where their order is perfect. Nearly all of them lie on one side of it. A reading that is right on the texts it was made from can be useless on the next ones, and it depends on what you ask for: the order or the verdict.

# %% [markdown]
# ## 3. How far to push
#
# A strength needs a unit. Twice the vector is much at one layer and little at another. Measure how far the texts themselves lie apart along it: the **spread** is the standard deviation of the projections of all texts, positive and negative together. A push of strength 2 then moves a text by two spreads.
#
# **By hand.** Positive $(3, 0), (3, 2)$, negative $(1, 0), (1, 2)$, so $v = (2, 0)$ and the projections are $3, 3, 1, 1$. Their mean is 2, the squared distances sum to 4, and the standard deviation (divided by one less than their number, as `torch.std` does) is $\sqrt{4 / 3} = 1.15$. A push of strength 2 is $(2.31, 0)$.
# Two groups of equal size that are far apart and narrow lie two spreads from each other, more or less: strength 2 carries one on top of the other.

# %% [markdown]
# ### Exercise 8.6: In spreads
#
# *5 points · ●●○ · 8 minutes*
#
# Return what has to be added to the stream for a push of `strength` spreads: `(width,)`.


# %% nbgrader={"grade_id": "in-spreads", "solution": true}
def in_spreads(
    positive: torch.Tensor, negative: torch.Tensor, vector: torch.Tensor, strength: float
) -> torch.Tensor:
    """A push along the vector by `strength` times the texts' spread: (width,)."""
    ### BEGIN SOLUTION
    spread = along(torch.cat([positive, negative]), vector).std()
    return strength * spread * vector / vector.norm()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-in-spreads", "grade": true, "points": 5}
check.in_spreads(in_spreads)
### BEGIN HIDDEN TESTS
check.in_spreads(in_spreads, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The length of the vector plays no part any more, only its direction. If all activations were ten times as large, the push would be too.
#
# </details>

# %% [markdown]
# Now push each held-out review **against** its verdict: the good ones with a negative strength, the bad ones with a positive one. How many change sides? Beside it stands a random direction of the same length, once. (This cell and the long ones below may take half a minute each.)

# %% tags=["quoted"]
reviews = [s for sentences in held.values() for s in sentences[:70]]
praises, blames = (
    [s.prompt for s in reviews if s.answer == verdict] for verdict in (" positive", " negative")
)


def turned(layer: int, pushed_by: torch.Tensor) -> torch.Tensor:
    """Which of the reviews get the opposite verdict as the most probable next word: (review,), 0 or 1."""
    downwards = (
        next_logits(praises, {layer: partial(push, vector=-pushed_by)}).argmax(-1) == NEGATIVE
    )
    upwards = next_logits(blames, {layer: partial(push, vector=pushed_by)}).argmax(-1) == POSITIVE
    return torch.cat([downwards, upwards]).float()


LAYER = 3
random = torch.randn(len(vectors[LAYER]), generator=torch.Generator().manual_seed(0))
by_layer = {
    s: [
        turned(layer, in_spreads(up[layer], down[layer], vectors[layer], s))
        for layer in gb.progress(range(6), unit="blocks")
    ]
    for s in (1, 2)
}
print(f"verdicts turned, {len(reviews)} reviews of three kinds")
print("           " + "".join(f"strength {s:<15}" for s in by_layer))
for layer in range(6):
    print(
        f"block {layer}    "
        + "".join(f"{interval(found[layer]):<24}" for found in by_layer.values())
    )
is_negated = torch.tensor(
    [
        s.family == "review_negated"
        for verdict in (" positive", " negative")
        for s in reviews
        if s.answer == verdict
    ]
)
print(f"of the negated ones alone, block 0, strength 2: {interval(by_layer[2][0][is_negated])}")
as_long = random / random.norm() * in_spreads(up[LAYER], down[LAYER], vectors[LAYER], 2).norm()
print(
    f"a random direction at block {LAYER}, as long as strength 2: {interval(turned(LAYER, as_long))}"
)

# %% alt="Two lines over the blocks. At strength two most verdicts turn at the first block and all at the last; at strength one none turn at the first two blocks and half at the last."
charts.curves(
    range(6),
    {
        f"strength {s}": torch.stack([each.mean() for each in found])
        for s, found in by_layer.items()
    },
    label="share of verdicts turned",
    over="block",
    title="In spreads, the same push turns more verdicts in late blocks",
)

# %% [markdown] tags=["quotes"]
# At strength 2 the vector of block 0 turns 0.83 of the verdicts and that of block 3 turns 0.98. At strength 1 nearly nothing happens in the first blocks, and 0.53 turn at the last. A random direction of the same length turns 0.00. The push works by its direction.
#
# Compare with the table before. At block 0 the direction orders negated reviews no better than a coin, and it turns 0.67 of their verdicts all the same. Reading and steering are two questions.

# %% [markdown]
# ### Question 8.7: The control
#
# *5 points · ●○○ · 3 minutes*
#
# Why does the table need the random direction of the same length?
#
# - **a** To find out how strong the noise in the model is.
# - **b** A push that is large enough changes any prediction, whatever its direction. The control shows that this one works by its direction.
# - **c** Random vectors are the best steering vectors if many are tried.
# - **d** It gives the scale of the strength.

# %% nbgrader={"grade_id": "answer-control", "solution": true}
answer_control = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_control = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-control", "grade": true, "points": 5}
check.control(answer_control)

# %% [markdown]
# ## 4. Another direction: the first component
#
# Where texts come in pairs there is a second recipe (Zou and others, 2023). Each pair has a difference, positive less negative. Take the direction that these differences share most: the one along which the sum of their squared projections is largest. Libraries compute such a thing as PCA, principal component analysis. So
# the code that goes around is this:
#
# ```python
# def first_component(positive, negative):
#     differences = positive - negative
#     return torch.pca_lowrank(differences, q=1)[2][:, 0]
# ```
#
# The symptom: on a good set of pairs the result is almost at right angles to the mean difference, and on another machine it points the other way.
#
# **By hand.** Three pairs with the differences $(4, 1), (4, 0), (4, -1)$. What they share is $(1, 0)$, and the sums of squares are 48 along it and 2 across. But PCA first **centres**: it subtracts the mean, $(4, 0)$. What is left is $(0, 1), (0, 0), (0, -1)$, and the first component of that is $(0, 1)$, or $(0, -1)$. Centring took away exactly what
# we were looking for and left the noise.

# %% [markdown]
# ### Exercise 8.8: Find the bug
#
# *10 points · ●●○ · 12 minutes*
#
# Mend it. (`pca_lowrank` has an option `center=False`, but it starts from random numbers and, with a small `q`, only estimates. `torch.linalg.svd` is exact.) Return a direction of length 1, `(width,)`: the first component of the differences as they are, pointing the way the mean difference points.
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svd(A, full_matrices=False)` centres nothing. Its third value has the directions as rows, the most shared one first.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Along a component, its opposite explains as much. Compare with the mean of the differences: if their product is negative, turn it round.
#
# </details>


# %% nbgrader={"grade_id": "first-component", "solution": true}
def first_component(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """The direction that the pairs' differences share most, of length 1: (width,)."""
    ### BEGIN SOLUTION
    pair_by_pair = positive - negative  # (pair, width)
    shared = torch.linalg.svd(pair_by_pair, full_matrices=False).Vh[0]
    return shared if shared @ pair_by_pair.mean(dim=0) > 0 else -shared
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-first-component", "grade": true, "points": 10}
check.first_component(first_component)
### BEGIN HIDDEN TESTS
check.first_component(first_component, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Exchange the stacks and the direction turns round, which it does only if the mean fixes the sign. If all pairs differ by the same vector, that vector is the answer; a centred method would find nothing at all.
#
# </details>

# %% tags=["quoted"]
print("cosine with the mean difference")
for layer in (0, 3, 5):
    centred = torch.pca_lowrank(up[layer] - down[layer], q=len(up[layer]))[2][:, 0]
    right = first_component(up[layer], down[layer])
    cosines = [
        abs(float(torch.cosine_similarity(each, vectors[layer], dim=0)))
        for each in (right, centred)
    ]
    print(f"block {layer}: as it is {cosines[0]:.2f}, centred {cosines[1]:.2f}")

# %% [markdown] tags=["quotes"]
# As they are, the differences share what the mean says: the cosine is 1.00 at each block. The centred component has 0.11, 0.19 and 0.49. It is a direction of whatever varies from pair to pair.

# %% [markdown]
# ## 5. What does it cost?
#
# A push of strength 2 turns nearly every verdict. What does it do to everything else? Two measures. **Side effects**: of sentences that have nothing to do with reviews (capitals, sums, who gave what to whom), how many still get the right answer? **Fluency**: let the steered model write on, and let the **unsteered** model read the
# result. If it finds the text strange, the push has broken more than the opinion. The measure is **perplexity** (chapter 00): two to the power of the mean surprisal in bits.
#
# $$\text{perplexity} = 2^{\frac{1}{n} \sum_i -\log_2 p_i}$$
#
# **By hand.** Three new words with the probabilities $\tfrac12, \tfrac14, \tfrac18$: the surprisals are $1, 2, 3$ bits, their mean is 2, and the perplexity is $2^2 = 4$, as if each word had been drawn from four.

# %% [markdown]
# ### Exercise 8.9: How strange a text is
#
# *10 points · ●●○ · 10 minutes*
#
# `logits` `(seq, vocabulary)` are the unsteered model's, `ids` `(seq,)` the text's. Only the words from the place `first` on count: those before are the prompt, which nobody generated. Return the perplexity, a number.
#
# 1. The logits at a place are about the **next** one.
# 2. Take the mean over the words that count, then the power.
#
# (The table below the exercise takes the logarithm again: log2 of the perplexity is what a word costs in bits, on average.)
#
# <details><summary>Hint</summary>
#
# The rows `first - 1` up to the last but one are about the words from `first` on.
#
# </details>


# %% nbgrader={"grade_id": "perplexity", "solution": true}
def perplexity(logits: torch.Tensor, ids: torch.Tensor, first: int) -> float:
    """Two to the power of the mean surprisal, in bits, of the words from `first` on."""
    ### BEGIN SOLUTION
    about = logits[first - 1 : -1].log_softmax(-1)  # (words, vocabulary)
    chosen = about.gather(1, ids[first:, None])[:, 0]
    return float((-chosen.mean()).exp())
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-perplexity", "grade": true, "points": 10}
check.perplexity(perplexity)
### BEGIN HIDDEN TESTS
check.perplexity(perplexity, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Bits with a power of two, or natural logarithms with a power of $e$, give the same. A model that finds all words equally likely has the size of its vocabulary as its perplexity, and one that was certain of each has 1.
#
# </details>


# %% tags=["quoted"]
@torch.no_grad()
def write(prompts: list[str], steps: int, edits: dict | None = None) -> list[torch.Tensor]:
    """The ids of each prompt and of the words most probable after it, one by one; each (seq + steps,)."""
    if len(prompts) > AT_ONCE:
        return [text for some in some_at_once(prompts) for text in write(some, steps, edits)]
    rows = tokenizer(prompts)["input_ids"]
    longest = max(map(len, rows))
    # filled up on the left, so that all end together
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    run = partial(
        model.generate,
        ids,
        attention_mask=seen,
        do_sample=False,
        min_new_tokens=steps,
        max_new_tokens=steps,
        pad_token_id=0,
    )
    for number, edit in (edits or {}).items():
        run = partial(edited, BLOCKS[number], edit, run)
    return [text[longest - len(row) :] for text, row in zip(run(), rows)]


@torch.no_grad()
def strangeness(texts: list[torch.Tensor], steps: int) -> list[float]:
    """The perplexity of the last `steps` words of each text under the unsteered model."""
    if len(texts) > AT_ONCE:
        return [found for some in some_at_once(texts) for found in strangeness(some, steps)]
    width = max(map(len, texts))
    stream = model.transformer(
        torch.stack([torch.nn.functional.pad(text, (0, width - len(text))) for text in texts])
    ).last_hidden_state
    # words for these places only
    tails = [
        model.lm_head(row[len(text) - steps - 1 : len(text)]) for row, text in zip(stream, texts)
    ]
    return [perplexity(tail, text[-steps - 1 :], 1) for tail, text in zip(tails, texts)]


STEPS = 8
others = [
    s
    for family in smallworld.FAMILIES
    if not family.startswith("review")
    for s in smallworld.sample(family, 12, seed=5)
]
prompts = [s.prompt for s in others]
unit = in_spreads(up[LAYER], down[LAYER], vectors[LAYER], 1)
directions = {"vector": unit, "random": random / random.norm() * unit.norm()}
costs = {}
size = model.lm_head.out_features
print(
    f"{len(others)} sentences of other families, block {LAYER}; if all {size} words were equally likely, each would cost {torch.tensor(float(size)).log2():.1f} bits"
)
print("                right answer              log2 of the perplexity of what follows (median)")
for name, strengths in (("vector", (0, 1, 2, 4)), ("random", (1, 2, 4))):
    for strength in strengths:
        edits = {LAYER: partial(push, vector=strength * directions[name])}
        texts = write(prompts, STEPS, edits)
        right = [tokenizer.decode(text[-STEPS]) in s.accepted for text, s in zip(texts, others)]
        strange = torch.tensor(strangeness(texts, STEPS))
        costs[name, strength] = sum(right) / len(right), float(strange.log2().mean())
        print(
            f"{name}, {strength:<6} {interval(right):<25} {interval(strange.log2(), torch.median)}"
        )

# %% alt="Four lines over the strength of the push: the share of verdicts turned rises to one by strength two, while the share of other sentences with the right answer falls beyond strength one, and faster for the vector than for a random direction."
strengths = [0, 1, 2, 4]
costs["random", 0] = costs["vector", 0]
# without a push none turns
verdicts = [0.0, *(by_layer[s][LAYER].mean() for s in (1, 2)), turned(LAYER, 4 * unit).mean()]
charts.curves(
    strengths,
    {
        "verdicts turned": verdicts,
        "others right, vector": [costs["vector", s][0] for s in strengths],
        "others right, random": [costs["random", s][0] for s in strengths],
    },
    label="share of sentences",
    over="strength, in spreads",
    title="Where the verdicts turn, other answers already go wrong",
)

# %% [markdown] tags=["quotes"]
# Up to strength 1 little is lost: 0.97 of the other sentences are still right, and the text that follows is as fluent as without a push, where a word costs 1.38 bits. But at strength 1 hardly a verdict turns at this block. At strength 2, where they do turn, 0.81 are right and a word costs 2.04 bits. At strength 4 the text has fallen apart: 0.25 right, and 18.30 bits. A model that held all
# 1653 words equally likely would pay 10.7 bits for each, so this one is not unsure: it takes something else for sure.
#
# The random direction is the control once more. At strength 2 it leaves 0.97 right, at strength 4 it leaves 0.58. So part of the harm comes from the size of the push alone, and part from this direction. (For fluency it is the other way round: at strength 2 the random push makes the stranger text, 2.49 bits.) At block 3, pushed at every place, none of these strengths turns the verdict for certain and leaves the rest alone. **Optional:** is it better at `places=[-1]`, or at another block?

# %% tags=["quoted"]
for strength in (0, 1, 2, 4):
    texts = write(
        ["The hotel was", "The capital of France is"],
        9,
        {LAYER: partial(push, vector=strength * unit)},
    )
    print(f"strength {strength}:", " | ".join(tokenizer.decode(text[1:]) for text in texts))

# %% [markdown]
# The same at your own pace: the slider pushes block 3 by your vector while the model goes on from the bad review at the top. On grey stands what it adds, below it how strange that is to the model left alone. **Try:** move from 0 to the right until the verdict turns, and stop. On this one text there is a window, where the verdict has turned and the words after it are still a sentence (the strangeness that is left is the turned verdict's own). How wide is it? Then push on to 4, and to the other side. Other texts have other windows, which is why the table above counts over many.

# %%
gb.views.steering(
    model,
    tokenizer,
    HOTEL,
    unit,
    layer=LAYER,
    unit="raw",
    strengths=[-4, -3, -2, -1, 0, 0.5, 1, 1.25, 1.5, 1.75, 2, 3, 4],
    new_tokens=10,
    watch=[" positive", " negative"],
    title="A little push turns the verdict, a little more breaks the text",
)

# %% [markdown]
# ### Question 8.10: What was pushed?
#
# *5 points · ●●○ · 3 minutes*
#
# With a strong push the model goes on from *The capital of France is* with the word *positive*, and repeats it. What does that suggest?
#
# - **a** The model likes Paris.
# - **b** The push was too weak for a capital.
# - **c** The vector was read at the place just before the verdict, where what the stream holds is "say *positive* next". It is as much a word as a concept.
# - **d** The hook stayed on the model.

# %% nbgrader={"grade_id": "answer-word", "solution": true}
answer_word = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_word = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-word", "grade": true, "points": 5}
check.word(answer_word)

# %% [markdown]
# ## 6. Take it out
#
# Pushing shows that a direction *can* turn the verdict. Does the model itself use it? Take it out and see. **Ablating** a direction leaves everything but the part along it:
#
# $$h \leftarrow h - (h \cdot \hat v) \, \hat v$$
#
# **By hand.** $h = (3, 4)$ and $v = (2, 0)$. Then $\hat v = (1, 0)$, $h \cdot \hat v = 3$, and what is left is $(0, 4)$. Do it again and nothing changes.

# %% [markdown]
# ### Exercise 8.11: Without a direction
#
# *10 points · ●●○ · 8 minutes*
#
# `hidden` is `(..., width)`, with any number of axes before the last; `direction` is `(width,)`, of any length. Return a tensor of the shape of `hidden`.
#
# <details><summary>Hint</summary>
#
# `hidden @ unit` loses the last axis. `[..., None]` puts one back.
#
# </details>


# %% nbgrader={"grade_id": "without", "solution": true}
def without(hidden: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The stream without its part along the direction, in the shape it had."""
    ### BEGIN SOLUTION
    unit = direction / direction.norm()
    return hidden - (hidden @ unit)[..., None] * unit
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-without", "grade": true, "points": 10}
check.without(without)
### BEGIN HIDDEN TESTS
check.without(without, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# What is left is at right angles to the direction, taking it out twice is taking it out once, and the length of the direction plays no part. The forgotten $\lVert v \rVert$ is the usual mistake here, and it does not crash: it overshoots.
#
# </details>

# %% [markdown]
# The plain reviews' direction is taken out at block 3, at every token, and the verdicts are asked for. Half of the reviews are good, so a model that always says the same is right in one half. Guess before you run: plain, contrasted, negated. Which survive?


# %% tags=["quoted"]
def still_right(kind: str, edits: dict) -> torch.Tensor:
    """Which held-out reviews of a kind keep the right verdict: (review,), 0 or 1."""
    answers = torch.where(good[kind], POSITIVE, NEGATIVE)
    return (next_logits([s.prompt for s in held[kind]], edits).argmax(-1) == answers).float()


print(f"right verdicts after a direction was taken out at block {LAYER}")
print("direction taken out        " + "".join(f"{kind:<24}" for kind in held))
for name, direction in (("of plain reviews", vectors[LAYER]), ("a random one", random)):
    print(
        f"{name:<27}"
        + "".join(
            f"{interval(still_right(kind, {LAYER: partial(without, direction=direction)})):<24}"
            for kind in held
        )
    )
for kind in ("plain", "contrasted"):
    said = next_logits(
        [s.prompt for s in held[kind]], {LAYER: partial(without, direction=vectors[LAYER])}
    ).argmax(-1)
    print(
        f"without that of plain reviews, {kind} ones are called positive: {(said == POSITIVE).float().mean():.2f}"
    )
last = vectors[5]
print(
    f"{'of plain reviews, block 5':<27}"
    + "".join(
        f"{interval(still_right(kind, {5: partial(without, direction=last)})):<24}" for kind in held
    )
)

# %% [markdown] tags=["quotes"]
# Without the direction the verdict of plain reviews falls to 0.52 and that of contrasted ones to 0.50. That is no coin: the model now calls 1.00 of both *positive*, whatever they say, and is right where they happen to be good. A random direction costs nothing. So far it looks as if the place had been found. But 0.94 of the negated reviews keep their verdict. They never needed it.
#
# The last row is the strangest. At block 5 this direction puts the negated reviews in perfect order (AUROC 1.00, in the first table), and they can do without it: 1.00 are right.

# %% [markdown]
# ### Question 8.12: It reads, and is not used
#
# *5 points · ●●○ · 3 minutes*
#
# At block 5 the plain reviews' direction puts the negated reviews in perfect order, and taking it out does not change one of their verdicts. What follows?
#
# - **a** The AUROC was computed wrongly.
# - **b** The model computes the verdict twice and throws one of them away.
# - **c** Ablation does not work at the last block.
# - **d** That something can be read from a direction does not show that the model reads it there. The verdict of these reviews is carried by something else as well.

# %% nbgrader={"grade_id": "answer-reads", "solution": true}
answer_reads = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_reads = "d"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-reads", "grade": true, "points": 5}
check.reads(answer_reads)

# %% [markdown]
# ## 7. Not so fast
#
# A mean difference carries **whatever** differs between the two stacks. In the plain reviews two things differ, and always together: the tone of the adjective and the verdict. Such pairs are **confounded**. The small world knows which reviews pull the two apart: the negated ones.
#
# So make three vectors at block 3, from forty pairs each: of plain reviews, of negated ones, and half of each. And read at two places: at the last token, before the verdict, and at the full stop after the adjective, where no verdict is due yet. Which reading will follow the tone, and which the verdict?

# %% tags=["quoted"]
negated_ups, negated_downs = pairs("review_negated", 40)
sources = {
    "plain pairs": (ups, downs),
    "negated pairs": (negated_ups, negated_downs),
    "half of each": (ups[:20] + negated_ups[:20], downs[:20] + negated_downs[:20]),
}
places = [*((name, "") for name in sources), ("plain pairs", "."), ("negated pairs", ".")]
stacks = {
    (name, place): [states(texts, place)[LAYER] for texts in sources[name]]
    for name, place in places
}
found = {source: mean_difference(*stacks[source]) for source in places}
fresh = {
    kind: [s for s in held[kind] if s.prompt not in {*negated_ups, *negated_downs}]
    for kind in ("plain", "negated")
}
fresh_good = {
    kind: torch.tensor([s.answer == " positive" for s in sentences])
    for kind, sentences in fresh.items()
}
fresh_read = {
    (kind, place): states([s.prompt for s in sentences], place)[LAYER]
    for kind, sentences in fresh.items()
    for place in ("", ".")
}
print(
    f"AUROC of the verdict, block {LAYER}, {len(fresh['plain'])} plain and {len(fresh['negated'])} negated reviews"
)
for (name, place), vector in found.items():
    row = "".join(
        f"{order(along(fresh_read[kind, place], vector), fresh_good[kind]):<24}" for kind in fresh
    )
    print(f"{name + (' at the full stop' if place else ' at the last token'):<34} {row}")
cosine = torch.cosine_similarity(found["plain pairs", ""], found["negated pairs", ""], dim=0)
print(f"cosine of the plain and the negated vector at the last token: {cosine:.2f}")

# %% [markdown] tags=["quotes"]
# At the last token all three vectors order both kinds. At the full stop the plain vector orders plain reviews with 1.00 and negated reviews with 0.00: perfectly, and the wrong way round. It reads the tone of the adjective. The negated vector does the opposite. From plain reviews alone nobody could have told tone and verdict apart; both
# fit every pair.
#
# The cosine says something else. At the last token the vectors of plain and negated reviews have a cosine of 0.25: they point far apart. That hints at two ways to a verdict, one for each set of pairs. The next cell tests it.

# %% [markdown]
# Reading is one thing. What does each vector **do**? Three tests: it is taken out; it is pushed against the verdict at strength 2; and it is pushed while the model is about to write an adjective (*The hotel was very*), to see whether the choice of words changes.

# %% tags=["quoted"]
praise, blame = (
    torch.tensor([token(f" {word}") for word in words]) for words in (world.PRAISE, world.BLAME)
)
begun = list(
    dict.fromkeys(s.prompt[: s.evidence[0][0]].rstrip() for s in held["plain"] + held["contrasted"])
)
begun = [text for text in begun if text.split()[-1] in (*world.INTENSIFIERS, "was")][:200]


def praising(vector: torch.Tensor, strength: float) -> torch.Tensor:
    """Of the probability of all words of praise and blame, the share of praise: (text,)."""
    chances = next_logits(begun, {LAYER: partial(push, vector=strength * vector)}).softmax(-1)
    return chances[:, praise].sum(-1) / (chances[:, praise].sum(-1) + chances[:, blame].sum(-1))


print(
    f"block {LAYER}: right verdicts without it (plain, negated); verdicts turned at strength 2; share of praise at -2, 0 and 2, {len(begun)} texts; length of strength 2"
)
print(f"{'':<34}plain   negated turned  at -2   at 0    at 2    length")
for name, place in (
    ("plain pairs", ""),
    ("negated pairs", ""),
    ("half of each", ""),
    ("plain pairs", "."),
):
    vector = found[name, place]
    one = in_spreads(*stacks[name, place], vector, 1)
    kept = [
        float(still_right(kind, {LAYER: partial(without, direction=vector)}).mean())
        for kind in ("plain", "negated")
    ]
    numbers = [
        *kept,
        float(turned(LAYER, 2 * one).mean()),
        *(float(praising(one, strength).mean()) for strength in (-2, 0, 2)),
    ]
    print(
        f"{name + (' at the full stop' if place else ' at the last token'):<34}"
        + "".join(f"{number:<8.2f}" for number in numbers)
        + f"{2 * one.norm():.0f}"
    )
as_long = directions["vector"].norm() * vector / vector.norm()
for name, one in (
    ("the same, as long as the first", as_long),
    ("a random one", directions["random"]),
):
    numbers = [
        float(turned(LAYER, 2 * one).mean()),
        *(float(praising(one, strength).mean()) for strength in (-2, 0, 2)),
    ]
    print(
        f"{name:<34}{'':<16}"
        + "".join(f"{number:<8.2f}" for number in numbers)
        + f"{2 * one.norm():.0f}"
    )

# %% [markdown] tags=["quotes"]
# Each vector removes its own kind. Without the plain one, plain reviews are right in 0.52 of the cases and negated ones in 0.94; without the negated one it is 0.87 and 0.50. The vector from half of each takes both down to 0.52 and 0.50: it has what the two ways share, or enough of each. The negated one turns 0.96 of the verdicts at strength 2, and leaves the choice of words as it is.
#
# The vector of the full stop is the opposite case. It reads plain reviews perfectly, but without it every verdict is right, and at strength 2 it turns 0.00 of them, and no more if it is made as long as the first one. Yet it is not idle: it moves the share of words of praise from 0.36 to 0.60, and as long as the first one from 0.06 to 0.94. (Here the random direction is not idle either: 0.25 to 0.69. So look at the difference between them.) It pushes the tone of the words that come, and no verdict. The vector of the last token does both, from 0.04 to 0.90, and says *positive* where
# no verdict is due. So it could well be the two other things: the word *positive*, and the tone.

# %% [markdown]
# ### Question 8.13: The dial
#
# *10 points · ●●○ · 12 minutes*
#
# A colleague shows the figure from the top of this chapter and writes: "We have found the model's positivity dial." Answer in five to seven sentences: what the figure does show, two things that it does not show (each with an experiment of this chapter and its numbers), and what you would do before you called a direction by
# the name of a concept.

# %% [markdown] nbgrader={"grade_id": "written-dial", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The figure shows that adding this one vector at block 3 makes *positive* the answer to a bad review, while a random vector of the same length does nothing. So the direction can turn the verdict. It does not show that the model keeps positivity there: when the direction of plain reviews is taken out, plain reviews fall to 0.52, but 0.94 of the negated reviews keep their
# verdict, so the model has another way. Nor does it show that the vector is a concept: at strength 4 it makes the model say *positive* after a question about a capital, and only 0.25 of the other sentences are right, which looks more like the word that was about to be said. A vector read at the full stop follows the tone of the adjective, with an AUROC of 1.00 on plain and 0.00 on negated
# reviews. Before using the name of a concept I would make pairs in which tone and verdict come apart, test on kinds of reviews that were not used, put a random direction of the same length beside every number, steer and ablate, and report what the push does to other sentences.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: says what the figure shows: this direction, and not a random one of the same length, turns the verdict.
# - 4: two things that it does not show, each with its experiment and a number: word rather than concept (side effects, *positive* everywhere), ablation that leaves the negated reviews as they were, tone against verdict, a direction that reads and is not used.
# - 3: what to do first: pairs in which the confounded things come apart, a control, ablation beside steering, side effects and fluency.
# - 1: clear, no overclaim.

# %% [markdown]
# ## 8. In the wild
#
# The package `steering-vectors` makes such vectors from pairs for most models of the transformers library, and `repeng` does so with the first component. TransformerLens and nnsight give the hooks. With glassbox it is `v = gb.steering_vector(model, tokenizer, positive=[...], negative=[...], layer=3)`, then `with gb.steer(model, v, strength=2):`, `gb.ablate`
# and `gb.project`. Whatever you use, find out three things: at which token it reads, in which unit it counts the strength, and whether it pushes the prompt or only what is generated.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. The cell makes a vector from six pairs in the middle of that model, and lets it write. What will differ: there is no truth to judge by; a useful strength
# depends on the model and on the layer; and a large model that is pushed too hard repeats itself, which the unsteered model may find quite likely. A low perplexity is then no good sign, so read the texts.

# %%
if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_blocks = list(gb.anatomy(real_model).blocks)
    real_block = real_blocks[len(real_blocks) // 2]
    opposites = [
        ("wonderful", "terrible"),
        ("happy", "sad"),
        ("good", "bad"),
        ("lovely", "ugly"),
        ("great", "awful"),
        ("kind", "cruel"),
    ]

    @torch.no_grad()
    def real_state(text: str) -> torch.Tensor:
        notes = []
        edited(
            real_block,
            lambda hidden: notes.append(hidden) or hidden,
            lambda: real_model(real_tokenizer(text, return_tensors="pt")["input_ids"]),
        )
        return notes[0][0, -1]

    stacks = [
        torch.stack(
            [
                real_state(f"I think that this is a {pair[side]} story, and it makes me feel")
                for pair in opposites
            ]
        )
        for side in (0, 1)
    ]
    real_vector = mean_difference(*stacks)
    asked = real_tokenizer("When I think of my school, I", return_tensors="pt")["input_ids"]
    length = asked.shape[1]
    for strength in (-4, -2, 0, 2, 4):
        added = in_spreads(*stacks, real_vector, strength)
        keep_on = partial(
            real_model.generate,
            asked,
            attention_mask=torch.ones_like(asked),
            do_sample=False,
            max_new_tokens=12,
            pad_token_id=0,
        )
        with torch.no_grad():
            ids = edited(real_block, partial(push, vector=added), keep_on)[0]
            strange = (
                perplexity(real_model(ids[None]).logits[0], ids, length)
                if len(ids) > length
                else float("nan")
            )
        print(f"strength {strength:>2}, perplexity {strange:>8.1f}: {real_tokenizer.decode(ids)}")
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 9. Take away
#
# - A hook that returns nothing changes nothing, and a hook that stays changes everything after it.
# - A mean difference carries all that differs between the stacks. Choose pairs that differ in one thing, and test on texts where its companions come apart.
# - Reading, steering and ablating are three questions. A direction can pass one and fail the others.
# - Report the strength with its unit, a random direction beside it, and what the push does to texts that it is not about.
# - A vector read just before a word says that word. Whether it is a concept has to be shown.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | mean difference | which direction leads from these texts to those? | one forward pass a text | a first vector | carries everything that differs |
# | first component | which direction do the pairs share? | one forward pass a text | pairs that are noisy | centring loses it; the sign is open |
# | reading by projection | how far along is this text? | one forward pass | the order of texts like those it was made from | readable is not used |
# | steering | can this direction change the answer? | one forward pass a setting | showing that it can | strong pushes break any text |
# | ablation | does the model need this direction? | one forward pass | showing that it does | the model may have a second way |
#
# **Further reading**
#
# - Turner and others (2023), *Steering Language Models With Activation Engineering*: one pair of words, one vector, and examples of what it does to the text.
# - Rimsky and others (2024), *Steering Llama 2 via Contrastive Activation Addition*: mean differences over many pairs, swept over layers and strengths.
# - Zou and others (2023), *Representation Engineering*: the first component, and reading and control as two halves of one programme.
# - Arditi and others (2024), *Refusal in Language Models Is Mediated by a Single Direction*: steering and ablation together, which is what makes the claim strong.
# - Belinkov (2022), *Probing Classifiers: Promises, Shortcomings, and Advances*: why being able to read something is not the same as its being used.
