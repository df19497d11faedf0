# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Attention: where does the model look?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.attention.raw_attention
#     - glassbox.norm_based
#   objectives:
#     - {text: "compute a head's attention weights from queries, keys and the causal mask", tested_by: [check-split-heads, check-attention-weights, check-answer-root]}
#     - {text: "turn weights and values into what a layer adds to the residual stream", tested_by: [check-mix, check-capture-keys]}
#     - {text: "read a map of attention, and find previous-token, induction and first-token heads by a number", tested_by: [check-answer-map, check-previous-token, check-induction]}
#     - {text: "measure what a look brings, not only how large its weight is", tested_by: [check-weighted-norms, check-answer-sink, written-weight-and-influence]}
#     - {text: "find the tokens whose representation is most like a given one", tested_by: [check-nearest]}
# ---

# %% [markdown]
# # 01 Attention: where does the model look?
#
# In chapter 00 you took the blocks as they were. Now open one. Inside is the only place where one token can learn something from another. Six layers of eight heads, forty-eight
# ways of looking. Run the next two cells.

# %%
from dataclasses import replace

import glassbox as gb
import smallworld
import torch
from classroom.checks import attention as check
from glassbox import figures

model, tokenizer = gb.load("smallworld")
PROMPT = "When Mary and John went to the store, John gave a drink to"


@torch.no_grad()
def run(text: str):
    """The model's output on a text, with attention weights and the residual stream after each block."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]  # (1, seq)
    return model(ids, output_attentions=True, output_hidden_states=True)


def tokens_of(text: str) -> list[str]:
    """The text's tokens as they stand in it."""
    return [tokenizer.decode(number) for number in tokenizer(text)["input_ids"]]


# %% alt="Forty-eight small maps, one for each head of each layer. Many heads put nearly everything on the first token; a few draw a line next to the diagonal."
output = run(PROMPT)
every_head = torch.cat([layer[0] for layer in output.attentions])  # (layer · head, query, key)
figures.attention_grid(
    every_head,
    tokens_of(PROMPT),
    names=[f"{layer}.{head}" for layer in range(6) for head in range(8)],
    title="Forty-eight ways of looking at one sentence",
)

# %% [markdown]
# Each small map is a head, named by its layer and its number. A row is a token that looks, a column a token that is looked at, and dark is much. Some heads draw a line just beside the diagonal. Many draw a
# dark column at the far left. And nowhere is it written what any of this has to do with the answer, *Mary*. By the end of this chapter you can name the heads that draw lines,
# and you will know why the dark column means less than it seems to.
#
# **After this chapter you can**
#
# 1. compute a head's attention weights from queries, keys and the causal mask;
# 2. turn weights and values into what a layer adds to the residual stream;
# 3. read a map of attention, and find previous-token, induction and first-token heads by a number;
# 4. measure what a look brings, not only how large its weight is;
# 5. find the tokens whose representation is most like a given one.
#
# **You need** chapter 00: tokens, the residual stream, the last norm. **Time:** 120 minutes. **The new question:** how does a token learn from the others?

# %% [markdown]
# ## 1. Queries, keys, and who may look at whom
#
# Before anything else, the stream is normalised, and three matrices turn each token's vector into three new ones: a **query** (what am I looking for?), a **key** (what do I offer to be found by?) and a
# **value** (what do I hand over?). Each is cut into equal parts, one for each head. With width 192 and eight heads, each head has 24 numbers to work with.
#
# **By hand.** Width 4, two heads. The vector $(1, 2, 3, 4)$ gives the first head $(1, 2)$ and the second $(3, 4)$. With two tokens, $(1, 2, 3, 4)$ and $(5, 6, 7, 8)$, the first head has
# $(1, 2), (5, 6)$ and the second $(3, 4), (7, 8)$.

# %% [markdown]
# ### Exercise 1.1: Split into heads
#
# *10 points · ●○○ · 8 minutes*
#
# Turn `(seq, width)` into `(head, seq, dim)`, where `dim = width / heads`.
#
# 1. Cut the last axis into heads and what belongs to each.
# 2. Bring the axes into order.
#
# <details><summary>Hint 1</summary>
#
# `view` only cuts, it never moves numbers. Straight to `(heads, seq, dim)` would mix the tokens up.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `view(seq, heads, dim)` first, then `transpose`.
#
# </details>


# %% nbgrader={"grade_id": "split-heads", "solution": true}
def split_heads(vectors: torch.Tensor, heads: int) -> torch.Tensor:
    """The part of each head: (seq, width) -> (head, seq, dim)."""
    ### BEGIN SOLUTION
    seq, width = vectors.shape
    return vectors.view(seq, heads, width // heads).transpose(0, 1)  # (head, seq, dim)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-split-heads", "grade": true, "points": 10}
check.split_heads(split_heads)
### BEGIN HIDDEN TESTS
check.split_heads(split_heads, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A `view` straight to `(heads, seq, dim)` has the right shape and the wrong numbers: the first head would get the first half of the *text*. That is why the check looks at numbers, and why it is worth a minute to write a
# small tensor down by hand whenever you reshape.
#
# </details>

# %% [markdown]
# A query and a key meet in a dot product. It is divided by $\sqrt{d}$, where $d$ is the head's dimension, and turned into shares by a softmax over all keys that the query **may see**: itself and those
# before it. This is the causal mask. Without it, the model could read the word that it has to predict.
#
# $$A_{ij} = \text{softmax}_{j \le i} \left( \frac{q_i \cdot k_j}{\sqrt{d}} \right)$$
#
# **By hand.** Three tokens, $d = 4$, so divide by 2. The third token's query has the dot products $2, 0, 4$ with the three keys. Divided: $1, 0, 2$. Exponentials: $2.72, 1, 7.39$, their sum is $11.11$. Shares:
# $0.24, 0.09, 0.67$. The second token, with dot products $2, 2, 9$, may see only two keys: $0.5, 0.5$, and the $9$ counts for nothing.

# %% [markdown]
# ### Exercise 1.2: Attention weights
#
# *15 points · ●●○ · 15 minutes*
#
# `query` and `key` have the shape `(head, seq, dim)`. Return the weights `(head, query, key)`.
#
# 1. All dot products of a head's queries with its keys, at once.
# 2. Divide by the root of the dimension.
# 3. Set what is not allowed to minus infinity, **before** the softmax.
# 4. Softmax over the keys.
#
# <details><summary>Hint 1</summary>
#
# `query @ key.transpose(-1, -2)` multiplies matrices head by head.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.ones(seq, seq).triu(1).bool()` is true above the diagonal, and `masked_fill` puts a value where a mask is true.
#
# </details>


# %% nbgrader={"grade_id": "attention-weights", "solution": true}
def attention_weights(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """How much each token looks at each: (head, query, key), rows summing to one."""
    ### BEGIN SOLUTION
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5  # (head, query, key)
    later = torch.ones_like(scores[0]).triu(1).bool()  # (query, key)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-attention-weights", "grade": true, "points": 15}
check.attention_weights(attention_weights)
### BEGIN HIDDEN TESTS
check.attention_weights(attention_weights, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# If the mask comes after the softmax, rows no longer sum to one, and worse: the denominator has already seen the future. The numbers that are left depend on words that the token must not know. The check changes the last token and
# asks whether earlier rows stay the same.
#
# </details>

# %% [markdown]
# ### Question 1.3: Why divide by the root?
#
# *5 points · ●●○ · 3 minutes*
#
# What would happen without the division by $\sqrt{d}$?
#
# - **a** Rows would not sum to one any more.
# - **b** Dot products of long vectors are large, so the softmax would give nearly everything to one key.
# - **c** The causal mask would let later words through.
# - **d** Nothing, since the softmax undoes any common factor.

# %% nbgrader={"grade_id": "answer-root", "solution": true}
answer_root = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_root = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-root", "grade": true, "points": 5}
check.root(answer_root)

# %% [markdown]
# ## 2. What a layer adds to the stream
#
# The weights say how much; the values say what. Each head mixes the values by its weights. Then the heads are laid side by side again, and one more matrix $W_O$ writes the result into the stream.
#
# $$\text{out}_i = \Big[ \textstyle\sum_j A^{(1)}_{ij} v^{(1)}_j, \; \sum_j A^{(2)}_{ij} v^{(2)}_j, \; \dots \Big] W_O + b_O$$
#
# **By hand.** A head with weights $(0.25, 0.75)$ on two tokens with values $(4, 0)$ and $(0, 4)$ hands over $(1, 3)$. If the other head hands over $(2, 2)$, the row before $W_O$ is $(1, 3, 2, 2)$.

# %% [markdown]
# ### Exercise 1.4: Mix
#
# *10 points · ●●○ · 10 minutes*
#
# `weights` are `(head, query, key)`, `values` `(head, key, dim)`, `output_weight` `(width, width)` as GPT-2 keeps it (rows are what comes in), `output_bias` `(width,)`. Return `(query, width)`.
#
# 1. Mix each head's values.
# 2. Lay the heads side by side: the way back from `split_heads`.
# 3. Multiply by the matrix and add the bias.
#
# <details><summary>Hint</summary>
#
# After `transpose(0, 1)` the numbers are not in one piece; `reshape` copes with that, `view` does not.
#
# </details>


# %% nbgrader={"grade_id": "mix", "solution": true}
def mix(
    weights: torch.Tensor,
    values: torch.Tensor,
    output_weight: torch.Tensor,
    output_bias: torch.Tensor,
) -> torch.Tensor:
    """What the layer's attention adds to the residual stream: (query, width)."""
    ### BEGIN SOLUTION
    mixed = weights @ values  # (head, query, dim)
    side_by_side = mixed.transpose(0, 1).reshape(mixed.shape[1], -1)  # (query, width)
    return side_by_side @ output_weight + output_bias
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-mix", "grade": true, "points": 10}
check.mix(mix)
### BEGIN HIDDEN TESTS
check.mix(mix, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Side by side means: for each token, first all numbers of head 0, then all of head 1. A `reshape` without the `transpose` lays tokens and heads into each other, and has the right shape again.
#
# </details>

# %% [markdown]
# To try this on the model you need its queries, keys and values. GPT-2 computes all three in one go, `c_attn`, and a **hook** can catch what a module gives while the model runs. Here is code for it, as it goes around. It
# was written for other models, and on GPT-2 it comes back with empty hands.
#
# ```python
# def capture_keys(model, ids, layer):
#     caught, handles = [], []
#     keep = lambda module, args, out: caught.append(out)
#     for name, module in model.named_modules():
#         if isinstance(module, torch.nn.Linear) and f"h.{layer}.attn" in name:
#             handles.append(module.register_forward_hook(keep))
#     with torch.no_grad():
#         model(ids)
#     return caught[0][0]          # IndexError: list index out of range
# ```

# %% [markdown]
# ### Exercise 1.5: Find the bug
#
# *10 points · ●●○ · 12 minutes*
#
# Mend it, so that it returns the **keys** `(seq, width)` of one layer of a GPT-2 for ids `(1, seq)`.
#
# 1. Print `model.transformer.h[0].attn`. Of which class are its matrices?
# 2. `c_attn` gives queries, keys and values side by side, `(1, seq, 3 · width)`, in this order. Take the keys.
# 3. The code has a second flaw: its hooks stay on the model for ever. Remove them, also if the model stops with an error.
#
# <details><summary>Hint 1</summary>
#
# GPT-2's matrices are of the class `Conv1D`, from transformers. You need not ask for a class at all: take the module by its name.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `handle = module.register_forward_hook(...)`, then `try:` run the model, `finally:` `handle.remove()`. And `chunk(3, dim=-1)` cuts into three.
#
# </details>


# %% nbgrader={"grade_id": "capture-keys", "solution": true}
def capture_keys(model, ids: torch.Tensor, layer: int) -> torch.Tensor:
    """The keys of one layer of a GPT-2, (seq, width), for ids (1, seq)."""
    ### BEGIN SOLUTION
    caught = []
    together = model.transformer.h[layer].attn.c_attn
    handle = together.register_forward_hook(lambda module, args, out: caught.append(out))
    try:
        with torch.no_grad():
            model(ids)
    finally:
        handle.remove()
    return caught[0][0].chunk(3, dim=-1)[1]  # (seq, width)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-capture-keys", "grade": true, "points": 10}
check.capture_keys(capture_keys)
### BEGIN HIDDEN TESTS
check.capture_keys(capture_keys, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A hook that is never placed raises no error; the list just stays empty. Code that then takes a mean over nothing, or skips the layer, gives numbers and no warning. After placing hooks, always ask how many there are.
# And a hook that stays goes on catching during everything that you do later, and holds on to the memory.
#
# </details>

# %% [markdown]
# Now put the pieces together and compare with the model, for all layers at once.


# %% tags=["quoted"]
@torch.no_grad()
def inside(text: str, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The attention weights (head, query, key) and values (head, key, dim) of one layer, computed by your functions."""
    block = model.transformer.h[layer]
    stream = run(text).hidden_states[layer][0]  # (seq, width)
    query, key, value = (
        split_heads(part, 8) for part in block.attn.c_attn(block.ln_1(stream)).chunk(3, dim=-1)
    )
    return attention_weights(query, key), value


for layer in range(6):
    weights, values = inside(PROMPT, layer)
    off = float((weights - output.attentions[layer][0]).abs().max())
    print(f"layer {layer}: largest difference between your weights and the model's {off:.4f}")

# %% [markdown]
# ## 3. Reading maps, and naming heads
#
# Before you go on, look at the first figure once more. **Guess:** which head would you call "looks at the word before"?

# %% [markdown]
# ### Question 1.6: Which way round?
#
# *5 points · ●○○ · 3 minutes*
#
# In a map, the row *gave* has a dark spot in the column *John*. What does it say?
#
# - **a** *John* takes something over from *gave*.
# - **b** *gave* takes something over from *John*.
# - **c** *John* and *gave* are similar words to this head.
# - **d** The model predicts *John* after *gave*.

# %% nbgrader={"grade_id": "answer-map", "solution": true}
answer_map = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_map = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-map", "grade": true, "points": 5}
check.map(answer_map)

# %% [markdown]
# Eyes are bad at forty-eight maps. Numbers are better. A **previous-token head** looks at the token just before: its mean weight there, over all tokens that have one before them, is its score. A **first-token head** has a
# high mean weight in column 0.
#
# **By hand.** Weights of three tokens: row 0 is $(1, 0, 0)$, row 1 is $(0.8, 0.2, 0)$, row 2 is $(0.1, 0.6, 0.3)$. Token 1 gives $0.8$ to the token before it, token 2 gives $0.6$. The score is $0.7$.

# %% [markdown]
# ### Exercise 1.7: Previous-token score
#
# *5 points · ●○○ · 8 minutes*
#
# `weights` are `(head, query, key)`. Return one score for each head, `(head,)`. The first token has none before it, and is left out.
#
# <details><summary>Hint</summary>
#
# The entries that you want lie one below the diagonal. `diagonal(offset, dim1, dim2)` reads them; which sign must the offset have?
#
# </details>


# %% nbgrader={"grade_id": "previous-token", "solution": true}
def previous_token(weights: torch.Tensor) -> torch.Tensor:
    """How much each head looks at the token before, on average: (head,)."""
    ### BEGIN SOLUTION
    return weights.diagonal(-1, dim1=1, dim2=2).mean(dim=-1)  # (head,)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-previous-token", "grade": true, "points": 5}
check.previous_token(previous_token)
### BEGIN HIDDEN TESTS
check.previous_token(previous_token, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Above the diagonal there is nothing but zeros, so the wrong sign gives zero for every head, on every model. A result that is always zero is not a finding.
#
# </details>

# %% [markdown]
# An **induction head** does something cleverer. In *... harbour rocket forest ... harbour rocket* it looks from the second *rocket* to *forest*: to the token that **followed** the last time. Whatever followed then is a good
# guess for what comes now. It needs help from a previous-token head in an earlier layer, which has told each token who stood before it.
#
# **By hand.** The text is *a b c a b*, at places 0 to 4. Token 3 (*a*) was seen at place 0, so the place to look at is 1. Token 4 (*b*) was seen at 1, so look at 2. Tokens 0 to 2 were seen never before, and are left out. If
# the head has $A_{31} = 0.9$ and $A_{42} = 0.7$, its score is $0.8$.

# %% [markdown]
# ### Exercise 1.8: Induction score
#
# *10 points · ●●● · 15 minutes*
#
# `weights` are `(head, query, key)`, `ids` `(seq,)`. For each token that has occurred before, take the weight on the token that followed its **last** earlier occurrence. Return the mean of these for each head, `(head,)`.
#
# 1. For each place, find the last earlier place with the same id.
# 2. Skip the place if there is none.
# 3. Otherwise read the weight on the place after it.
#
# <details><summary>Hint</summary>
#
# A dictionary from an id to the place where it was last seen, filled while you walk through the text. Look before you write. Take the ids as plain numbers,
# `ids.tolist()`: a dictionary holds two tensors for different keys, even if the same number is in them.
#
# </details>


# %% nbgrader={"grade_id": "induction", "solution": true}
def induction(weights: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """How much each head looks at what followed the last time, on average: (head,)."""
    ### BEGIN SOLUTION
    seen, found = {}, []
    for place, number in enumerate(ids.tolist()):
        if number in seen:
            found.append(weights[:, place, seen[number] + 1])  # (head,)
        seen[number] = place
    return torch.stack(found).mean(dim=0)  # (head,)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-induction", "grade": true, "points": 10}
check.induction(induction)
### BEGIN HIDDEN TESTS
check.induction(induction, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The place to look at is the one *after* the earlier occurrence. A head that looks at the earlier occurrence itself is another kind, a duplicate-token head. And where a token stands right behind itself (*a a*), the place after the
# earlier one is the token itself: the check has such a case.
#
# </details>

# %% tags=["quoted"]
generator = torch.Generator().manual_seed(0)
previous, first, again = [], [], []
for _ in range(20):
    once = torch.randint(1, len(tokenizer), (25,), generator=generator)
    # random tokens, said twice: only the order can be known
    ids = torch.cat([torch.tensor([0]), once, once])
    with torch.no_grad():
        layers = torch.stack(
            [layer[0] for layer in model(ids[None], output_attentions=True).attentions]
        )  # (layer, head, query, key)
    previous.append(torch.stack([previous_token(weights) for weights in layers]))
    again.append(torch.stack([induction(weights, ids) for weights in layers]))
    first.append(layers[..., 1:, 0].mean(-1))
scores = {
    name: torch.stack(found).mean(0)
    for name, found in (("previous token", previous), ("induction", again), ("first token", first))
}
for name, score in scores.items():  # score: (layer, head)
    best = score.flatten().topk(3)
    names = [
        f"{place // 8}.{place % 8} ({value:.2f})"
        for place, value in zip(best.indices.tolist(), best.values.tolist())
    ]
    print(f"{name:<15} best heads: {', '.join(names)}; heads above 0.4: {int((score > 0.4).sum())}")

# %% [markdown]
# Head 0.1 gives 0.96 of its weight to the token before, wherever that is. Several heads of layer 2 are induction heads with 0.97. And the best of the first-token heads has 0.49 on random tokens,
# where there is nothing to look for. Note where they stand: the previous-token head in layer 0, the induction heads two layers above it. It could not be the other way round, since they need its work.

# %% alt="Two maps side by side: a previous-token head with a line beside the diagonal, and an induction head with a line that begins where the text repeats itself."
words = "The words are harbour rocket forest ribbon velvet. Again, the words are harbour rocket forest ribbon"
layers = [layer[0] for layer in run(words).attentions]  # per layer (head, query, key)
chosen = [divmod(int(scores[name].argmax()), 8) for name in ("previous token", "induction")]
figures.attention_grid(
    torch.stack([layers[layer][head] for layer, head in chosen]),
    tokens_of(words),
    names=[
        f"{name}: {layer}.{head}"
        for name, (layer, head) in zip(("previous token", "induction"), chosen)
    ],
    title="One head tells each word who stood before it, another looks that up",
)

# %% [markdown]
# ## 4. A weight is not an influence
#
# What token $i$ takes over from token $j$ is not $A_{ij}$. It is $A_{ij}\, v_j W_O$: the weight **times** what is handed over. A large weight on a tiny value brings next to nothing. So measure its length (Kobayashi and others, 2020):
#
# $$N_{ij} = \lVert A_{ij}\, v_j W_O \rVert = A_{ij} \lVert v_j W_O \rVert$$
#
# For one head, $W_O$ is the part of the matrix that belongs to it: its rows `dim * head` to `dim * (head + 1)`.
#
# **By hand.** A head gives $0.9$ to the first token, whose value, written into the stream, has the length $0.1$, and $0.1$ to another one of length $3$. Influence: $0.09$ and $0.3$. The token with a tenth of the weight brings three times as much.

# %% [markdown]
# ### Exercise 1.9: Weighted norms
#
# *10 points · ●●● · 15 minutes*
#
# `weights` `(head, query, key)`, `values` `(head, key, dim)`, `output_weight` `(width, width)`. Return $N$, `(head, query, key)`.
#
# 1. Cut the output matrix into the heads' parts: `(head, dim, width)`.
# 2. Write each head's values into the stream: `(head, key, width)`.
# 3. Take the length of each, and multiply by the weights.
#
# <details><summary>Hint 1</summary>
#
# The rows of the matrix are in the same order as the heads side by side, so here a plain `view` is right.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `written.norm(dim=-1)` is `(head, key)`. An axis for the query has to be put in between, `[:, None, :]`.
#
# </details>


# %% nbgrader={"grade_id": "weighted-norms", "solution": true}
def weighted_norms(
    weights: torch.Tensor, values: torch.Tensor, output_weight: torch.Tensor
) -> torch.Tensor:
    """The length of what each token takes over from each, head by head: (head, query, key)."""
    ### BEGIN SOLUTION
    heads, _, dim = values.shape
    written = values @ output_weight.view(heads, dim, -1)  # (head, key, width)
    return weights * written.norm(dim=-1)[:, None, :]  # (head, query, key)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-weighted-norms", "grade": true, "points": 10}
check.weighted_norms(weighted_norms)
### BEGIN HIDDEN TESTS
check.weighted_norms(weighted_norms, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check computes the vectors themselves in a loop, and their lengths last of all. The length of a sum is not the sum of lengths, so heads may not be added up before the length is taken; and the lengths belong to the keys, not to
# the queries.
#
# </details>

# %% [markdown]
# **Guess first.** On average over all heads and layers, the last token gives some share of its attention to the start token, which is no word. How large is it? And how large is that token's share of the weighted norms?

# %% tags=["quoted"]
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 12, seed=7)]


def last_rows(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The last token's weights and weighted norms, each as shares of the row, mean over all heads of all layers: (key,)."""
    by_weight, by_norm = [], []
    for layer in range(6):
        weights, values = inside(text, layer)
        norms = weighted_norms(
            weights, values, model.transformer.h[layer].attn.c_proj.weight.detach()
        )[:, -1]  # (head, key)
        by_weight.append(weights[:, -1])
        by_norm.append(norms / norms.sum(-1, keepdim=True))
    return torch.cat(by_weight).mean(0), torch.cat(by_norm).mean(0)


def interval(values: list[float]) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.tensor(values)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f}   ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


on_start = {"weight": [], "weighted norm": []}
hits = {"weight": [], "weighted norm": [], "a word at random": []}
for s in gb.progress(sentences, unit="sentences"):
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:-1]
    for name, row in zip(("weight", "weighted norm"), last_rows(s.prompt)):
        on_start[name].append(float(row[0]))
        hits[name].append(float(evidence[row[1:-1].argmax()]))
    hits["a word at random"].append(float(evidence.float().mean()))
print(f"{len(sentences)} sentences; share of the last token's row that lies on the start token")
for name, shares in on_start.items():
    print(f"{name:<17} {interval(shares)}")
print("how often the top word (first and last token left out) is evidence")
for name, found in hits.items():
    print(f"{name:<17} {interval(found)}")

# %% [markdown] tags=["quotes"]
# The start token, which is no word at all, gets 0.27 of the last token's weight on average. Weighed by what it brings, it gets 0.21: less, though not nothing. The intervals do not touch. Which word leads among the others hardly
# changes: by weight, the top word is evidence in 0.56 of the sentences, by weighted norm in 0.59, and these intervals overlap, so on this count the two are alike. Both are far above a word drawn at random, with 0.13. Averaged over all heads and
# layers, attention does look at what matters more often than chance, and it misses it in two sentences of five.


# %% alt="Two rows of coloured tokens: the last token's share of weight and of weighted norm. In both, gave is darkest and the comma and the start token come next, the start token a little paler by norm. The second John is in the middle, and Mary is pale."
def shown(text: str, scores: torch.Tensor, name: str) -> gb.Attribution:
    """Scores of your own, one for each token of the text, as glassbox shows them."""
    return replace(
        gb.explain(model, tokenizer, text, method="attention"), method=name, scores=scores
    )


figures.token_strip(
    [shown(PROMPT, row, name) for name, row in zip(("weight", "weighted norm"), last_rows(PROMPT))],
    label="share of",
    title="Weighed by what they bring, looks at the start token count for less",
)

# %% [markdown]
# Look around in all forty-eight heads, now that you know what the pictures are made of. Click on a head in the small grid, or walk through it with the arrow keys, then point at a token to see where it looks. **Try:** the model is about to say *Mary*. Which head of layer 5 looks from the last token, *to*, at *Mary*? (None does so most: look where they look instead.)
# Then find head 4.0, whose last token looks at the start token, and tick the box that weighs by the value norms. What happens to that line?

# %%
gb.views.attention(
    model,
    tokenizer,
    PROMPT,
    layer=5,
    head=3,
    title="Before it says Mary, the last layer looks at John and gave",
)

# %% [markdown]
# ### Question 1.10: The sink
#
# *5 points · ●●○ · 3 minutes*
#
# Look at head 2.3 once more. In the first half of its text nothing has been said before, so there is nothing to look up, and it puts nearly all of its weight on the start token. Many heads
# have such moments. What is the best reading?
#
# - **a** The start token carries the summary of the sentence.
# - **b** The model is not sure which word to look at.
# - **c** Weights must sum to one, so a head with nothing to say puts its weight where it does little.
# - **d** The mask forbids everything else.

# %% nbgrader={"grade_id": "answer-sink", "solution": true}
answer_sink = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_sink = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-sink", "grade": true, "points": 5}
check.sink(answer_sink)

# %% [markdown]
# ## 5. What a token has become
#
# After some layers, a token's vector is no longer that of a word. What is it then? One way to find out: look in a corpus for tokens whose vector at the same layer is most like it. Likeness is the **cosine**: the dot product
# divided by both lengths, 1 for the same direction, 0 for a right angle.
#
# **By hand.** The vector $(1, 0)$ and three others: $(10, 10)$, $(2, 0.1)$, $(-1, 0)$. Dot products: $10, 2, -1$. Cosines: $0.71, 0.999, -1$. The most similar is the second, although the first has by far the largest dot product.

# %% [markdown]
# ### Exercise 1.11: Nearest neighbours
#
# *5 points · ●○○ · 6 minutes*
#
# `vector` is `(width,)`, `corpus` `(many, width)`. Return the places of the `k` most similar rows by cosine, the most similar first, `(k,)`.
#
# <details><summary>Hint</summary>
#
# The length of the one vector is the same for all comparisons; the lengths of the corpus's rows are not.
#
# </details>


# %% nbgrader={"grade_id": "nearest", "solution": true}
def nearest(vector: torch.Tensor, corpus: torch.Tensor, k: int) -> torch.Tensor:
    """The places of the k rows of the corpus that point most in the vector's direction: (k,)."""
    ### BEGIN SOLUTION
    cosine = corpus @ vector / (corpus.norm(dim=-1) * vector.norm())  # (many,)
    return cosine.topk(k).indices
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-nearest", "grade": true, "points": 5}
check.nearest(nearest)
### BEGIN HIDDEN TESTS
check.nearest(nearest, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Long vectors have large dot products with everything. The start token's vector is very long in many models, so without the division it would be the neighbour of every word.
#
# </details>

# %% tags=["quoted"]
corpus, where = [[] for _ in range(7)], []
for s in sentences:
    states = run(s.prompt).hidden_states  # per layer (1, seq, width)
    where += [(s.prompt, place) for place in range(1, states[0].shape[1])]
    for layer in range(7):
        corpus[layer].append(states[layer][0, 1:])
corpus = [torch.cat(layer) for layer in corpus]  # per layer (many, width)

QUESTION = "On Sunday, Anna took a picture of the Eiffel Tower in the city of"
for layer in (0, 2, 4):
    state = run(QUESTION).hidden_states[layer][0, -1]
    print(f"layer {layer}: tokens most like the last {tokens_of(QUESTION)[-1]!r}")
    for place in nearest(state, corpus[layer], 4).tolist():
        text, token = where[place]
        print(
            "    ..."
            + "".join(tokens_of(text)[max(token - 5, 1) : token])
            + " ["
            + tokens_of(text)[token].strip()
            + "]"
        )

# %% [markdown]
# In layer 0 the neighbours are the same word in similar places: *of* after *city* or *country*. Further up, three of the four are not *of* at all. What does *capital of France, which [is]* have in common with a question about the Eiffel Tower? The **answer**:
# both are about to say *Paris*, and so is the sentence about the Louvre. The vector at the last token is no longer about the token that stands there. It is about the word to come. (The fourth has nothing to do with Paris: some token is always the next in line, however far away.)

# %% [markdown]
# ## 6. Not so fast
#
# Attention has told you where heads look. Does it tell you what the answer depends on? The small world can settle it. In the prompt at the top, two words decide: *Mary* and the second *John*. Change them, and change some of those that are
# looked at most.


# %% tags=["quoted"]
def says(text: str) -> str:
    """The model's next word."""
    return tokenizer.decode(run(text).logits[0, -1].argmax()).strip()


for name, row in zip(("most weight:", "most norm:"), last_rows(PROMPT)):
    print(
        f"{name:<13}"
        + "  ".join(
            f"{tokens_of(PROMPT)[place].strip()!r} at {place}"
            for place in row.argsort(descending=True)[:5].tolist()
        )
    )
print(f"as it is:             {says(PROMPT)}")
print(f"gave -> handed:       {says(PROMPT.replace('gave', 'handed'))}")
print(f"drink -> book:        {says(PROMPT.replace('drink', 'book'))}")
print(f"second John -> Mary:  {says(PROMPT.replace(', John', ', Mary'))}")
print(f"Mary -> Anna:         {says(PROMPT.replace('Mary', 'Anna'))}")

# %% [markdown]
# The word with the most weight is *gave*, which could be *handed* without any effect on the answer. The comma and *and* follow. Of the two words that decide, the second *John*, at place 10 of the text, comes fifth, and *Mary* is not among the first five. A look tells you where information was fetched from, and much of what is fetched has
# nothing to do with the one answer that you want to explain. Attention is not asked which answer it is for.

# %% [markdown]
# ### Question 1.12: Weight and influence
#
# *10 points · ●●○ · 10 minutes*
#
# A paper shows a map of attention with a dark spot on the word *not* and writes: "The model has understood the negation." Answer in four to six sentences: what the map shows, two reasons from this chapter why the sentence does not
# follow (with a number or an experiment each), and one experiment that could support it or refute it.

# %% [markdown] nbgrader={"grade_id": "written-weight-and-influence", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The map shows that one head, at one place in one text, gave *not* a large share of its weight. It is the share of a look, not of the decision. First, a weight is only as much as the value behind it: in our model the start
# token gets 0.27 of the weight and 0.21 of the weighted norms, although it is no word. Second, the looked-at word is often not the one that decides: the top word by weight was evidence in about half of the sentences, and in our prompt *gave* led, which can be replaced without effect.
# And there are forty-eight heads, so one map is always to be found that shows what one hopes for. To test the sentence, take *not* out or put it in, in many reviews, and see whether the verdict turns round; and compare with words that get as much attention but should not matter.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: says what a weight is: a head's share at one place, not the share of a decision.
# - 2: first reason with evidence (value norms, the start token's share).
# - 2: second reason with evidence (hits on evidence, many heads to choose from, other paths through the residual stream).
# - 3: an experiment that could go either way: replace the word, over many sentences, with a comparison.
# - 1: readable for the paper's authors; no overclaim in the other direction ("attention means nothing").

# %% [markdown]
# ## 7. In the wild
#
# bertviz is the tool that most people use to look at heads: it draws the lines between words, head by head, from the same weights that you have computed. TransformerLens has scores for
# previous-token and induction heads, on random tokens said twice, as here. glassbox has the weights of one layer and the weighted norms behind `gb.explain`.

# %% tags=["quoted"]
theirs = gb.explain(model, tokenizer, PROMPT, method="attention", layer=3)
weights, values = inside(PROMPT, 3)
print(
    f"largest difference between glassbox's scores and yours: {float((theirs.scores - weights.mean(0)[-1]).abs().max()):.4f}"
)

# %% [markdown]
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. The scores of heads need no truth about the text, so they
# can be computed for any model.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    ids = real_tokenizer(" the cat sat on a mat" * 2, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        real_layers = real_model(ids, output_attentions=True).attentions
    for number, layer in enumerate(real_layers):
        print(
            f"layer {number}: previous token {previous_token(layer[0]).max():.2f}, induction {induction(layer[0], ids[0]).max():.2f}"
        )
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - Attention is where tokens learn from each other: weights from queries and keys, content from values, and the causal mask forbids the future.
# - Heads can be named by numbers, on texts where only one behaviour helps.
# - A weight is a share of a look. What it brings depends on the value behind it, so weigh it by its norm.
# - Neither tells you what the answer depends on. To know that, something has to be changed.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | attention weights | where does a head look? | one forward pass | naming heads, finding patterns | a large weight on a small value; forty-eight maps to choose from |
# | weighted norms | how much does a look bring? | one forward pass | seeing through sinks | still one layer; blind to the target |
#
# **Further reading**
#
# - Vaswani and others (2017), *Attention Is All You Need*: sections 3.2.1 and 3.2.2 are the formulas of this chapter.
# - Olsson and others (2022), *In-context Learning and Induction Heads*: how induction heads come about in training, and what they are good for.
# - Kobayashi and others (2020), *Attention is Not Only a Weight*: the norms of section 4, and how they change what BERT seems to look at.
# - Xiao and others (2024), *Efficient Streaming Language Models with Attention Sinks*: what happens when the first token is taken away from heads that rest on it.
