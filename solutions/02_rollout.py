# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Rollout: where does information flow across layers?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.attention.rollout
#     - glassbox.attention.with_residual
#     - glassbox.attention.discard_smallest
#     - glassbox.attention.uniform_attention
#     - glassbox.attention.FUSIONS
#     - glassbox.flow.maximum_flow
#     - glassbox.flow.attention_flow
#   objectives:
#     - {text: "fuse a layer's heads into one matrix and add the residual stream to it", tested_by: [check-fuse-heads, check-add-residual, check-answer-why-identity]}
#     - {text: "multiply layers in the order in which information passes them, and read the result", tested_by: [check-rollout, check-answer-which-entry]}
#     - {text: "say what a score would be if the model preferred nothing, and compare with it", tested_by: [check-uniform-rollout, check-answer-first-token]}
#     - {text: "find the mistake in the usual code for discarding small weights", tested_by: [check-discard]}
#     - {text: "compute attention flow, and say how it differs from rollout", tested_by: [check-attention-flow]}
#     - {text: "judge whether rollout explains a prediction, against words that are known to decide it", tested_by: [written-what-rollout-says]}
# ---

# %% [markdown]
# # 02 Rollout: where does information flow across layers?
#
# A model reads *When Mary and John went to the store, John gave a drink to* and says *Mary*. One layer's
# attention says where that layer looks. Look at six layers at once: run the next two cells, and ask each layer which word the last token
# listens to.

# %%
from dataclasses import replace

import glassbox as gb
import networkx as nx
import smallworld
import torch
from classroom.checks import rollout as check
from glassbox import figures

model, tokenizer = gb.load("smallworld")
PROMPT = "When Mary and John went to the store, John gave a drink to"

# %% alt="Heat map of six rows, one for each layer, over the tokens of the prompt. The layers disagree about which token the last one listens to."
layers = [
    gb.explain(model, tokenizer, PROMPT, method="attention", layer=layer) for layer in range(6)
]
figures.token_strip(
    layers,
    names=[str(layer) for layer in range(6)],
    label="layer",
    title="Six layers, three favourites, and neither word that decides is among them",
)

# %% [markdown]
# Each row is an honest measurement (the mean over the layer's heads, scaled by its largest score), but the six layers have three different favourites: *gave*, the start token, and the word *and*. Neither of the
# two words that decide, *Mary* and the second *John*, leads in any of them. Worse, from layer 1 on, the rows are not even about words: what stands at the position of *store* in layer 3 is a mixture of everything that *store* has listened to in the
# layers below. To know which **words** reached the last token, we have to follow the mixtures down, layer by layer. That
# is rollout, and it is ten lines of code.
#
# **After this chapter you can**
#
# 1. fuse a layer's heads into one matrix and add the residual stream to it;
# 2. multiply layers in the order in which information passes them, and read the result;
# 3. say what a score would be if the model preferred nothing, and compare with it;
# 4. find the mistake in the usual code for discarding small weights;
# 5. compute attention flow, and say how it differs from rollout;
# 6. judge whether rollout explains a prediction, against words that are known to decide it.
#
# **You need** chapter 01: queries, keys, the causal mask; and the product of two matrices. **Time:** 120 minutes.
# **The new question:** not where one layer looks, but what arrives after all of them.
#
# **How to work.** Write your code in place of `raise NotImplementedError()`, run the cell, then run the check below it. A
# check that fails says which mistake it thinks you made. Hints open one at a time.

# %% [markdown]
# ## 1. One layer: the heads, and what a token keeps of itself
#
# A layer has several heads, and rollout wants one matrix. So the heads are **fused**: by their mean (every head has a
# vote), by their maximum (one interested head is enough), or by their minimum (all heads must agree).
#
# **By hand.** Two heads read *The cat sat*. Row *sat* of the first head is $(0.2, 0.7, 0.1)$, of the second
# $(0.4, 0.1, 0.5)$: the first head looks at *cat*, the second at *The* and at *sat* itself.
#
# | row *sat* | The | cat | sat | sum |
# | --- | --- | --- | --- | --- |
# | head 1 | 0.2 | 0.7 | 0.1 | 1.0 |
# | head 2 | 0.4 | 0.1 | 0.5 | 1.0 |
# | mean | 0.3 | 0.4 | 0.3 | 1.0 |
# | max | 0.4 | 0.7 | 0.5 | 1.6 |
# | min | 0.2 | 0.1 | 0.1 | 0.4 |
#
# The mean of rows that sum to one sums to one. The maximum and the minimum don't: remember that, it comes back in a
# moment.

# %% [markdown]
# ### Exercise 2.1: Fuse the heads
#
# *10 points · ●○○ · 8 minutes*
#
# Turn the attention weights of one layer, shape `(head, query, key)`, into one matrix `(query, key)`.
#
# 1. Find out which axis holds the heads.
# 2. Fuse along it in the way that `how` asks for: `"mean"`, `"max"` or `"min"`.
# 3. Leave the rows as they come out, whatever they sum to.
#
# <details><summary>Hint 1</summary>
#
# Tensors have the methods `mean`, `amax` and `amin`. Each takes the axis that is to disappear.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.max` over an axis returns two things, the values and where they stand. `amax` returns the values alone.
#
# </details>


# %% nbgrader={"grade_id": "fuse-heads", "solution": true}
def fuse_heads(attention: torch.Tensor, how: str) -> torch.Tensor:
    """One matrix (query, key) for a layer's heads (head, query, key); how: "mean", "max" or "min"."""
    ### BEGIN SOLUTION
    if how == "mean":
        return attention.mean(dim=0)  # (query, key)
    if how == "max":
        return attention.amax(dim=0)
    return attention.amin(dim=0)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-fuse-heads", "grade": true, "points": 10}
check.fuse_heads(fuse_heads)
### BEGIN HIDDEN TESTS
check.fuse_heads(fuse_heads, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The heads are axis 0, so they are the axis that must disappear. With two heads and three tokens,
# the wrong axis shows in the shape. With as many heads as tokens the shape would be right and only the numbers wrong: that
# is how this mistake survives in practice.
#
# </details>

# %% [markdown]
# Attention is not the only way up. A transformer block **adds** its output to what came in, $x + \text{attention}(x)$,
# so what a token held before travels on beside what attention brings: this is the residual stream. Abnar and Zuidema (2020) write it as the identity
# matrix, mixed half and half with the attention:
#
# $$\hat{A} = \text{rows of } \big( (1 - r)\, A + r\, I \big) \text{ divided by their sums}, \qquad r = \tfrac12$$
#
# Here $r$ is the weight of the identity, `residual_weight` in the code. (A token keeps more of itself than that if it also
# attends to itself.) A half is a guess, and we will try others.
#
# **By hand.** The heads' mean for *sat* was $(0.3, 0.4, 0.3)$. Half of it is $(0.15, 0.2, 0.15)$; half of the identity's
# row is $(0, 0, 0.5)$. Together: $(0.15, 0.2, 0.65)$. *Sat* is now mostly *sat*. With the maximum, $(0.4, 0.7, 0.5)$, the
# same steps give $(0.2, 0.35, 0.75)$, which sums to 1.3. Divide by it, and the row is $(0.15, 0.27, 0.58)$.

# %% [markdown]
# ### Exercise 2.2: Add the residual
#
# *15 points · ●○○ · 10 minutes*
#
# Turn fused weights `(query, key)` into $\hat{A}$, of the same shape.
#
# 1. Mix the weights and the identity: the share `residual_weight` goes to the identity, the rest to the weights.
# 2. Divide each row by its own sum, last of all.
#
# <details><summary>Hint 1</summary>
#
# `torch.eye(n)` is the identity of n rows. Give it the `dtype` of the weights.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# To divide rows by their sums, the sums must stand in a column: shape `(query, 1)`. See `keepdim`.
#
# </details>


# %% nbgrader={"grade_id": "add-residual", "solution": true}
def add_residual(fused: torch.Tensor, residual_weight: float = 0.5) -> torch.Tensor:
    """A layer's attention beside the token itself: (query, key), each row summing to one."""
    ### BEGIN SOLUTION
    identity = torch.eye(len(fused), dtype=fused.dtype)
    mixed = (1 - residual_weight) * fused + residual_weight * identity
    return mixed / mixed.sum(dim=-1, keepdim=True)  # (query, 1) divides each row
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-add-residual", "grade": true, "points": 15}
check.add_residual(add_residual)
### BEGIN HIDDEN TESTS
check.add_residual(add_residual, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Each row is a mixture, so its entries are shares of a whole and must sum to one. The order matters where the heads were
# fused by maximum or minimum: the row $(0.2, 0.1, 0.1)$ of the minimum sums to only 0.4, because the heads look at
# different tokens. It should stay weak beside the identity. Dividing before mixing would bring it to full strength first.
#
# </details>

# %% [markdown]
# ### Question 2.3: Why the identity?
#
# *5 points · ●○○ · 3 minutes*
#
# What in the model is it that the identity stands for?
#
# - **a** The softmax: without the identity, the rows would not sum to one.
# - **b** Each block adds its output to its input, so a token carries itself on to the next layer.
# - **c** The causal mask, which lets each token see itself.
# - **d** Nothing in the model: it only keeps a division by zero away.

# %% nbgrader={"grade_id": "answer-why-identity", "solution": true}
answer_why_identity = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_why_identity = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-why-identity", "grade": true, "points": 5}
check.why_identity(answer_why_identity)

# %% [markdown]
# ## 2. Many layers: follow the mixtures down
#
# Row *sat* of the upper layer says: so much of what *The*, *cat* and *sat* held below. What those held below is told by the rows of
# the lower layer. So each share is multiplied by the row it points to, and the results are added up. That is the product
# of two matrices, with the **later layer on the left**:
#
# $$R = \hat{A}_L \cdots \hat{A}_2 \, \hat{A}_1$$
#
# **By hand.** One head a layer, three tokens. In the lower layer *sat* looks at *cat*, and *cat* looks at *The*. In the
# upper layer *sat* looks at *cat* again, and *cat* at itself. After the residual is added:
#
# | lower layer | The | cat | sat | | upper layer | The | cat | sat |
# | --- | --- | --- | --- | --- | --- | --- | --- | --- |
# | The | 1 | 0 | 0 | | The | 1 | 0 | 0 |
# | cat | 0.5 | 0.5 | 0 | | cat | 0 | 1 | 0 |
# | sat | 0 | 0.5 | 0.5 | | sat | 0 | 0.5 | 0.5 |
#
# At the top, *sat* is half of what *cat* held, $0.5 \cdot (0.5, 0.5, 0)$, and half of what *sat* held,
# $0.5 \cdot (0, 0.5, 0.5)$. Together: $(0.25, 0.5, 0.25)$. A quarter of *sat* comes from *The*, although *sat* never
# looked at *The* in either layer. It came by way of *cat*. This is what no single layer can show.
#
# Multiply the other way round and the row is $(0, 0.75, 0.25)$: *The* is lost. In that order *cat* looks at *The*
# only in the upper layer, too late to hand it on to *sat*.

# %% [markdown]
# ### Exercise 2.4: Roll it out
#
# *15 points · ●●○ · 15 minutes*
#
# Write rollout for one text. `attentions` is a list with one tensor `(head, query, key)` for each layer, the first layer first.
#
# 1. Fuse the heads of each layer with your `fuse_heads`.
# 2. Add the residual with your `add_residual`.
# 3. Multiply the layers so that the last one stands on the left.
# 4. Return the whole matrix `(query, key)`; whoever reads it picks the row.
#
# <details><summary>Hint 1</summary>
#
# Keep what has arrived so far in one matrix, and let each layer act on it as you go up. What should it be before the first layer,
# when nothing has flowed anywhere?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The matrix product is `@`. In `upper @ lower`, row i of the result mixes the rows of `lower` by the weights in row i of
# `upper`.
#
# </details>


# %% nbgrader={"grade_id": "rollout", "solution": true}
def rollout(
    attentions: list[torch.Tensor], residual_weight: float = 0.5, fuse: str = "mean"
) -> torch.Tensor:
    """The share of each token at the top that comes from each input token: (query, key), rows summing to one."""
    ### BEGIN SOLUTION
    flow = torch.eye(attentions[0].shape[-1], dtype=attentions[0].dtype)
    for layer in attentions:  # (head, query, key)
        step = add_residual(fuse_heads(layer, fuse), residual_weight)  # (query, key)
        flow = step @ flow
    return flow
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-rollout", "grade": true, "points": 15}
check.rollout(rollout)
### BEGIN HIDDEN TESTS
check.rollout(rollout, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A product of matrices whose rows sum to one has rows that sum to one, so nothing is gained or lost on the way up. And a product of
# lower triangles is a lower triangle, so nothing flows back from later words. Both are properties that you can test on any
# model, without knowing the right answer. That makes them good tests.
#
# </details>

# %% [markdown]
# ### Question 2.5: Which entry?
#
# *5 points · ●○○ · 3 minutes*
#
# You have `R = rollout(attentions)` for a text of five tokens, numbered from 0. Where do you read what share of
# token 4 at the top comes from token 0?
#
# - **a** `R[0, 4]`
# - **b** the entry `[4, 0]` of the first layer
# - **c** `R[4, 0]`
# - **d** the sum of column 0

# %% nbgrader={"grade_id": "answer-which-entry", "solution": true}
answer_which_entry = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_which_entry = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-which-entry", "grade": true, "points": 5}
check.which_entry(answer_which_entry)

# %% [markdown]
# ### On the model
#
# Two small helpers: one gets the attention weights of a text, the other shows scores of yours as glassbox shows its own.


# %%
def attentions_of(text: str) -> list[torch.Tensor]:
    """The attention weights of the model on a text: for each layer (head, query, key)."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]  # (1, token)
    with torch.no_grad():
        return [layer[0] for layer in model(ids, output_attentions=True).attentions]


def shown(text: str, scores: torch.Tensor, method: str, **details: torch.Tensor) -> gb.Attribution:
    """Scores of your own, one for each token of the text, as glassbox shows them."""
    return replace(
        gb.explain(model, tokenizer, text, method="attention"),
        method=method,
        scores=scores,
        details=details,
    )


tokens = gb.explain(model, tokenizer, PROMPT, method="attention").tokens

# %% [markdown]
# **Guess first.** The model says *Mary*. It can know that only from *Mary* and from the second *John*, who gives and so
# does not receive. Which token will have the highest share in the last row of your rollout? Write your guess down, then run the cell.

# %% tags=["quoted"]
flow = rollout(attentions_of(PROMPT))
for place in flow[-1].argsort(descending=True)[:5].tolist():
    print(f"{tokens[place]:>10}  {flow[-1, place]:.2f}")

# %% [markdown] tags=["quotes"]
# The start token, which is no word at all, holds 0.59 of the row. Then comes *When* with 0.08, then *and* and the comma. *Mary*
# has 0.04, and the second *John*, the one who gives, is not among the first five. If you guessed that the two deciding
# words would lead, you guessed what an explanation should show. The next figure shows how the row came about.

# %% alt="Line chart over the six layers. The share of the last token that is still its own word falls; the share of the first token rises in every layer."
attentions = attentions_of(PROMPT)
shares = torch.stack([rollout(attentions[: depth + 1])[-1] for depth in range(6)])  # (layer, token)
watched = [0, 2, 4, 10, len(tokens) - 1]
figures.layer_lines(
    shares[:, watched],
    ["<|start|>", "Mary", "John, first", "John, second", "to (itself)"],
    title="The deeper, the less the last token is itself and the more it is the first one",
    label="share of the last token's row",
)

# %% [markdown]
# ## 3. The baseline: what would nobody's attention give?
#
# Follow the shares downwards, from the last token to the words. In a causal model every token can pass some of its share on
# to the first one, while the first can pass it to nobody but itself. So the first token's share grows, layer by layer, even
# if no head prefers it. Before a share of 0.4 means
# anything, you need to know what it would be if the model preferred nothing.
#
# **By hand.** Uniform attention over three tokens gives *sat* the row $(\tfrac13, \tfrac13, \tfrac13)$ and *cat* the row
# $(\tfrac12, \tfrac12, 0)$. With half a residual, one layer gives *sat* $(0.17, 0.17, 0.67)$. A second layer takes a
# sixth of *The*, a sixth of *cat* and two thirds of *sat*: $(0.32, 0.24, 0.44)$. After one layer *The* and *cat* were equal. After two, *The*
# leads, and it will go on doing so.

# %% [markdown]
# ### Exercise 2.6: The uniform baseline
#
# *10 points · ●○○ · 10 minutes*
#
# Compute the last token's row of the rollout of a model whose heads look equally at all that they may see.
#
# 1. Build the attention: row i has i + 1 equal entries that sum to one, then zeros.
# 2. Use it, as a layer with one head, in each of the `layers` layers.
# 3. Roll it out with your own `rollout`, and return the last row, shape `(seq,)`.
#
# <details><summary>Hint 1</summary>
#
# `torch.tril` keeps the lower triangle of a matrix and puts zeros above it. Give it a matrix of ones, and ask what each row
# then has to be divided by.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `rollout` wants `(head, query, key)`. `matrix[None]` puts an axis of length one in front. And `[matrix] * 3` is a list
# of three.
#
# </details>


# %% nbgrader={"grade_id": "uniform-rollout", "solution": true}
def uniform_rollout(layers: int, seq: int, residual_weight: float = 0.5) -> torch.Tensor:
    """The last token's row of rollout when attention is uniform: (seq,)."""
    ### BEGIN SOLUTION
    triangle = torch.ones(seq, seq).tril()
    attention = triangle / triangle.sum(dim=-1, keepdim=True)  # (query, key)
    return rollout([attention[None]] * layers, residual_weight)[-1]  # (key,)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-uniform-rollout", "grade": true, "points": 10}
check.uniform_rollout(uniform_rollout)
### BEGIN HIDDEN TESTS
check.uniform_rollout(uniform_rollout, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Uniform attention is a model that prefers nothing, so what is left in its rollout is the geometry of the mask alone. The row still
# sums to one: the baseline is a full set of scores, and can be compared entry by entry.
#
# </details>

# %% [markdown]
# Now put both side by side: your rollout as bars, the baseline as black marks.

# %% alt="Bar chart of rollout scores for each token of the prompt with a mark for uniform attention at each bar. The bars fall from top to bottom as the marks do; the start token's bar is far above its mark, and nearly all others are below theirs. The evidence words Mary and the second John do not stand out."
baseline = uniform_rollout(len(attentions), len(tokens))
evidence = smallworld.token_mask(PROMPT, ((5, 9), (38, 42)), tokenizer)
figures.token_bars(
    shown(PROMPT, flow[-1], "rollout", baseline=baseline),
    evidence=evidence,
    title="Rollout follows the shape of the mask more than the words that decide",
)

# %% tags=["quoted"]
both = torch.stack([flow[-1], baseline])  # (2, token)
print(f"correlation of rollout with the baseline: {torch.corrcoef(both)[0, 1]:.2f}")
print(f"first token: rollout {flow[-1, 0]:.2f}, baseline {baseline[0]:.2f}")
print(
    f"largest rollout / baseline: {tokens[int((flow[-1] / baseline).argmax())].strip()!r} {float((flow[-1] / baseline).max()):.1f}"
)

# %% [markdown] tags=["quotes"]
# The correlation with a model that prefers nothing is 0.96. Much of what this model adds is more of the same: the start token has
# 0.59 where the mask alone would give 0.42. A token
# that draws attention in this way, with no word of its own to offer, is called a sink. Rollout counts that attention as flow
# like any other. Against the baseline, the token that gains most is the comma, by a factor of 2.6. It is no word either.

# %% [markdown]
# ### Question 2.7: The first token
#
# *5 points · ●●○ · 3 minutes*
#
# A colleague shows you a rollout in which the first word of a long prompt has the highest score, and writes in a report that the model
# relied on it. What do you answer?
#
# - **a** That is right: the highest score marks the most important word.
# - **b** It comes from the embedding of the first position.
# - **c** It is because each row of rollout sums to one.
# - **d** Every token can look at the first one, so its share grows in each layer. Compare with the uniform baseline first.

# %% nbgrader={"grade_id": "answer-first-token", "solution": true}
answer_first_token = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_first_token = "d"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-first-token", "grade": true, "points": 5}
check.first_token(answer_first_token)

# %% [markdown]
# ## 4. Knobs: the residual's weight, the fusion, and discarding
#
# Nothing in the model says that the residual weighs a half, or that heads are fused by their mean. They are choices of
# whoever explains. **Guess first:** in how many of the fifteen settings below does *Mary* come out on top, leaving aside the start
# token and the last token itself?

# %% tags=["quoted"]
print("residual     mean      max      min")
for residual_weight in (0.1, 0.3, 0.5, 0.7, 0.9):
    row = []
    for fuse in ("mean", "max", "min"):
        # without <|start|> and the last token
        scores = rollout(attentions, residual_weight, fuse)[-1, 1:-1]
        place = 1 + int(scores.argmax())
        row.append(f"{tokens[place].strip()} {place}")
    print(f"{residual_weight:>8}  " + " ".join(f"{word:>8}" for word in row))

# %% [markdown]
# *When* wins in most of the fifteen settings, and the word *a* wherever heads are fused by their minimum; once the comma leads, and once *gave*. *Mary*, without whom nobody could
# say *Mary*, wins in none. Which of the four goes into a report depends on two choices that nobody measured.

# %% [markdown]
# Many implementations have one more knob: they **discard** the smallest weights of each layer, to clean the picture. Below
# is the code as it is often written. It was made for image models, where every patch may look at every other.


# %%
def discard_as_often_written(fused: torch.Tensor, ratio: float) -> torch.Tensor:
    flat = fused.clone().flatten()
    flat[flat <= torch.quantile(flat, ratio)] = 0
    return flat.view(fused.shape)


layer = fuse_heads(attentions[2], "mean")  # (query, key)
for ratio in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
    before, after = int((layer > 0).sum()), int((discard_as_often_written(layer, ratio) > 0).sum())
    print(f"asked to discard {ratio:.0%}: {before - after} of {before} weights are gone")

# %% [markdown]
# **The symptom:** up to 40 % nothing happens at all, and at 50 % only 8 of 120 weights go, where 60 should. Find the cause before you read on.
#
# <details><summary>The cause</summary>
#
# In a causal model the half above the diagonal is zero from the start. Those zeros are the smallest entries there are, so
# the quantile over the whole matrix counts them first. With n tokens, n(n+1)/2 entries of n² are allowed; the rest was
# never attention.
#
# </details>

# %% [markdown]
# **By hand.** *The cat sat down*, one fused layer. Of the sixteen entries ten are allowed:
#
# | | The | cat | sat | down |
# | --- | --- | --- | --- | --- |
# | The | 1.0 | | | |
# | cat | 0.6 | 0.4 | | |
# | sat | 0.7 | 0.2 | 0.1 | |
# | down | 0.3 | 0.1 | 0.5 | 0.1 |
#
# Discarding 35 % of ten entries means three of them (3.5, rounded down): the three entries of 0.1. The buggy code takes
# 35 % of sixteen, which is between five and six. Six entries are empty, so it finds all it needs there, and no weight goes.

# %% [markdown]
# ### Exercise 2.8: Find the bug, and discard what may be discarded
#
# *15 points · ●●● · 15 minutes*
#
# Write `discard` for a causal model: set the smallest entries of `fused` `(query, key)` to zero, as many as the share `ratio`
# of the **allowed** entries, rounded down. An allowed entry counts even if it is zero. Among equals any may go, but no more
# than the number asked for.
#
# 1. The allowed entries are the lower triangle with its diagonal. Count them.
# 2. Find the smallest of them, wherever in the layer they stand.
# 3. Set these to zero in a copy. Don't make the rows sum to one again: `add_residual` comes next and does that.
#
# <details><summary>Hint 1</summary>
#
# Take the allowed entries out as one long vector, and remember where each of them came from. `torch.tril_indices(n, n)`
# gives their rows and columns.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Sorting the vector itself loses the places. Look for a function that sorts places by what stands there.
#
# </details>


# %% nbgrader={"grade_id": "discard", "solution": true}
def discard(fused: torch.Tensor, ratio: float) -> torch.Tensor:
    """The layer (query, key) without the smallest share `ratio` of its allowed entries."""
    ### BEGIN SOLUTION
    rows, columns = torch.tril_indices(*fused.shape)
    smallest = fused[rows, columns].argsort()[: int(ratio * len(rows))]
    kept = fused.clone()
    kept[rows[smallest], columns[smallest]] = 0
    return kept
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-discard", "grade": true, "points": 15}
check.discard(discard)
### BEGIN HIDDEN TESTS
check.discard(discard, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# What discarding must not do is count what was never there, and leave a row empty. The first is what you mended. The second cannot
# happen as long as the residual is added *after* discarding: then each row has at least its own token. Discard after adding it, and
# with a large ratio a row may lose everything, and is divided by zero.
#
# </details>

# %% [markdown]
# ## 5. Attention flow: how much fits through?
#
# Rollout multiplies shares along each path. The same paper proposes a second reading: think of the layers as a network of
# pipes. Entry `[i, j]` of a layer is the **capacity** of a pipe from token i above to token j below. How much can flow from the last token
# at the top to each word at the bottom? That is a maximum flow, a problem with well-known algorithms.
#
# **By hand.** Two layers, and *sat* at the top:
#
# | lower layer | The | cat | sat | | upper layer | The | cat | sat |
# | --- | --- | --- | --- | --- | --- | --- | --- | --- |
# | The | 1 | 0 | 0 | | The | 1 | 0 | 0 |
# | cat | 0.9 | 0.1 | 0 | | cat | 0 | 1 | 0 |
# | sat | 0 | 0.2 | 0.8 | | sat | 0.1 | 0.6 | 0.3 |
#
# Two paths lead to *The*: by way of *The* the smaller of 0.1 and 1 fits, which is 0.1; by way of *cat* the smaller of 0.6 and
# 0.9, which is 0.6. Together 0.7. To *cat*: 0.1 by way of *cat* and 0.2 by way of *sat*, together 0.3. To *sat*: 0.3. Divided by their sum, 1.3, the scores are
# $(0.54, 0.23, 0.23)$. Rollout multiplies where flow takes the smaller one: it gives $(0.64, 0.12, 0.24)$. Flow is kinder to
# *cat*, since only the narrowest pipe of a path counts (0.2 by way of *sat*), while a product shrinks at every pipe
# ($0.3 \cdot 0.2 = 0.06$).

# %% [markdown]
# ### Exercise 2.9: Attention flow
#
# *10 points · ●●● · 15 minutes*
#
# `steps` is a list of matrices $\hat{A}$ `(query, key)`, the first layer first, as your `add_residual` makes them. Compute the maximum flow
# from the token at `position` at the top to each token at the bottom, divided by their sum: shape `(seq,)`.
#
# 1. Build a directed graph with networkx: a node for each token at each level (a model of L layers has L + 1 levels), and an edge with a
#    `capacity` for each entry of each matrix.
# 2. Ask `nx.maximum_flow_value` for each token at the bottom: one problem for each, with all pipes empty at its start.
# 3. Divide by the sum.
#
# <details><summary>Hint 1</summary>
#
# A pair such as `(level, token)` makes a good name for a node. Matrix number l joins level l + 1 with level l.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `graph.add_edge(a, b, capacity=0.6)` lays a pipe from a to b. The flow starts at the top, so the edges run from the upper level to the
# lower one. Capacities should be plain numbers: `float(step[i, j])`.
#
# </details>


# %% nbgrader={"grade_id": "attention-flow", "solution": true}
def attention_flow(steps: list[torch.Tensor], position: int) -> torch.Tensor:
    """How much fits from the token at `position` at the top to each at the bottom, as shares: (seq,)."""
    ### BEGIN SOLUTION
    seq, graph = len(steps[0]), nx.DiGraph()
    for level, step in enumerate(steps):
        for i in range(seq):
            for j in range(seq):
                graph.add_edge((level + 1, i), (level, j), capacity=float(step[i, j]))
    top = (len(steps), position)
    flows = torch.tensor([nx.maximum_flow_value(graph, top, (0, j)) for j in range(seq)])
    return flows / flows.sum()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-attention-flow", "grade": true, "points": 10}
check.attention_flow(attention_flow)
### BEGIN HIDDEN TESTS
check.attention_flow(attention_flow, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A flow is bounded by every cut through the network, so one narrow layer limits everything, however wide the others are. The check
# contains such a narrow place. It also asks for a position that is not the last: the tokens after it then get nothing, since no pipe
# leads to later words.
#
# </details>

# %% alt="Two rows of coloured tokens, rollout above and attention flow below, on the prompt about Mary and John. Flow spreads its scores more evenly over the words."
steps = [add_residual(fuse_heads(layer, "mean")) for layer in attentions]
flow_scores = attention_flow(steps, len(tokens) - 1)
figures.token_strip(
    [shown(PROMPT, flow[-1], "rollout"), shown(PROMPT, flow_scores.float(), "attention flow")],
    title="Attention flow spreads its scores more evenly than rollout",
)

# %% tags=["quoted"]
for name, place in (("<|start|>", 0), ("When", 1), ("Mary", 2), ("John, second", 10)):
    print(f"{name:<14} rollout {flow[-1, place]:.2f}   flow {flow_scores[place]:.2f}")

# %% [markdown]
# Flow is less extreme: no token holds most of it. But it ranks the start token and *When* with *Mary*, and the second *John* below all three. It does not
# single out the words that decide either.

# %% [markdown]
# ## 6. Not so fast
#
# Rollout gave numbers that look like an explanation. Three experiments ask whether they are one.
#
# **First: which word was it for?** Explain *Mary*, then explain *John*, the word that the model rejected. Where in your `rollout` would the
# difference come in?

# %% tags=["quoted"]
mary = gb.explain(model, tokenizer, PROMPT, method="rollout", target=" Mary")
john = gb.explain(model, tokenizer, PROMPT, method="rollout", target=" John")
print(f"logit of Mary {mary.value:.1f}, of John {john.value:.1f}")
print(f"the two explanations are the same: {torch.equal(mary.scores, john.scores)}")

# %% [markdown]
# Your `rollout` has no argument for a target, so it comes in nowhere. Rollout is **blind to the target**: the explanation of the right answer and that of the wrong one are the same, to the last digit.
# Whatever it shows, it cannot be why the model said one and not the other.
#
# **Second: change the words.** The small world knows what must happen when a word is replaced. If the highest-scoring word were the
# reason, then replacing it should change the answer.


# %% tags=["quoted"]
def says(text: str) -> str:
    """The model's next word."""
    return gb.explain(model, tokenizer, text, method="attention").target_token.strip()


print(f"as it is:                    {says(PROMPT)}")
print(f"When -> While:               {says(PROMPT.replace('When', 'While'))}")
print(f"John -> Peter, both times:   {says(PROMPT.replace('John', 'Peter'))}")
print(f"store -> museum:             {says(PROMPT.replace('store', 'museum'))}")
print(f"drink -> book:               {says(PROMPT.replace('drink', 'book'))}")
print(f"second John -> Mary:         {says(PROMPT.replace(', John', ', Mary'))}")
print(f"Mary -> Anna:                {says(PROMPT.replace('Mary', 'Anna'))}")

# %% [markdown]
# Another opener, another name for *John*, another place or another gift changes nothing. Another giver turns the
# answer round, and another receiver becomes the answer. So two words decide, *Mary* and the second *John*.
# Rollout gave *When* more than either, and *When* can be replaced without any effect.
#
# **Third: count.** One prompt proves little. The next cell takes five hundred sentences from all families of the small world, drawn from those that were
# kept out of the training. For each of them the grammar that wrote it knows which words decide the answer: they are the
# **evidence**. How often is the top word one of them? The start token and the
# last token are left out of the race, which is generous: they would often win it. Four ways to pick a word are compared: rollout, rollout divided
# by its uniform baseline, the attention of the last layer, and drawing one word at random.

# %% tags=["quoted"]
torch.manual_seed(0)
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 24, seed=20)][:500]


def candidates(text: str) -> dict[str, torch.Tensor]:
    """Scores of the tokens between the first and the last, by each way to choose."""
    attentions = attentions_of(text)
    scores = rollout(attentions)[-1]  # (token,)
    uniform = uniform_rollout(len(attentions), len(scores))
    last = fuse_heads(attentions[-1], "mean")[-1]
    return {
        "rollout": scores[1:-1],
        "rollout / baseline": (scores / uniform)[1:-1],
        "last layer": last[1:-1],
    }


hits = {name: [] for name in ("rollout", "rollout / baseline", "last layer", "a word at random")}
first_word = []
for s in gb.progress(sentences, unit="sentences"):
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:-1]
    chosen = {name: int(scores.argmax()) for name, scores in candidates(s.prompt).items()}
    for name, place in chosen.items():
        hits[name].append(float(evidence[place]))
    first_word.append(chosen["rollout"] == 0)
    hits["a word at random"].append(float(evidence.float().mean()))

table = torch.tensor(list(hits.values()))  # (way, sentence)
# sentences, drawn again with replacement
draws = torch.randint(len(sentences), (2000, len(sentences)))
resampled = table[:, draws].mean(-1)  # (way, draw)
low, high = resampled.quantile(0.025, -1), resampled.quantile(0.975, -1)
print(f"how often the top word is evidence, {len(sentences)} sentences, with 95 % intervals")
for i, name in enumerate(hits):
    print(f"{name:<20} {table[i].mean():.0%}   ({low[i]:.0%} to {high[i]:.0%})")
print(
    f"rollout's top word is the first word of the sentence in {sum(first_word) / len(sentences):.0%}"
)

# %% [markdown] tags=["quotes"]
# The top word of rollout is evidence in 1 % of the sentences. A word drawn at random would be in 12 %. The intervals are far
# apart, so this is no bad luck: in 100 % of the sentences, rounded, the top word is simply the first one, and first words are openers
# such as *When* and *The*. Divided by its baseline, rollout hits in 34 %. The last layer alone, the crude look that rollout was meant to
# improve on, hits in 29 %. On average both beat chance, and both are wrong
# in about two sentences of three.


# %% alt="Marks for each sentence family between 0 and 1: how often the top word is evidence, by rollout, by rollout divided by its baseline, by the last layer's attention and by chance. Rollout is at 0 in almost all families; the others vary widely from family to family."
def by_family(way: str) -> dict[str, float]:
    """The share of hits in each family of sentences."""
    found = {
        family: [hit for hit, s in zip(hits[way], sentences, strict=True) if s.family == family]
        for family in families
    }
    return {family: sum(found[family]) / len(found[family]) for family in families}


chance = dict(
    sorted(
        by_family("a word at random").items(),
        key=lambda item: -by_family("rollout / baseline")[item[0]],
    )
)
figures.rates(
    {way: by_family(way) for way in ("rollout", "rollout / baseline", "last layer")},
    chance=chance,
    by="sentence family",
    title="Rollout misses the evidence in almost every family",
    label="share of sentences whose top word is evidence",
)

# %% [markdown]
# Rollout hits only among the pronouns, where a sentence may begin with the name that decides (*Mary stayed at the park because*). Dividing by
# the baseline helps most with word senses and sums, and not at all with givers and receivers. The last layer is
# almost always right on a negated review, and never on a plain or a contrasted one. Each mark rests on two dozen sentences, so small gaps between marks mean nothing. And nothing in the scores tells
# you which of these cases you are in. You would notice only by changing words and asking the model again, as you did above,
# not by looking harder at the figure.

# %% [markdown]
# ### Question 2.10: What rollout can say
#
# *10 points · ●●○ · 12 minutes*
#
# Somebody wants to use rollout to tell customers which words of their letter made a model refuse them. Write four to six sentences
# for that person: what a rollout score means, two things that it leaves out (each with a number or an experiment from this chapter), and
# one check that would have to be passed before anybody is told anything.

# %% [markdown] nbgrader={"grade_id": "written-what-rollout-says", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# A rollout score says what share of the place where the model decides could have come from a word by way of attention,
# if each token kept half of itself in each layer. It is not the share of the decision. It does not know which decision was taken: for *Mary* and for *John* it gave
# the same scores to the last digit. And most of it is the shape of the mask: it follows what attention without any preference would give,
# and its top word was one of the deciding words in almost no sentence of five hundred, less often than a word drawn
# at random. Before telling a customer anything, take each word that is said to matter out of the letter, or replace it, and see
# whether the model's answer changes; do the same with as many words that are said not to matter. If the first does not change it more often than the
# second, the explanation must not be sent.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: says that a score is the share of the position that could have come from the word by way of attention, under a fixed residual.
# - 2: names one thing left out (blind to the target; values and MLPs; the choice of knobs; the mask's geometry) with evidence from the chapter.
# - 2: names a second one, with evidence.
# - 2: proposes a check that could fail: a counterfactual on the model, the uniform baseline, another method, hits against known evidence.
# - 2: readable by somebody who has not taken the course; claims no more than was measured.

# %% [markdown]
# ## 7. In the wild
#
# We know of no well-kept library for rollout. What people use is a function of a dozen lines, copied from one repository to
# the next. It often carries along the mistake that you mended, the quantile over the whole matrix, and another one: a `squeeze` that drops the batch axis
# when there is one image. With two texts it drops nothing, and the mean meant for the heads is taken over the texts,
# without a warning. glassbox has the same computation with these mended: it takes batches, says what a model
# must be loaded with (`attn_implementation="eager"`), and stops with a message if the model returned no attention weights.

# %% tags=["quoted"]
theirs = gb.explain(model, tokenizer, PROMPT, method="rollout")
print(
    f"largest difference between glassbox's rollout and yours: {float((theirs.scores - flow[-1]).abs().max()):.4f}"
)

# %% [markdown]
# For maximum flow there is a well-kept library, and you have used it: networkx. It has to solve one problem for each word of
# the prompt, on a graph of all layers, where rollout needs six products of matrices.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it, and the same code runs on it: set the environment
# variable `GLASSBOX_MODEL` (to `gpt2`, for instance) before JupyterLab starts.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    print(gb.explain(real_model, real_tokenizer, PROMPT, method="rollout"))
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - Attention in an upper layer is about mixtures. To speak about words, follow the mixtures down: $\hat{A}_L \cdots \hat{A}_1$, later layers on
#   the left.
# - Each row sums to one, nothing flows back in time, and the first token wins by the shape of the mask. Show the uniform baseline
#   beside every rollout.
# - The residual's weight, the fusion and discarding are choices of the one who explains, not of the model.
# - Rollout knows nothing of the target, of the values and of the MLPs. It can't say why one word was chosen over another.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | rollout | which words could attention have carried here? | one forward pass and a product of matrices | seeing how far information has been mixed | blind to the target; the first token wins by default |
# | attention flow | how much fits through the layers? | one forward pass and a maximum flow for each word | the same, where bottlenecks matter | slow; blind to the target as well |
#
# **Further reading**
#
# - Abnar and Zuidema (2020), *Quantifying Attention Flow in Transformers*: the two methods of this chapter, and where they agree with
#   gradients and with taking words away.
# - Jain and Wallace (2019), *Attention is not Explanation*, and Wiegreffe and Pinter (2019), *Attention is not not Explanation*: read both, in this order; the
#   quarrel is about what one may ask of an explanation.
# - Chefer, Gur and Wolf (2021), *Generic Attention-model Explainability*: the same product of layers, with gradients that
#   know the target. That is the next chapter's idea.
# - Kobayashi and others (2020), *Attention is Not Only a Weight*: a large weight on a small value carries little.
