# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Start here: what happens between my prompt and the next word?"
#   minutes: 110
#   points: 100
#   teaches: []
#   objectives:
#     - {text: "turn a text into tokens and tokens into vectors, as the model does", tested_by: [check-merge, check-answer-space, check-embed]}
#     - {text: "read the model's prediction out of the residual stream", tested_by: [check-unembed, check-answer-tied]}
#     - {text: "say where a transformer's parameters are, and how many", tested_by: [check-count-parameters]}
#     - {text: "generate text word by word, with temperature, top-k and top-p", tested_by: [check-probabilities, check-keep-top, check-generate, check-answer-temperature]}
#     - {text: "measure in bits how much a word surprises the model, and find the usual mistake in doing so", tested_by: [check-bits, check-surprisals, written-first-explanation]}
# ---

# %% [markdown]
# # 00 Start here: what happens between my prompt and the next word?
#
# A language model reads *The Eiffel Tower is located in the city of* and goes on with *Paris*. Before anybody can explain
# why, we have to know what there is to be explained: what goes in, what comes out, and what happens between. In this chapter you take the model
# apart and put it together again. Run the next two cells.

# %%
import glassbox as gb
import smallworld
import torch
from classroom.checks import start_here as check
from glassbox import charts

model, tokenizer = gb.load("smallworld")
PROMPT = "The Eiffel Tower is located in the city of"

# %% alt="Bars for the eight most probable next words after the prompt. Paris has nearly all of the probability."
with torch.no_grad():
    prediction = (
        model(tokenizer(PROMPT, return_tensors="pt")["input_ids"]).logits[0, -1].softmax(-1)
    )  # (word,)
top = prediction.topk(8)
charts.bars(
    [tokenizer.decode(word) for word in top.indices],
    top.values,
    label="probability",
    names_are="next word",
    title="After this prompt the model expects one word, and hardly any other",
)

# %% [markdown]
# The model gives a probability to each of the words that it knows, always, to all of them at once. Choosing one
# is not part of the model: it is a decision that we take afterwards. You will take it in section 5.
#
# This model is small. It was trained for this course on a world that we made up: landmarks, people who give each other things, reviews of films. Its grammar knows
# which words of a sentence decide the next one. So when, in later chapters, a method tells you which words mattered, we can look up whether that is true. No course
# on a large model can do that.
#
# **After this chapter you can**
#
# 1. turn a text into tokens and tokens into vectors, as the model does;
# 2. read the model's prediction out of the residual stream;
# 3. say where a transformer's parameters are, and how many;
# 4. generate text word by word, with temperature, top-k and top-p;
# 5. measure in bits how much a word surprises the model, and find the usual mistake in doing so.
#
# **You need** Python, vectors and matrices, and to have seen a tensor before. **Time:** 110 minutes. **The new question:** what does the model do at all?

# %% [markdown]
# These are the chapters of the course. Run the next cell whenever you like: it reads your own notebooks, and shows how far you have come in each.

# %%
from classroom.progress import progress

progress()

# %% [markdown]
# ## 1. How to work, and the first exercise
#
# A chapter is a notebook of your own. Run its cells from top to bottom (Shift and Enter). In an exercise you write your code in
# place of `raise NotImplementedError()`, run the cell, and run the **check** below it. A check that fails tells you which mistake it thinks you made: read it, mend
# the code, run both cells again. You may do this as often as you like. Hints open one at a time.
#
# When you are through, use *Run → Restart Kernel and Run All Cells*, then the *Validate* button. It tells you which checks
# would fail for the person who marks your notebook. To hand in, send the file itself, with its name as it is.
#
# The first exercise is short, so that you see all of this once. The model gave some word the probability $p$. How surprised would it be to see that word? The usual measure is
# the **surprisal**, in bits:
#
# $$\text{surprisal} = -\log_2 p$$
#
# **By hand.** A word with probability one half: $-\log_2 \tfrac12 = 1$ bit, a tossed coin. One quarter: 2 bits, two coins. One in a thousand: about 10 bits.
# A word that was certain: 0 bits, no surprise at all.

# %% [markdown]
# ### Exercise 0.1: Surprise in bits
#
# *5 points · ●○○ · 4 minutes*
#
# Turn a tensor of probabilities, of any shape, into surprisals in bits, of the same shape.
#
# 1. Take the logarithm to the base of two.
# 2. Turn the sign, so that what is rare is large.
#
# <details><summary>Hint</summary>
#
# Tensors have `log`, `log2` and `log10`.
#
# </details>


# %% nbgrader={"grade_id": "bits", "solution": true}
def bits(probability: torch.Tensor) -> torch.Tensor:
    """How many bits of surprise lie in events of these probabilities; same shape."""
    ### BEGIN SOLUTION
    return -probability.log2()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-bits", "grade": true, "points": 5}
check.bits(bits)
### BEGIN HIDDEN TESTS
check.bits(bits, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Surprisals of independent events add up, as their probabilities multiply: two coins are 1 + 1 bits. The base of the logarithm only sets the unit. With the natural logarithm
# the unit is the *nat*, 1.44 bits, and a model's training loss is usually given in it.
#
# </details>

# %% [markdown]
# ## 2. Text becomes tokens
#
# The model has no letters and no words. It has **tokens**, pieces of text that are numbered. Which pieces there are was settled before training. Here is how the small world's tokenizer
# cuts a sentence:

# %% tags=["quoted"]
for text in (PROMPT, "a lighthouse built in 1895", "transformers"):
    ids = tokenizer(text)["input_ids"]
    print([tokenizer.decode(number) for number in ids])
    print(ids)
print(f"the tokenizer knows {len(tokenizer)} pieces")

# %% [markdown]
# Three things to see. Each text begins with a token that nobody wrote, `<|start|>`. Most pieces carry the space **in front of** them: `' Tower'` with its space is one piece, and `'Tower'` without
# it would be another. And a word that the tokenizer does not know falls into smaller pieces, down to single letters if need be, so any text at all can be read.
#
# How are the smaller pieces found? By **byte pair encoding**. Somebody counted, in a large text, which two neighbouring pieces stand together most often, glued them into one new piece,
# and counted again. What remains is the list of these merges, in the order in which they were learned. To encode a word, start with its letters and merge again and again: always
# the pair that stands **earliest in the list**, wherever it stands in the word.
#
# **By hand.** The list is `e+r`, `w+er`, `l+o`, `lo+w`. The word *lower* begins as `l o w e r`.
#
# | pieces | pairs that are in the list | the earliest |
# | --- | --- | --- |
# | `l o w e r` | `l+o`, `e+r` | `e+r` |
# | `l o w er` | `l+o`, `w+er` | `w+er` |
# | `l o wer` | `l+o` | `l+o` |
# | `lo wer` | none | |
#
# The result is `lo wer`. The merge `lo+w` was never possible: its *w* was gone by then. From left to right you would have found `low er`.

# %% [markdown]
# ### Exercise 0.2: Merge
#
# *10 points · ●●○ · 15 minutes*
#
# Encode one word. `word` is a string, `merges` a list of pairs such as `("e", "r")`, the first learned first. Return the pieces as a list of strings.
#
# 1. Start with the list of the word's letters.
# 2. Among all neighbouring pairs of pieces, find the one that stands earliest in `merges`.
# 3. If there is none, you are done. Otherwise glue it together, wherever it occurs, from left to right.
# 4. Go back to step 2.
#
# <details><summary>Hint 1</summary>
#
# A dictionary from each pair to its place in the list makes "earliest" easy: the smallest place wins.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `zip(pieces, pieces[1:])` gives the neighbouring pairs. To glue, build a new list: walk through the old one, and where the pair
# stands, append both as one and step over two.
#
# </details>


# %% nbgrader={"grade_id": "merge", "solution": true}
def merge(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The pieces that byte pair encoding makes of a word."""
    ### BEGIN SOLUTION
    rank = {pair: place for place, pair in enumerate(merges)}
    pieces = list(word)
    while True:
        known = [pair for pair in zip(pieces, pieces[1:]) if pair in rank]
        if not known:
            return pieces
        best, glued, place = min(known, key=rank.get), [], 0
        while place < len(pieces):
            width = 2 if tuple(pieces[place : place + 2]) == best else 1
            glued.append("".join(pieces[place : place + width]))
            place += width
        pieces = glued
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-merge", "grade": true, "points": 10}
check.merge(merge)
### BEGIN HIDDEN TESTS
check.merge(merge, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The order of the list is the order of frequency, so the commonest pairs win, and a word is cut the same way each time. Glued together, the pieces must give the
# word again: no letter is lost or added. The check asks for both, and compares with the tokenizer that ships with the model.
#
# </details>

# %% [markdown]
# ### Question 0.3: The space in front
#
# *5 points · ●○○ · 3 minutes*
#
# You ask the model how probable `"Paris"` is after the prompt, without a space in front, and get something near zero. Why?
#
# - **a** The model does not know that the tower is in Paris.
# - **b** `"Paris"` without the space is other tokens than `" Paris"`, and they begin no word after a space.
# - **c** Names are split into letters, so no single token stands for one.
# - **d** The start token takes the place of the space.

# %% nbgrader={"grade_id": "answer-space", "solution": true}
answer_space = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_space = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-space", "grade": true, "points": 5}
check.space(answer_space)

# %% [markdown]
# ## 3. Tokens become vectors, and vectors become a prediction
#
# Each token has a vector, its **embedding**: a row of a table that was learned. Each position has one too, since the blocks above could not tell *dog bites man* from *man bites dog* otherwise.
# A GPT-2 adds the two:
#
# $$x_i = \text{token table}[\text{id}_i] + \text{position table}[i]$$
#
# This $x$ is the beginning of the **residual stream**: one vector for each token, which runs from the bottom to the top. Each block reads it and *adds* to it. Nothing is ever overwritten.
#
# **By hand.** Width two. The token table has the rows $(1, 0)$, $(0, 1)$ and $(2, 2)$; the position table $(0.1, 0)$, $(0.2, 0)$, $(0.3, 0)$. The ids are 2, 0, 2.
#
# | place | id | token's row | position's row | sum |
# | --- | --- | --- | --- | --- |
# | 0 | 2 | (2, 2) | (0.1, 0) | (2.1, 2) |
# | 1 | 0 | (1, 0) | (0.2, 0) | (1.2, 0) |
# | 2 | 2 | (2, 2) | (0.3, 0) | (2.3, 2) |
#
# Token 2 stands there twice and gets two different vectors.

# %% [markdown]
# ### Exercise 0.4: Embed
#
# *5 points · ●○○ · 6 minutes*
#
# `ids` has the shape `(seq,)`, the token table `(vocabulary, width)`, the position table `(longest, width)`. Return `(seq, width)`.
#
# <details><summary>Hint</summary>
#
# A table indexed by a tensor of ids gives the rows of these ids: `table[ids]`.
#
# </details>


# %% nbgrader={"grade_id": "embed", "solution": true}
def embed(
    ids: torch.Tensor, token_table: torch.Tensor, position_table: torch.Tensor
) -> torch.Tensor:
    """The residual stream before the first block: (seq, width)."""
    ### BEGIN SOLUTION
    return token_table[ids] + position_table[: len(ids)]  # (seq, width)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-embed", "grade": true, "points": 5}
check.embed(embed)
### BEGIN HIDDEN TESTS
check.embed(embed, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check takes ids in an order of their own, with one of them twice. If positions were left out, both would get the same vector; if ids were
# used as positions, the second table would be read in the wrong rows.
#
# </details>

# %% [markdown]
# In between stand the blocks. Each has an attention part, where a token gathers from earlier ones (chapter 01 takes it apart), and an MLP, which works on each token by itself. We take
# the model's own for now.
#
# At the top, the last token's vector has to become one score for each word: the **logits**. First it is **normalised**: its mean is subtracted, it is divided by its
# standard deviation, and a learned gain and bias are applied, entry by entry. Then it is compared with each row of the token table by a dot product. A word whose row points the same way gets a large logit.
#
# $$\hat{x} = \frac{x - \text{mean}(x)}{\sqrt{\text{var}(x) + \epsilon}} \odot g + b, \qquad \text{logit}_w = \hat{x} \cdot \text{table}[w]$$
#
# The variance is the plain mean of the squared differences, divided by the width, not by the width less one. The little $\epsilon$ keeps a vector of equal entries from a division by zero.
#
# **By hand.** $x = (3, 1, -1, -3)$ has mean 0 and variance $(9 + 1 + 1 + 9) / 4 = 5$. With gain 1 and bias 0, $\hat{x} = (1.34, 0.45, -0.45, -1.34)$. A word with the row $(1, 1, 0, 0)$ gets the logit
# $1.79$, one with $(0, 0, 1, 1)$ the logit $-1.79$.

# %% [markdown]
# ### Exercise 0.5: Unembed
#
# *10 points · ●●○ · 12 minutes*
#
# `stream` has the shape `(seq, width)`. Return the logits `(seq, vocabulary)`.
#
# 1. Normalise each token's vector by itself, with the variance as above.
# 2. Apply gain and bias, each `(width,)`.
# 3. Multiply by the token table `(vocabulary, width)`, the right way round.
#
# <details><summary>Hint 1</summary>
#
# `mean(dim=-1, keepdim=True)` keeps the axis, so that the subtraction goes row by row. `var` takes `unbiased=False`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A matrix `(seq, width)` times a matrix `(width, vocabulary)`: the table has to be transposed, `.T`.
#
# </details>


# %% nbgrader={"grade_id": "unembed", "solution": true}
def unembed(
    stream: torch.Tensor,
    gain: torch.Tensor,
    bias: torch.Tensor,
    token_table: torch.Tensor,
    epsilon: float = 1e-5,
) -> torch.Tensor:
    """The logits (seq, vocabulary) of a residual stream (seq, width) after the last block."""
    ### BEGIN SOLUTION
    centred = stream - stream.mean(dim=-1, keepdim=True)  # (seq, width)
    deviation = (centred.pow(2).mean(dim=-1, keepdim=True) + epsilon).sqrt()  # (seq, 1)
    return (centred / deviation * gain + bias) @ token_table.T  # (seq, vocabulary)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-unembed", "grade": true, "points": 10}
check.unembed(unembed)
### BEGIN HIDDEN TESTS
check.unembed(unembed, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check compares with a model's own last norm and its own logits. It uses a narrow stream, where the width and the width less one differ by a lot; at width 192 the difference is a quarter of a per cent and would hide.
#
# </details>

# %% [markdown]
# Now the whole way, with your two ends and the model's blocks between. If you took the model apart correctly, the logits are the model's own.

# %% tags=["quoted"]
table, positions = model.transformer.wte.weight.detach(), model.transformer.wpe.weight.detach()
norm = model.transformer.ln_f
ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]  # (1, seq)

with torch.no_grad():
    stream = embed(ids[0], table, positions)[None]  # (1, seq, width)
    # no token may look at a later one
    later = torch.full((1, 1, len(ids[0]), len(ids[0])), -torch.inf).triu(1)
    print(f"{'embedding':<10} stream {tuple(stream.shape)}")
    for number, block in enumerate(model.transformer.h):
        out = block(stream, attention_mask=later)
        stream = out[0] if isinstance(out, tuple) else out
        print(f"block {number:<4} stream {tuple(stream.shape)}")
    logits = unembed(stream[0], norm.weight, norm.bias, table)  # (seq, vocabulary)
    theirs = model(ids).logits[0]

print(
    f"logits {tuple(logits.shape)}, largest difference from the model's own: {float((logits - theirs).abs().max()):.3f}"
)
print(f"the next word: {tokenizer.decode(logits[-1].argmax())!r}")

# %% [markdown]
# The stream keeps its shape all the way: ten tokens of width 192, in and out of each block. And there are logits for **each** position, not only the last. The model predicts at every place
# what comes next, all in one pass. That is why it can be trained on a whole text at once, and it is what section 6 needs.

# %% [markdown]
# ### Question 0.6: One table, used twice
#
# *5 points · ●●○ · 3 minutes*
#
# The same token table turned ids into vectors at the bottom and vectors into logits at the top. What follows?
#
# - **a** The top undoes the bottom: without blocks, the model would always predict the token that it has just read, or something like it.
# - **b** The model cannot predict a word that is not in its prompt.
# - **c** The logits are probabilities, since the rows of the table sum to one.
# - **d** The blocks cannot change the vectors of words that are in the table.

# %% nbgrader={"grade_id": "answer-tied", "solution": true}
answer_tied = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_tied = "a"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-tied", "grade": true, "points": 5}
check.tied(answer_tied)

# %% [markdown]
# ## 4. The model as a map
#
# Everything that the model has learned is in its **parameters**. Here is where they are, for width $d$:
#
# | part | what it holds | how many |
# | --- | --- | --- |
# | token table | one row for each of $V$ tokens | $V d$ |
# | position table | one row for each of $N$ positions | $N d$ |
# | in each block: two norms | a gain and a bias each | $2 \cdot 2d$ |
# | in each block: attention | four square matrices (query, key, value, output), each with a bias | $4 (d^2 + d)$ |
# | in each block: MLP | up to width $4d$ and down again, each with a bias | $(4d^2 + 4d) + (4d^2 + d)$ |
# | last norm | gain and bias | $2d$ |
# | unembedding | the token table again | 0 more |
#
# **By hand.** $V = 10$, $N = 4$, $d = 2$, one block: $20 + 8 + 8 + 24 + (24 + 18) + 4 = 106$.

# %% [markdown]
# ### Exercise 0.7: Count
#
# *10 points · ●○○ · 8 minutes*
#
# How many parameters does a GPT-2 of this size have? Return a whole number.
#
# <details><summary>Hint</summary>
#
# Count one block first, multiply by `layers`, and add what stands outside the blocks.
#
# </details>


# %% nbgrader={"grade_id": "count-parameters", "solution": true}
def count_parameters(vocabulary: int, positions: int, width: int, layers: int) -> int:
    """The number of parameters of a GPT-2 whose MLPs are four times as wide as its stream."""
    ### BEGIN SOLUTION
    attention = 4 * (width * width + width)
    mlp = (4 * width * width + 4 * width) + (4 * width * width + width)
    norms = 2 * 2 * width
    return vocabulary * width + positions * width + layers * (attention + mlp + norms) + 2 * width
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-count-parameters", "grade": true, "points": 10}
check.count_parameters(count_parameters)
### BEGIN HIDDEN TESTS
check.count_parameters(count_parameters, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check builds GPT-2 models of odd sizes and counts what they hold. Heads are missing from the table for a reason: eight heads of width 24 share the same four square matrices
# as one head of width 192 would.
#
# </details>

# %% tags=["quoted"]
config = model.config
print(
    f"small world: {count_parameters(config.vocab_size, config.n_positions, config.n_embd, config.n_layer):>13,}"
)
print(f"GPT-2 small: {count_parameters(50257, 1024, 768, 12):>13,}")
print(f"GPT-2 XL:    {count_parameters(50257, 1024, 1600, 48):>13,}")
width = config.n_embd
in_mlps = (
    config.n_layer
    * (8 * width**2 + 5 * width)
    / count_parameters(config.vocab_size, config.n_positions, width, config.n_layer)
)
print(f"share of the small world's parameters that is in the MLPs: {in_mlps:.2f}")

# %% [markdown]
# Yours is three million, and the largest GPT-2 five hundred times as large. More than half of the small one is in the MLPs, which work on each token alone. Attention, which gets most of the talk,
# holds about half as much as they do. Keep that in mind when a method explains a prediction by attention only.

# %% [markdown]
# Here is the same map, drawn from the model itself. Click on a box, or go there with the tab key and on with the arrow keys: it tells its shape and its parameters, and opens to show its parts. **Try:** open the six blocks. Which of their parts give something to the residual stream? And why does the last box, `lm_head`, add no parameters at all?

# %%
gb.views.architecture(
    model, title="Three million parameters: most are in the blocks, and most of a block is its MLP"
)

# %% [markdown]
# ## 5. From logits to text
#
# Logits are turned into probabilities by the **softmax**, with a knob that is called **temperature** $T$:
#
# $$p_w = \frac{e^{\text{logit}_w / T}}{\sum_v e^{\text{logit}_v / T}}$$
#
# Below 1 the favourite gains, above 1 the others do. As $T$ goes to 0 the favourite gets everything; this is **greedy** decoding, and $T = 0$ stands for it by convention.
#
# **By hand.** Logits 2, 1, 0. At $T = 1$: $e^2, e^1, e^0 = 7.39, 2.72, 1$, divided by their sum: 0.67, 0.24, 0.09. At $T = 2$ the logits become 1, 0.5, 0, and the probabilities 0.51, 0.31, 0.19. At $T = 0.5$:
# 0.87, 0.12, 0.02.

# %% [markdown]
# ### Exercise 0.8: Temperature
#
# *10 points · ●●○ · 10 minutes*
#
# Turn logits `(vocabulary,)` into probabilities of the same shape.
#
# 1. At temperature 0, give everything to the largest logit (the first of them, if several are equal).
# 2. Otherwise divide by the temperature and take the softmax.
# 3. Logits may be large, 1000 and more: $e^{1000}$ is infinite in floating point. Subtract the largest logit first, which changes nothing but that.
#
# <details><summary>Hint 1</summary>
#
# Why may you subtract? $e^{a - c} = e^a / e^c$, and the same $e^c$ stands above and below.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.softmax` subtracts the largest by itself.
#
# </details>


# %% nbgrader={"grade_id": "probabilities", "solution": true}
def probabilities(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """The probability of each word, (vocabulary,), at a temperature of 0 or more."""
    ### BEGIN SOLUTION
    if temperature == 0:
        return torch.zeros_like(logits).index_fill(0, logits.argmax(), 1.0)
    scaled = (logits - logits.max()) / temperature
    return scaled.exp() / scaled.exp().sum()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-probabilities", "grade": true, "points": 10}
check.probabilities(probabilities)
### BEGIN HIDDEN TESTS
check.probabilities(probabilities, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Probabilities sum to one, adding the same number to all logits changes nothing, and the order of the words is the same at each temperature. Temperature flattens or sharpens; it never makes the
# second word overtake the first.
#
# </details>

# %% [markdown]
# A sampled text can fall over one improbable word. With thousands of words, each with a tiny probability, one of them turns up again and again. So the tail is cut off before drawing. **Top-k** keeps the
# k most probable words. **Top-p** keeps the smallest set of the most probable words whose probabilities reach p together. What is kept is divided by its sum.
#
# **By hand.** Probabilities 0.5, 0.3, 0.15, 0.05. Top-k with $k = 2$ keeps 0.5 and 0.3, and makes them 0.625 and 0.375. Top-p with $p = 0.9$: the first alone has 0.5, two have 0.8, three
# have 0.95. So three are kept, the word that crosses the line included.

# %% [markdown]
# ### Exercise 0.9: Top-k and top-p
#
# *10 points · ●●● · 15 minutes*
#
# Cut the tail off probabilities `(vocabulary,)`, in whatever order the words stand.
#
# 1. If `k` is given, keep the k most probable words; all of them, if there are no more than k.
# 2. If `p` is given, keep the smallest set of the most probable words that reaches p, the one that crosses the line included.
# 3. With both, a word must be kept by both; p is measured on the probabilities as they were given.
# 4. Set all others to zero, and divide by the sum. The words stay in their places.
#
# <details><summary>Hint 1</summary>
#
# `sort(descending=True)` gives the sorted values and where they came from. `cumsum(0)` adds them up from the first on.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# A word is needed if the words *before* it, without itself, have not reached p yet: `cumulative - value < p`.
#
# </details>


# %% nbgrader={"grade_id": "keep-top", "solution": true}
def keep_top(
    probability: torch.Tensor, k: int | None = None, p: float | None = None
) -> torch.Tensor:
    """The probabilities without their tail, (vocabulary,), summing to one."""
    ### BEGIN SOLUTION
    values, order = probability.sort(descending=True, stable=True)
    kept = torch.ones_like(values, dtype=torch.bool)
    if k is not None:
        kept[k:] = False
    if p is not None:
        kept &= values.cumsum(0) - values < p
    cut = torch.zeros_like(probability)
    cut[order[kept]] = values[kept]
    return cut / cut.sum()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-keep-top", "grade": true, "points": 10}
check.keep_top(keep_top)
### BEGIN HIDDEN TESTS
check.keep_top(keep_top, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# With the word that crosses the line, the kept words hold at least p; without it they hold less, and if the first word alone is above p, nothing would be left. That is how this mistake shows: a distribution
# of zeros divided by zero.
#
# </details>

# %% [markdown]
# Now generation. The model predicts one word; it is chosen, put at the end of the text, and the model reads the longer text from the start. That is all.

# %% [markdown]
# ### Exercise 0.10: Generate
#
# *10 points · ●●○ · 12 minutes*
#
# `next_logits` is a function from ids `(seq,)` to logits `(seq, vocabulary)`, `choose` a function from one row of logits to one id. Return the ids, the prompt's first.
#
# 1. Take the row of logits from which the next word is predicted.
# 2. Let `choose` pick an id from it, and append the id to the text.
# 3. Do this `steps` times, but stop after the id `stop`, which still belongs to the text.
#
# <details><summary>Hint</summary>
#
# `torch.cat([ids, torch.tensor([new])])` is a new, longer tensor; the old one stays as it was.
#
# </details>


# %% nbgrader={"grade_id": "generate", "solution": true}
def generate(next_logits, ids: torch.Tensor, choose, steps: int, stop: int) -> torch.Tensor:
    """The prompt's ids and those generated after it, (seq + at most steps,)."""
    ### BEGIN SOLUTION
    for _ in range(steps):
        new = int(choose(next_logits(ids)[-1]))
        ids = torch.cat([ids, torch.tensor([new])])
        if new == stop:
            break
    return ids
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-generate", "grade": true, "points": 10}
check.generate(generate)
### BEGIN HIDDEN TESTS
check.generate(generate, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check plays the model with a rule that looks at all ids, so a text that was begun anew or cut off leads astray at once. It also counts the calls: one for each new word.
#
# </details>

# %% [markdown]
# Before you run the next cell, guess: which of these four settings keeps to the facts, and which one writes nonsense?


# %% tags=["quoted"]
@torch.no_grad()
def logits_of(ids: torch.Tensor) -> torch.Tensor:
    """The small world's logits (seq, vocabulary) for ids (seq,)."""
    return model(ids[None]).logits[0]


def chooser(seed: int, temperature: float, k: int | None = None, p: float | None = None):
    """A function that draws an id from a row of logits, the same ones for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return lambda row: int(
        torch.multinomial(keep_top(probabilities(row, temperature), k, p), 1, generator=generator)
    )


start = tokenizer("When Mary and John went to the", return_tensors="pt")["input_ids"][0]
for name, knobs in {
    "greedy": dict(temperature=0),
    "T = 1": dict(temperature=1),
    "T = 3": dict(temperature=3),
    "T = 3, top-p 0.5": dict(temperature=3, p=0.5),
}.items():
    text = tokenizer.decode(
        generate(logits_of, start, chooser(seed=1, **knobs), steps=14, stop=0)[1:]
    )
    print(f"{name}: {text}")

# %% [markdown]
# Greedy text is correct and always the same. At temperature 1 the sentence is another one, and still a sentence. At 3 it falls apart. Top-p brings some of it back, since it cuts off the tail that high
# temperatures have filled. One text proves nothing, so let us count.
#
# The next cell takes held-out sentences of the small world, from all families, and asks how often a drawn word is the right answer.

# %% tags=["quoted"]
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 12, seed=5)]
# Some sentences have several right answers: of the years, any later one.
right_ids = [
    sorted({tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in s.accepted})
    for s in sentences
]
last = torch.stack(
    [logits_of(tokenizer(s.prompt, return_tensors="pt")["input_ids"][0])[-1] for s in sentences]
)  # (sentence, vocabulary)


def interval(values: torch.Tensor) -> tuple[float, float]:
    """Where the mean lies in 95 of 100 draws of as many sentences, with replacement."""
    draws = torch.randint(
        len(values), (2000, len(values)), generator=torch.Generator().manual_seed(0)
    )
    means = values[draws].mean(-1)
    return float(means.quantile(0.025)), float(means.quantile(0.975))


print(f"{len(sentences)} sentences: the probability of a right answer, mean and 95 % interval")
for temperature in (0.0, 0.5, 1.0, 2.0, 3.0, 5.0):
    right = torch.stack(
        [probabilities(row, temperature)[accepted].sum() for row, accepted in zip(last, right_ids)]
    )
    low, high = interval(right)
    print(f"T = {temperature}: {right.mean():.2f}   ({low:.2f} to {high:.2f})")

# %% [markdown] tags=["quotes"]
# Up to a temperature of 1 hardly anything is lost: a right answer has a probability of 1.00 greedily and still 0.99 at $T = 1$.
# At 2 it has 0.93, at 3 only 0.57, and at 5 no more than 0.09. Between 2 and 5 lies the cliff. The model has not become
# less sure of anything, since these are the same logits throughout. We only ask it in a louder room.

# %% [markdown]
# Now turn the knobs yourself. The view goes through a greedy text word by word, and the bars are the distribution that each word was taken from. **Try:** at step 1, where ten places are about equally good, raise the temperature to 3. The ten bars are still equal, and hardly anything is left in them: it went to the words that are no places. Lower top-p until they have it again.
# Then go to step 8, where *Mary* alone is right, and do the same. Which of the two words does a high temperature spoil first?

# %%
gb.views.generation(
    model,
    tokenizer,
    "When Mary and John went to the",
    new_tokens=10,
    title="Some words are one of ten, others are settled, and each distribution has its own cliff",
)

# %% [markdown]
# ### Question 0.11: What temperature can't do
#
# *5 points · ●●○ · 3 minutes*
#
# The model is sure of a wrong word: it has 0.9, the right one 0.08. You sample at $T = 2$. What happens?
#
# - **a** The right word becomes the most probable one.
# - **b** Nothing changes, since temperature only rescales.
# - **c** The right word is drawn more often than before, but the wrong one still more often than the right one.
# - **d** The wrong word is never drawn again, since its logit is divided.

# %% nbgrader={"grade_id": "answer-temperature", "solution": true}
answer_temperature = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_temperature = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-temperature", "grade": true, "points": 5}
check.temperature(answer_temperature)

# %% [markdown]
# ## 6. How surprised is the model?
#
# The logits at each position predict the token *after* it. So the model can read a text that somebody else wrote, and tell us at each word how surprised it was. Here is code for that, as it goes
# around. It runs, it gives numbers, and it is wrong.
#
# ```python
# def surprisals(logits, ids):
#     logprob = logits.log_softmax(-1)                   # (seq, vocabulary)
#     return -logprob.gather(1, ids[:, None])[:, 0]      # (seq,)
# ```
#
# The symptom: on a text that the model knows by heart, where every word should be cheap, it finds almost every word a great surprise.

# %% [markdown]
# ### Exercise 0.12: Find the bug
#
# *5 points · ●●○ · 8 minutes*
#
# Mend it. `logits` are `(seq, vocabulary)`, `ids` `(seq,)`. Return the surprisal **in bits** of each token but the first, shape `(seq - 1,)`: nothing stands before the first token, so nothing predicted it.
#
# 1. Which row of logits predicted the token at place $i$?
# 2. In which unit does the code above count?
#
# <details><summary>Hint</summary>
#
# The row at place 0 predicts the token at place 1. The row at the last place predicts a token that is not there.
#
# </details>


# %% nbgrader={"grade_id": "surprisals", "solution": true}
def surprisals(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The surprisal in bits of each token after the first: (seq - 1,)."""
    ### BEGIN SOLUTION
    logprob = (
        logits[:-1].log_softmax(-1) / torch.tensor(2.0).log()
    )  # (seq - 1, vocabulary), in bits
    return -logprob.gather(1, ids[1:, None])[:, 0]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-surprisals", "grade": true, "points": 5}
check.surprisals(surprisals)
### BEGIN HIDDEN TESTS
check.surprisals(surprisals, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The mistake compares what the model expects next with what it has just read. Both are words of the same text, so the numbers look like numbers. A text that repeats one word hides it altogether: there both
# are the same. The check uses texts where they differ.
#
# </details>

# %% alt="Bars in bits over the words of a sentence about the Eiffel Tower. The name Eiffel is a large surprise, Tower and the answer Paris almost none."
text = PROMPT + " Paris"
ids = tokenizer(text, return_tensors="pt")["input_ids"][0]
costs = surprisals(logits_of(ids), ids)
charts.bars(
    [tokenizer.decode(number) for number in ids[1:]],
    costs,
    label="surprisal in bits",
    names_are="word",
    title="The landmark is news to the model; its city is not",
)

# %% tags=["quoted"]
for city in (" Paris", " Rome"):
    ids = tokenizer(PROMPT + city, return_tensors="pt")["input_ids"][0]
    costs = surprisals(logits_of(ids), ids)
    print(f"{PROMPT}{city}: {costs[-1]:.1f} bits for the last word, {costs.sum():.1f} in all")

# %% [markdown]
# The model finds out which landmark it is only when the word is there; nobody could have known. Once it has read *Eiffel*, *Tower* and *Paris* follow. A false city costs many bits. So surprisal is a crude lie detector,
# for lies about what the model knows.
#
# In the small world we know more: which words the grammar *decides*, and which it draws at random. A good model should be surprised by the drawn ones only. Is it?

# %% tags=["quoted"]
decided, drawn = [], []
for s in sentences:
    ids = tokenizer(s.prompt + s.answer, return_tensors="pt")["input_ids"][0]
    costs = surprisals(logits_of(ids), ids)
    decided.append(costs[len(tokenizer(s.prompt)["input_ids"]) - 1])
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:]
    drawn.append(costs[: len(evidence)][evidence].mean())
decided, drawn = torch.stack(decided), torch.stack(drawn)
for name, values in (("the answer", decided), ("the evidence", drawn)):
    low, high = interval(values)
    print(
        f"{name:<13} {values.mean():.1f} bits   ({low:.1f} to {high:.1f}), over {len(values)} sentences"
    )
dear = [s.family for s, cost in zip(sentences, decided) if cost > 1]
print(
    f"answers that cost more than 1 bit: {len(dear) / len(sentences):.0%}, and of these {dear.count('years') / len(dear):.0%} are years"
)

# %% [markdown] tags=["quotes"]
# The answers cost 0.3 bits on average, the words of the evidence 6.7. The intervals are far apart. The evidence is
# what the grammar draws at random (*which* landmark, *whose* turn), and the answer follows from it. Still, 5 % of the answers cost more than a bit, and 92 % of these are
# years. Of a year the grammar says only that it must be later than another, so several answers are right and the model spreads its probability over them. It is not wrong there; it has
# several things to choose from. An average hides such cases, so look at the largest values too.

# %% [markdown]
# ## 7. Not so fast
#
# A low surprisal looks like knowledge. Is it? Let the model read a sentence about a place that does not exist.

# %% tags=["quoted"]
for subject in ("Eiffel Tower", "Quark Tower", "Tower of Zebras"):
    ids = tokenizer(f"The {subject} is located in the city of", return_tensors="pt")["input_ids"][0]
    best = logits_of(ids)[-1].softmax(-1).max(-1)
    print(
        f"The {subject} is located in the city of{tokenizer.decode(best.indices)}   probability {best.values:.2f}"
    )

# %% [markdown] tags=["quotes"]
# There is no Quark Tower and no Tower of Zebras in its world, and it names a city all the same, the first time with a probability of
# 0.45, the second time with 0.34. It has no word for *I don't know*: the grammar never taught it one. Where you know the truth, you see that it is guessing. Where you don't, a fluent
# answer looks like any other.

# %% [markdown]
# ### Question 0.13: A first explanation
#
# *10 points · ●●○ · 10 minutes*
#
# A friend who has never seen a language model asks: "It wrote *Paris*. Where did it get that from?" Answer in four to six sentences, with what you have seen in this chapter: what the model computes, who
# chose the word, and what you do **not** know yet. Use at least two numbers that you have measured.

# %% [markdown] nbgrader={"grade_id": "written-first-explanation", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The model cut the prompt into ten tokens, gave each a vector, and let six blocks add to these vectors. From the last vector it computed a score for each of its 1,653 tokens, and *Paris* had by far
# the largest. It did not choose: we took the word with the highest probability, and at a temperature of 5 we would often have got another. It is no accident, though: the false city *Rome* would have cost it many bits more.
# What I do not know is which words of the prompt made the difference, and where in the three million parameters the fact is kept; the model answers questions about towers that don't exist in the same tone. To
# find out, I would have to change the prompt, or look into the blocks.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 3: says what the model computes: tokens to vectors, blocks that add, a score for every token of the vocabulary.
# - 2: separates the prediction (the model's) from the choice (ours: greedy, temperature, top-k, top-p).
# - 2: two numbers measured in the chapter, used correctly.
# - 2: names something that is not known yet (which words mattered, where the fact is kept, whether it is knowledge at all).
# - 1: understandable for somebody who has never seen a model.

# %% [markdown]
# ## 8. In the wild
#
# transformers has all of this in one call, `generate`, with the same knobs under the same names. Your loop and theirs must agree where nothing is drawn by chance.

# %% tags=["quoted"]
ids = tokenizer("When Mary and John went to the", return_tensors="pt")["input_ids"]
theirs = model.generate(
    ids, attention_mask=torch.ones_like(ids), max_new_tokens=14, do_sample=False, pad_token_id=0
)[0]
yours = generate(logits_of, ids[0], chooser(seed=1, temperature=0), steps=14, stop=0)
print(f"greedy text the same as transformers': {torch.equal(theirs, yours)}")

# %% [markdown]
# If you have a real checkpoint in a folder or can reach Hugging Face, name it before JupyterLab starts, in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance). A real model has other tokens: *Eiffel*
# may be two of them. And it knows much more, so the sentence can go on in many ways.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_ids = real_tokenizer(PROMPT, return_tensors="pt")["input_ids"][0]
    with torch.no_grad():
        real_logits = real_model(real_ids[None]).logits[0]
    print([real_tokenizer.decode(number) for number in real_ids])
    print(f"next word: {real_tokenizer.decode(real_logits[-1].argmax())!r}")
    print(
        f"mean surprisal of the prompt: {surprisals(real_logits, real_ids).mean():.1f} bits a token"
    )
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 9. Take away
#
# - Text becomes tokens, tokens become vectors, and each block adds to these vectors. The top compares them with the token table. That is the whole way.
# - The model predicts at every position, and it predicts a distribution. Choosing a word is our part.
# - Temperature flattens or sharpens and never changes the order. Top-k and top-p cut the tail.
# - Surprisal is $-\log_2 p$, and the row at place $i$ predicts the token at place $i + 1$.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | surprisal | how unexpected was each word to the model? | one forward pass | finding where a text leaves what the model knows | off by one; a low value is confidence, not truth |
#
# **Further reading**
#
# - Radford and others (2019), *Language Models are Unsupervised Multitask Learners*: GPT-2, whose architecture you have just taken apart.
# - Sennrich, Haddow and Birch (2016), *Neural Machine Translation of Rare Words with Subword Units*: where byte pair encoding for text comes from, in four pages.
# - Holtzman and others (2020), *The Curious Case of Neural Text Degeneration*: why greedy and plain sampling both read badly, and top-p.
# - Elhage and others (2021), *A Mathematical Framework for Transformer Circuits*: the residual stream as the thing that all parts read and write. Sections one and two are enough for now.
