# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Logit lens: when does the model know?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.reading.lens
#     - glassbox.reading.tuned_lens
#     - glassbox.reading.logit_attribution
#     - glassbox.reading.patchscope
#   objectives:
#     - {text: "read a hidden state through the model's last two steps, with and without the norm", tested_by: [check-lens, check-readings]}
#     - {text: "follow a word's rank through the layers, and measure how far each layer is from the end", tested_by: [check-ranks, check-settled, check-divergence, check-answer-low-rank]}
#     - {text: "train a translator for a layer, and say what it may have made up", tested_by: [check-fit, check-answer-translator, written-when]}
#     - {text: "share a logit out among heads, MLPs and embeddings, exactly", tested_by: [check-shares, check-by-head, check-answer-direct]}
#     - {text: "put a hidden state into another prompt, and read what the model makes of it", tested_by: [check-patched]}
# ---

# %% [markdown]
# # 07 Logit lens: when does the model know?
#
# The model has six blocks, one after the other, and speaks only after the last. What would it say if it had to answer earlier? Run the next two cells, and guess first: after how many of the six blocks is the Eiffel Tower in Paris?

# %%
from collections import Counter
from dataclasses import replace
from pathlib import Path

import glassbox as gb
import smallworld
import torch
from classroom.checks import logit_lens as check
from glassbox import charts, grids
from safetensors.torch import load_file

model, tokenizer = gb.load("smallworld")
parts = gb.anatomy(model)  # where the blocks, the final norm and the unembedding are
PROMPT = "The Eiffel Tower is located in the city of"


def ids_of(text: str) -> torch.Tensor:
    """A text's token ids, the start token first: (seq,)."""
    return tokenizer(text, return_tensors="pt")["input_ids"][0]


def id_of(word: str) -> int:
    """A word's token id. It stands with the space before it, as in " Paris"."""
    return tokenizer(word, add_special_tokens=False)["input_ids"][0]


@torch.no_grad()
def stream(model, ids: torch.Tensor) -> torch.Tensor:
    """The hidden states that enter block 0, block 1, ... and at last the final norm: (layers + 1, seq, width)."""
    seen, where = [], gb.anatomy(model)
    watched = [*where.blocks, where.final_norm]
    handles = [
        module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0]))
        for module in watched
    ]
    try:
        model(ids[None])
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(seen)


# %% alt="A grid with the layers from 0 below to 6 on top and a column for each of four prompts. In each cell stands the word that the layer would say. For the Eiffel Tower it is Paris from layer 1 on; for the opposite of hot it is far or eight up to layer 4, then cold; the third column says Leo up to layer 4, then Martha; the fourth says desert up to layer 2, then anchor."
prompts = {
    "Eiffel Tower": PROMPT,
    "hot, opposite": "Last winter, Walter wrote that hot means the opposite of",
    "Leo, Martha": "While Leo and Martha were at the station, Leo showed the camera to",
    "repeated list": "Today Irene wrote: desert river anchor barrel garden rocket winter monkey. Later Hugo wrote: desert river",
}
with torch.no_grad():
    grid = torch.stack(
        [parts.head(stream(model, ids_of(text))[:, -1]).softmax(-1) for text in prompts.values()],
        dim=1,
    )
chances, words = grid.max(-1)  # both (layer, prompt)
grids.layer_grid(
    chances,
    range(len(chances)),
    list(prompts),
    texts=[[tokenizer.decode(word) for word in row] for row in words],
    title="Paris can be read from layer 1 on, Martha only from layer 5",
    label="probability of that word",
    columns="prompt",
)

# %% [markdown]
# Layer 0 repeats the word that it has just read; on the repeated list, whose last word is *river*, the layers 1 and 2 say *desert*, the word before it. Then *Paris* is there after the first block of six. What are the other five for? *Martha* takes longer: up to layer 4 it would be *Leo*, the wrong friend. And for the opposite of *hot* the layers say *far*, *eight*, *eight* and *far* before *cold* comes up. Did the model not know so far,
# or can we not read it? Those are two very different things, and this chapter tells them apart.
#
# **After this chapter you can**
#
# 1. read a hidden state through the model's last two steps, with and without the norm;
# 2. follow a word's rank through the layers, and measure how far each layer is from the end;
# 3. train a translator for a layer, and say what it may have made up;
# 4. share a logit out among heads, MLPs and embeddings, exactly;
# 5. put a hidden state into another prompt, and read what the model makes of it.
#
# **You need** chapter 00 (blocks, residual stream, unembedding) and chapter 01 (heads). **Time:** 120 minutes, and more if you read all the code: sections 5 and 6 (exercise 7.12, question 7.13) make a good second sitting. **The new question:** not which words of the text matter, but where inside the model the answer comes up.

# %% [markdown]
# ## 1. Answer now
#
# Between the blocks runs the **residual stream**: one vector for each token, to which every block adds something. It has the same width everywhere. So what the model does at the end, the final norm and the unembedding, can be done after any layer:
#
# $$\text{logits}_l = W_U \cdot \text{norm}(h_l)$$
#
# That is the **logit lens**. Blocks are counted from 0, and so are heads: head 2.4 is head 4 of block 2. $h_l$ is what enters block $l$: $h_0$ is the embedding, $h_1$ what block 0 leaves, and $h_6$ what the last block leaves. In GPT-2 the norm is a LayerNorm: take off the mean, divide by the standard deviation, multiply by a gain, add a bias.
#
# **By hand.** The width is 3, the gain all ones, the bias all zeros, and $h = (4, 1, 1)$. The mean is 2, what is left is $(2, -1, -1)$, and its mean square is 2. Divided by $\sqrt 2$: $(1.41, -0.71, -0.71)$. Three words, whose rows of $W_U$ are *Paris* $(1, 0, 0)$, *Rome* $(0, 2, 0)$ and *the*
# $(0, 1, 1)$, get the logits $1.41, -1.41, -1.41$. Without the norm it would be $4, 2, 2$. The top word stays the same here, but how *sure* the reading is depends on the norm.

# %% [markdown]
# ### Exercise 7.1: The lens
#
# *10 points · ●○○ · 10 minutes*
#
# `hidden` is `(..., width)` with any number of axes in front; `gain` and `bias` are `(width,)`, `unembedding` is `(vocabulary, width)`. Return the logits, `(..., vocabulary)`.
#
# 1. Take off the mean over the width. (If `norm` is False, skip this and the next two steps, and only unembed.)
# 2. Divide by the root of the mean square of what is left, plus $10^{-5}$ under the root.
# 3. Multiply by the gain, add the bias.
# 4. Unembed.
#
# <details><summary>Hint 1</summary>
#
# `mean(-1, keepdim=True)` keeps the axis, so that the result can be subtracted.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `var` and `std` divide by width less one unless told otherwise. The norm divides by the width.
#
# </details>


# %% nbgrader={"grade_id": "lens", "solution": true}
def lens(
    hidden: torch.Tensor,
    gain: torch.Tensor,
    bias: torch.Tensor,
    unembedding: torch.Tensor,
    norm: bool = True,
) -> torch.Tensor:
    """What the model would say after this hidden state: logits, (..., vocabulary)."""
    ### BEGIN SOLUTION
    if norm:
        centred = hidden - hidden.mean(-1, keepdim=True)
        hidden = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias
    return hidden @ unembedding.T
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-lens", "grade": true, "points": 10}
check.lens(lens)
### BEGIN HIDDEN TESTS
check.lens(lens, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Add the same number to all entries of $h$, or multiply $h$ by two: with the norm, the logits do not change (but for the tiny $10^{-5}$). Without it they do. The check tries both, and compares with PyTorch's own LayerNorm.
#
# </details>

# %% [markdown]
# There is a lazier way to get at the hidden states: transformers returns them when asked. This code is all over the web. Run it, and look at the last row, which should be what the model itself says.


# %% tags=["quoted"]
@torch.no_grad()
def plausible_readings(model, ids):
    head = gb.anatomy(model).head  # the final norm, then the unembedding
    hidden = model(ids[None], output_hidden_states=True).hidden_states
    return torch.stack([head(state)[0] for state in hidden])


ids = ids_of(PROMPT)
with torch.no_grad():
    truth = model(ids[None]).logits[0, -1]
last = plausible_readings(model, ids)[-1, -1]
for name, row in (("the model", truth), ("the last row", last)):
    shown = ", ".join(f"{tokenizer.decode(word)} {row[word]:.1f}" for word in row.topk(3).indices)
    print(f"{name:<13} {shown}")
print(
    f"the last row is off by {(last - truth).norm() / truth.norm():.0%} of the length of the logits"
)

# %% [markdown] tags=["quotes"]
# The first three words are right and in the right order, so nobody notices. But the logits are off by 13%, and the last row can't be anything but the model's own answer. A lens whose last layer differs from the model is broken somewhere.

# %% [markdown]
# ### Exercise 7.2: Find the bug
#
# *10 points · ●●○ · 8 minutes*
#
# Mend it. `ids` are `(seq,)`; return the logits that each layer would give at each position, `(layers + 1, seq, vocabulary)`, without gradients. It has to work for any model that `gb.anatomy` knows, not for GPT-2 alone: use the model's own `gb.anatomy(model).head`, since your `lens` is GPT-2's, and a Llama's norm has no bias.
#
# <details><summary>Hint 1</summary>
#
# What did transformers do to the last of the hidden states before it handed it over? Compare it with the last of `stream(model, ids)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The last of them has passed the final norm already. There are several ways out: leave the norm out there (`head(state, norm=False)`), take the model's own logits for that row, or use `stream`.
#
# </details>


# %% nbgrader={"grade_id": "readings", "solution": true}
@torch.no_grad()
def readings(model, ids: torch.Tensor) -> torch.Tensor:
    """What each layer would say at each position: logits, (layers + 1, seq, vocabulary)."""
    ### BEGIN SOLUTION
    output = model(ids[None], output_hidden_states=True)
    below = torch.cat(output.hidden_states[:-1])  # (layer, seq, width)
    return torch.cat([gb.anatomy(model).head(below), output.logits])
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-readings", "grade": true, "points": 10}
check.readings(readings)
### BEGIN HIDDEN TESTS
check.readings(readings, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The last layer's reading has to be the model's own logits, exactly. No other layer has a truth to hold it against, which is why this one is worth so much. The check asks a GPT-2 and a Llama, whose norms differ.
#
# </details>

# %% [markdown]
# Now the norm. What does the lens show if it is left out? Compare the words, and how sure the two readings are.

# %% tags=["quoted"]
gain, bias, unembedding = (
    w.detach() for w in (parts.final_norm.weight, parts.final_norm.bias, parts.unembedding.weight)
)
states = stream(model, ids_of(prompts["hot, opposite"]))[:, -1]  # (layer, width)
for layer, state in enumerate(states):
    line = [f"layer {layer}   length {state.norm():>3.0f}"]
    for norm in (True, False):
        chance, word = lens(state, gain, bias, unembedding, norm).softmax(-1).max(-1)
        line.append(
            f"{'with' if norm else 'without'} norm {tokenizer.decode(word):<9} {chance:.2f}"
        )
    print("   ".join(line))

# %% [markdown] tags=["quotes"]
# The embedding is 2 long, and the stream after one block 142. Without the norm that length goes into the logits: at layers 1 to 3 the lens is nearly certain, with 0.93, 1.00 and 0.99, and at layer 0, where the stream is short, it is certain of nothing, with 0.03. At layer 2 both say *eight*, the lens with the norm gives it 0.28: neither is right, but one of them says that it does not know. The norm takes the length away, as the model does at its end. From here on the lens has its norm.

# %% [markdown]
# ## 2. Follow the answer
#
# The top word hides what is going on below it. Two numbers say more. The **rank** of the answer: 1 if it is on top, 2 if one word is more probable, and so on. And the layer at which the answer is **settled**: from there on it is on top, and stays there.
#
# **By hand.** Logits $2, 5, 1, 3$, and the answer is word 3. One word, with 5, is above it: rank 2. An answer whose ranks are $7, 1, 2, 1, 1$ over five layers is settled at layer 3. It was on top at layer 1 too, and lost it again.

# %% [markdown]
# ### Exercise 7.3: Ranks
#
# *5 points · ●○○ · 5 minutes*
#
# `logits` are `(..., vocabulary)`, `word` is a token id. Return its rank, counted from 1, for each row: `(...,)`. Words with the same logit do not push it down.
#
# <details><summary>Hint</summary>
#
# Count how many words have a larger logit. You need no sorting.
#
# </details>


# %% nbgrader={"grade_id": "ranks", "solution": true}
def ranks(logits: torch.Tensor, word: int) -> torch.Tensor:
    """The place of the word among all words, 1 for the most probable: (...,)."""
    ### BEGIN SOLUTION
    return (logits > logits[..., word, None]).sum(-1) + 1
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-ranks", "grade": true, "points": 5}
check.ranks(ranks)
### BEGIN HIDDEN TESTS
check.ranks(ranks, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The largest logit has rank 1, the smallest the size of the vocabulary, and adding a number to all logits changes nothing. `argsort` gives the words in the order of their places, which is not the place of each word: the two are inverse to each other.
#
# </details>

# %% [markdown]
# ### Exercise 7.4: Settled
#
# *5 points · ●●○ · 6 minutes*
#
# `ranks` are those of one word, `(layers,)`. Return the first layer from which on the rank is 1 at every layer up to the last, as a whole number. If the word is not on top at the end, return the number of layers.
#
# <details><summary>Hint</summary>
#
# Go down from the last layer as long as the rank is 1.
#
# </details>


# %% nbgrader={"grade_id": "settled", "solution": true}
def settled(ranks: torch.Tensor) -> int:
    """The first layer from which on the word stays on top; the number of layers if there is none."""
    ### BEGIN SOLUTION
    layer = len(ranks)
    while layer > 0 and ranks[layer - 1] == 1:
        layer -= 1
    return layer
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-settled", "grade": true, "points": 5}
check.settled(settled)
### BEGIN HIDDEN TESTS
check.settled(settled, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# "First on top" and "on top for good" differ whenever a word is lost again. In the by-hand example they are 1 and 3.
#
# </details>

# %% [markdown]
# The rank looks at one word only. How far is a layer from the end with *all* words? The **Kullback-Leibler divergence** says it, in nats: how much worse the layer's distribution $q$ predicts than the model's own $p$.
#
# $$\text{KL}(p \,\|\, q) = \sum_w p_w \, (\log p_w - \log q_w)$$
#
# **By hand.** At the end $p = (\tfrac12, \tfrac12)$, at the layer $q = (\tfrac34, \tfrac14)$. Then $\tfrac12 \log \tfrac{2}{3} + \tfrac12 \log 2 = 0.144$. The other way round it would be $\tfrac34 \log \tfrac32 + \tfrac14 \log \tfrac12 = 0.131$. The order matters: the model's own distribution is the one that weighs.

# %% [markdown]
# Play with the lens on the sentence in which the wrong friend leads for so long. The numbers are those of your `readings`: a row is a layer, a column a token after which the model was asked to go on. Click on a cell, or move with the arrow keys, to see its five best words; the curve shows the rank of one word from layer to layer. **Try:** go to the last column and follow *Martha*, then *Leo*. Was *Martha* far down the list while *Leo* led?

# %%
friends = prompts["Leo, Martha"]
# its frame, your numbers
yours = replace(gb.logit_lens(model, tokenizer, friends), logits=readings(model, ids_of(friends)))
gb.views.lens(
    yours,
    follow=[" Martha", " Leo"],
    title="Martha stands second from layer 1 on, and passes Leo at layer 5",
)

# %% [markdown]
# ### Exercise 7.5: How far from the end?
#
# *5 points · ●●○ · 6 minutes*
#
# `final` and `logits` are logits, `(..., vocabulary)`. Return KL(final ‖ layer) in nats, `(...,)`.
#
# <details><summary>Hint</summary>
#
# `log_softmax(-1)` turns logits into logarithms of probabilities.
#
# </details>


# %% nbgrader={"grade_id": "divergence", "solution": true}
def divergence(final: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """How far a layer's distribution is from the final one, in nats: (...,)."""
    ### BEGIN SOLUTION
    log_p, log_q = final.log_softmax(-1), logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-divergence", "grade": true, "points": 5}
check.divergence(divergence)
### BEGIN HIDDEN TESTS
check.divergence(divergence, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# It is zero for the distribution itself, never negative, and stays the same if a number is added to all logits. It is not the same both ways.
#
# </details>

# %% [markdown]
# Now all kinds of questions that the small world can ask. One is left out: in `The war that began in 1804 went on until 18`, any later year is right, so there is no answer to be known. For each sentence we keep the hidden states at the last word, and for later also those of a **counterfactual**: the same
# sentence with the evidence changed, and with it the answer.

# %%
families = [family for family in smallworld.FAMILIES if family != "years"]
# none of them was in the training
sentences = [s for family in families for s in smallworld.sample(family, 11, seed=7)]
others = [(s.changed(s.counterfactuals[0]), s.counterfactuals[0].answer) for s in sentences]
ends = torch.stack(
    [stream(model, ids_of(s.prompt))[:, -1] for s in sentences], dim=1
)  # (layer, sentence, width)
other_ends = torch.stack([stream(model, ids_of(text))[:, -1] for text, _ in others], dim=1)
answers = torch.tensor([id_of(s.answer) for s in sentences])
other_answers = torch.tensor([id_of(answer) for _, answer in others])


def interval(values) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.as_tensor(values).float()
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f} ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


# %% tags=["quoted"]
by_lens = torch.stack(
    [lens(state, gain, bias, unembedding) for state in ends]
)  # (layer, sentence, vocabulary)
settle = torch.tensor(
    [settled(ranks(by_lens[:, row], word)) for row, word in enumerate(answers.tolist())]
)
family_of = torch.tensor([families.index(s.family) for s in sentences])
print(f"{len(sentences)} sentences. The answer is settled at layer {interval(settle)}, on average")
for number in (
    torch.stack([settle[family_of == n].float().mean() for n in range(len(families))])
    .argsort(stable=True)
    .tolist()
):
    print(f"{families[number]:<19} {settle[family_of == number].float().mean():.1f}")

# %% [markdown] tags=["quotes"]
# On average the answer is settled at layer 1.99: from 1.0 to 3.9. Verdicts of reviews, where one word decides and a *not* turns it round, can be read after a single block, and so can *kinds*. A list that is repeated needs 3.1: to go on with it, a head has to find the earlier copy, and that takes at least two layers, one to mark what came before each word and another to look for it. *giver_receiver*,
# as in *Leo showed the camera to*, takes until 3.9, and the opposites until 2.6. So the lens sees answers come at different depths. Can it be taken at its word?

# %% [markdown]
# ### Question 7.6: A low rank
#
# *5 points · ●●○ · 3 minutes*
#
# At layer 3, the lens gives the answer rank 300, far down the list. What follows?
#
# - **a** At layer 3 the model does not know the answer.
# - **b** At layer 3 the answer does not stand out in the directions that the unembedding reads. It may be there in others.
# - **c** A later block looks the answer up.
# - **d** The first three blocks wrote against the answer.

# %% nbgrader={"grade_id": "answer-low-rank", "solution": true}
answer_low_rank = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_low_rank = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-low-rank", "grade": true, "points": 5}
check.low_rank(answer_low_rank)

# %% [markdown]
# ## 3. A translator for each layer
#
# The unembedding was trained to read the last layer. Nobody asked the layers below to speak its language. The **tuned lens** gives each of them a translator, an affine map, and puts it before the lens:
#
# $$\text{logits}_l = W_U \cdot \text{norm}(h_l + A_l h_l + b_l)$$
#
# $A_l$ and $b_l$ are trained so that the KL from the model's own distribution gets small. No labels are needed, only texts. With $A = 0$ and $b = 0$ it is the logit lens, and there the training starts.
#
# **By hand.** The width is 2, and this layer keeps in its second entry what the last layer keeps in its first: $h = (0, 3)$. With $A = \begin{pmatrix} -1 & 1 \\ 1 & -1 \end{pmatrix}$, $A h = (3, -3)$ and $h + A h = (3, 0)$: the two entries have changed places.

# %% [markdown]
# ### Exercise 7.7: Train a translator
#
# *10 points · ●●● · 15 minutes*
#
# `hidden` are the states of one layer, `(texts, width)`, `final` the model's own logits for the same texts, `(texts, vocabulary)`. Train $A$ `(width, width)` and $b$ `(width,)` by plain gradient descent, and return both.
#
# 1. Start with zeros.
# 2. `steps` times: take the **mean** over the texts of your `divergence`, read through your `lens` after translation.
# 3. Take its gradient for $A$ and $b$, and move both by `rate` times the gradient, downhill.
#
# <details><summary>Hint 1</summary>
#
# For a whole batch of rows, $A h$ is `hidden @ A.T`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(loss, (A, b))` gives both gradients anew each time, so there is nothing to set to zero. A and b need `requires_grad`, and the move needs `torch.no_grad()`, or new tensors each time.
#
# </details>


# %% nbgrader={"grade_id": "fit", "solution": true}
def fit(
    hidden: torch.Tensor,
    final: torch.Tensor,
    gain: torch.Tensor,
    bias: torch.Tensor,
    unembedding: torch.Tensor,
    steps: int,
    rate: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A translator for one layer, after some steps of gradient descent: A (width, width) and b (width,)."""
    ### BEGIN SOLUTION
    width = hidden.shape[-1]
    A, b = hidden.new_zeros(width, width).requires_grad_(), hidden.new_zeros(width).requires_grad_()
    for _ in range(steps):
        translated = hidden + hidden @ A.T + b
        loss = divergence(final, lens(translated, gain, bias, unembedding)).mean()
        slopes = torch.autograd.grad(loss, (A, b))
        A, b = (
            (old - rate * slope).detach().requires_grad_() for old, slope in zip((A, b), slopes)
        )
    return A.detach(), b.detach()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-fit", "grade": true, "points": 10}
check.fit(fit)
### BEGIN HIDDEN TESTS
check.fit(fit, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Gradient descent from zeros has one result, whoever writes it. With no steps it gives zeros, and with a small rate every step brings the KL down. The check compares with gradients that it worked out by hand.
#
# </details>

# %% [markdown]
# Train one for layer 1, on some 300 other sentences of the same kinds. Guess: will it do as well on ours?

# %% tags=["quoted"]
training = [s for family in families for s in smallworld.sample(family, 15, seed=8)]
known = {s.prompt for s in sentences}
training_ends = torch.stack(
    [stream(model, ids_of(s.prompt))[:, -1] for s in training if s.prompt not in known], dim=1
)
taught = lens(training_ends[-1], gain, bias, unembedding)
final = lens(ends[-1], gain, bias, unembedding)
print(f"KL from the end at layer 1, in nats; trained on {len(taught)} sentences")
for steps in (0, 10, 30, 100):
    A, b = fit(training_ends[1], taught, gain, bias, unembedding, steps, 0.05)
    there, here = (
        divergence(goal, lens(state + state @ A.T + b, gain, bias, unembedding)).mean()
        for goal, state in ((taught, training_ends[1]), (final, ends[1]))
    )
    print(f"{steps:>3} steps   on those {there:.2f}   on ours {here:.2f}")

# %% [markdown] tags=["quotes"]
# On the sentences that it was trained on, the KL falls to 0.15. On ours it falls to 1.01 and not further; one would stop there. A translator has as many numbers as the width squared and can learn 299 sentences by heart. Whoever reads with a tuned lens should ask what it was trained on.
#
# A tuned lens that was trained on many more texts lies beside the model's weights. Here it is next to the logit lens, layer by layer.

# %% tags=["quoted"]
translators = load_file(Path(smallworld.__file__).parent / "weights" / "tuned_lens.safetensors")
maps, shifts = (
    translators["maps"].float(),
    translators["shifts"].float(),
)  # (layer, width, width), (layer, width)


def tuned(layer: int, state: torch.Tensor) -> torch.Tensor:
    """What the tuned lens reads of a layer's states (..., width); the last layer needs no translator."""
    translated = state + state @ maps[layer].T + shifts[layer] if layer < len(maps) else state
    return lens(translated, gain, bias, unembedding)


by_tuned = torch.stack([tuned(layer, state) for layer, state in enumerate(ends)])
print("KL from the end, in nats")
for layer in range(len(ends)):
    print(
        f"layer {layer}   logit lens {interval(divergence(final, by_lens[layer])):<24} tuned lens {interval(divergence(final, by_tuned[layer]))}"
    )
again = torch.tensor(
    [settled(ranks(by_tuned[:, row], word)) for row, word in enumerate(answers.tolist())]
)
print(
    f"settled, logit lens {interval(settle)}, tuned lens {interval(again)}; earlier by {interval(settle - again)}"
)
for family in ("opposites", "sequences", "giver_receiver", "repeats"):
    mine = family_of == families.index(family)
    print(
        f"{family:<15} logit lens {settle[mine].float().mean():.1f}, tuned lens {again[mine].float().mean():.1f}"
    )

# %% [markdown] tags=["quotes"]
# At layer 0 the logit lens is 42.20 nats away, since it repeats the word that was read with full confidence, and at layer 1 still 1.56. The tuned lens has 0.73 there. It settles earlier, by 0.60 layers. Look at the opposites: the logit lens needed 2.6 layers, the tuned lens 1.0. So it seems that the answer was there after one
# block, in a language of its own, or else the translator guessed; section 6 has a test for that. With *giver_receiver* and *repeats* the translator does not help. There the answer does seem to come late.

# %%
review = stream(model, ids_of("After all, the book was very brilliant. The verdict of Lucy is"))[
    0, -1
]
print(f"the tuned lens at layer 0 says:{tokenizer.decode(tuned(0, review).argmax())}")

# %% [markdown]
# ### Question 7.8: What does the translator know?
#
# *5 points · ●●● · 4 minutes*
#
# Layer 0 is the embedding of the last word and its place; nothing of the other words has come in yet. In *After all, the book was very brilliant. The verdict of Lucy is*, the tuned lens at layer 0 puts *positive* on top. Why?
#
# - **a** The embedding of *is* contains the verdict.
# - **b** Its training texts taught the translator what often follows an *is*, and it happens to be right.
# - **c** The final norm has moved the answer up.
# - **d** The model decides before it has read the sentence.

# %% nbgrader={"grade_id": "answer-translator", "solution": true}
answer_translator = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_translator = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-translator", "grade": true, "points": 5}
check.translator(answer_translator)

# %% [markdown]
# ## 4. Who wrote it?
#
# The stream at the end is a **sum**: the token's embedding, the position's, and what each head and each MLP added. The unembedding is linear. Only the norm stands between, and it is *almost* linear: taking off the mean is, multiplying by the gain is, and dividing by the standard deviation is too, as long as we keep it
# **frozen** at the value that it had for the whole sum. Then each part has its share of the logit, and the shares add up. That is **direct logit attribution**. With $\sigma$ from the whole stream $h$, the share of a part $p$ in the logit of a word with the row $u$ of $W_U$ is
#
# $$\Big( \frac{p - \text{mean}(p)}{\sigma(h)} \cdot \text{gain} \Big) \cdot u$$
#
# What is left is the norm's own bias, $\text{bias} \cdot u$, which no part wrote.
#
# **By hand.** $h = (4, 1, 1)$ again, with $\sigma = \sqrt 2$, gain 1, bias 0, and *Paris* with $u = (1, 0, 0)$. Say that $h$ is the sum of $p_1 = (3, 0, 0)$ and $p_2 = (1, 1, 1)$. Without its mean, $p_1$ is $(2, -1, -1)$, and its share is $2 / \sqrt 2 = 1.41$. $p_2$ is all mean: $0$. Together $1.41$, the logit.

# %% [markdown]
# ### Exercise 7.9: Shares of a logit
#
# *10 points · ●●○ · 12 minutes*
#
# `parts` are `(parts, width)` and sum to the stream before the final norm; `gain` and `direction` are `(width,)`. Return the share of each part, `(parts,)`.
#
# 1. The scale comes from the **sum** of the parts: the root of the mean square about its mean, plus $10^{-5}$ under the root.
# 2. Each part loses its own mean.
# 3. Divide by the scale, multiply by the gain, take the product with the direction.
#
# <details><summary>Hint</summary>
#
# If you call your own norm on each part, each gets a scale of its own, and the shares no longer add up. The one scale is for all.
#
# </details>


# %% nbgrader={"grade_id": "shares", "solution": true}
def shares(parts: torch.Tensor, gain: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """What each part adds to the logit, with the norm's scale frozen: (parts,)."""
    ### BEGIN SOLUTION
    scale = (parts.sum(0).var(unbiased=False) + 1e-5).sqrt()
    centred = parts - parts.mean(-1, keepdim=True)  # (parts, width)
    return centred / scale * gain @ direction
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-shares", "grade": true, "points": 10}
check.shares(shares)
### BEGIN HIDDEN TESTS
check.shares(shares, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The shares and $\text{bias} \cdot u$ sum to the logit. Split a part in two, and its share is split too: that holds only if the scale does not depend on how the sum was cut up.
#
# </details>

# %% [markdown]
# Attention writes one vector, but it comes from eight heads. Each head gives its mix of values, and the mixes stand side by side, head by head, before a matrix $W_O$ maps them to the width of the stream. Since $W_O$ is linear, each head's own columns go through its own rows of $W_O$.
#
# **By hand.** Two heads of one entry each: the mixes are $(2, 3)$. $W_O$ has the rows $(1, 0)$ and $(1, 1)$. Head 0 writes $2 \cdot (1, 0) = (2, 0)$, head 1 writes $3 \cdot (1, 1) = (3, 3)$. Together $(5, 3)$, the product of $(2, 3)$ with the whole matrix.

# %% [markdown]
# ### Exercise 7.10: Head by head
#
# *10 points · ●●○ · 10 minutes*
#
# `mixed` is `(heads * head_width,)`, head by head; `weight` is $W_O$ as GPT-2 keeps it, `(heads * head_width, width)`, so that attention writes `mixed @ weight` (plus a bias, which belongs to no head). Return what each head writes, `(heads, width)`.
#
# <details><summary>Hint 1</summary>
#
# Cut both into heads: `mixed` to `(heads, head_width)`, `weight` to `(heads, head_width, width)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.einsum` sums over whatever letter is missing on the right of the arrow.
#
# </details>


# %% nbgrader={"grade_id": "by-head", "solution": true}
def by_head(mixed: torch.Tensor, weight: torch.Tensor, heads: int) -> torch.Tensor:
    """What each head adds to the residual stream: (heads, width)."""
    ### BEGIN SOLUTION
    mixes = mixed.reshape(heads, -1)  # (head, head_width)
    matrices = weight.reshape(heads, mixes.shape[1], -1)  # (head, head_width, width)
    return torch.einsum("hi,hiw->hw", mixes, matrices)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-by-head", "grade": true, "points": 10}
check.by_head(by_head)
### BEGIN HIDDEN TESTS
check.by_head(by_head, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The rows sum to `mixed @ weight`. If one head's mix is zero, it writes nothing, and no other head notices. Heads that were cut at the wrong places fail the second, though they pass the first.
#
# </details>

# %% [markdown]
# Now on the model. `written` collects all parts at the last word; you have written the rest.


# %% tags=["quoted"]
@torch.no_grad()
def written(ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """All that was written into the stream at the last word, each (width,)."""
    seen, body = {}, model.transformer

    def keep(module, inputs, output):
        seen[module] = inputs[0][0, -1], output[0, -1] if isinstance(output, torch.Tensor) else None

    watched = [module for block in body.h for module in (block.attn.c_proj, block.mlp)]
    handles = [module.register_forward_hook(keep) for module in watched]
    try:
        model(ids[None])
    finally:
        for handle in handles:
            handle.remove()
    found = {"embedding": body.wte.weight[ids[-1]], "position": body.wpe.weight[len(ids) - 1]}
    for layer, block in enumerate(body.h):
        projection = block.attn.c_proj
        for head, vector in enumerate(by_head(seen[projection][0], projection.weight, parts.heads)):
            found[f"head {layer}.{head}"] = vector
        found[f"bias {layer}"] = projection.bias
        found[f"MLP {layer}"] = seen[block.mlp][1]
    return {name: vector.detach() for name, vector in found.items()}


def attributed(text: str, answer: str, foil: str | None = None) -> tuple[dict[str, float], float]:
    """Each part's share of the answer's logit (less that of the foil), and the share of the final norm's bias."""
    vectors, direction = (
        written(ids_of(text)),
        unembedding[id_of(answer)] - (unembedding[id_of(foil)] if foil else 0),
    )
    found = shares(torch.stack(list(vectors.values())), gain, direction)
    return dict(zip(vectors, found.tolist())), float(bias @ direction)


found, of_bias = attributed(PROMPT, " Paris")
for name, share in sorted(found.items(), key=lambda item: -abs(item[1]))[:6]:
    print(f"{name:<10} {share:>6.2f}")
heads_alone = sum(share for name, share in found.items() if name.startswith("head"))
print(f"all {len(parts.blocks) * parts.heads} heads {heads_alone:>5.2f}")
print(
    f"sum of the shares {sum(found.values()):.2f}, with the norm's bias {sum(found.values()) + of_bias:.2f}; the logit of Paris {truth[id_of(' Paris')]:.2f}"
)

# %% [markdown] tags=["quotes"]
# The shares sum to 25.77, and with the norm's own bias it is 25.64, exactly the logit. And the MLP of the first block wrote 15.36 of it. All 48 heads together wrote -1.45, rather against *Paris* than for it. But no MLP looks at another word: only heads carry anything from *Eiffel* to *of*. Keep that in mind.
#
# Now *Martha*, whom the lens saw so late. Is it the first MLP again?

# %% tags=["quoted"]
text = prompts["Leo, Martha"]
martha, leo, difference = (
    attributed(text, *words)[0] for words in ((" Martha",), (" Leo",), (" Martha", " Leo"))
)
for name in ("MLP 0", "head 2.4", "head 4.3"):
    print(
        f"{name:<9} share of Martha {martha[name]:>5.1f}   of Leo {leo[name]:>5.1f}   of Martha less Leo {difference[name]:>5.1f}"
    )
print(
    "the largest shares of Martha less Leo:",
    ", ".join(
        f"{name} {difference[name]:.1f}" for name in sorted(difference, key=difference.get)[:-4:-1]
    ),
)

# %% [markdown] tags=["quotes"]
# The first MLP gave *Martha* 10.8, and *Leo* 9.4: it wrote "here comes a name". Head 2.4 gave *Martha* 4.3 and *Leo* 4.2: in this sentence it gives both names the same. A logit has no meaning by itself, since only differences of logits decide. So ask for a **foil**: the direction is *Martha*'s row of $W_U$ less *Leo*'s. Then what both have
# in common drops out.

# %% alt="A grid with a row for each block and a column for each of the eight heads, the bias and the MLP: shares of the logit of Martha less that of Leo. Heads 6 and 7 of block 4 and head 1 of block 5 are dark blue; the blocks below are pale."
found = difference
columns = [*(f"head {head}" for head in range(parts.heads)), "bias", "MLP"]
table = torch.tensor(
    [
        [
            found[
                f"{name.split()[0]} {layer}"
                + (f".{name.split()[1]}" if name.startswith("head ") else "")
            ]
            for name in columns
        ]
        for layer in range(len(parts.blocks))
    ]
)
grids.layer_grid(
    table,
    range(len(table)),
    columns,
    texts=[[f"{share:z.1f}" for share in row] for row in table.tolist()],
    title="Heads of blocks 4 and 5 write most of Martha less Leo",
    label="share of the logit",
    columns="part",
    rows="block",
    signed=True,
)

# %% [markdown] tags=["quotes"]
# Heads 4.7, 5.1 and 4.6 tell the two apart, with 5.7, 3.5 and 3.2. That fits what the lens said at the top of the chapter: *Leo* up to layer 4, which is before block 4 has spoken, and *Martha* after it. Two methods that see the same are worth more than either, though both read with the same unembedding.

# %% [markdown]
# If a head has a large share, the answer should suffer without it. Guess by how much, and in how many of the sentences the model will then say something else. For each sentence we take the head with the largest share of the answer, set its mix to zero at all words, and ask again. We do the same with each head of block 0, whatever its share. (This asks the model about ten variants of each sentence, and takes a while.)


# %%
@torch.no_grad()
def without_heads(ids: torch.Tensor, gone: list[tuple[int, int]]) -> torch.Tensor:
    """The logits after the last word, once for each (block, head) in the list, with that head silent: (len(gone), vocabulary)."""
    size = len(gain) // parts.heads

    def silence(layer: int):
        def hook(module, inputs):
            mixed = inputs[0].clone()  # (len(gone), seq, heads * head_width)
            for row, (at, head) in enumerate(gone):
                if at == layer:
                    mixed[row, :, head * size : (head + 1) * size] = 0
            return (mixed,)

        return hook

    handles = [
        block.attn.c_proj.register_forward_pre_hook(silence(layer))
        for layer, block in enumerate(model.transformer.h)
    ]
    try:
        return model(ids.expand(len(gone), -1)).logits[:, -1]
    finally:
        for handle in handles:
            handle.remove()


def head_shares(
    vectors: dict[str, torch.Tensor], direction: torch.Tensor
) -> dict[tuple[int, int], float]:
    """The share of each (block, head)."""
    found = shares(torch.stack(list(vectors.values())), gain, direction)
    return {
        tuple(map(int, name[5:].split("."))): float(share)
        for name, share in zip(vectors, found)
        if name.startswith("head")
    }


# %% tags=["quoted"]
record, of_block_0 = [], []  # of three heads for each sentence: (head, share, lost, answer changed)
for row, s in enumerate(gb.progress(sentences, unit="sentences")):
    word, vectors = int(answers[row]), written(ids_of(s.prompt))
    # the most probable other word
    rival = int(final[row].index_fill(0, answers[row], -torch.inf).argmax())
    of_answer = head_shares(vectors, unembedding[word])
    of_lead = head_shares(vectors, unembedding[word] - unembedding[rival])
    # the two chosen heads, then all those of block 0
    asked = [
        max(of_answer, key=of_answer.get),
        max(of_lead, key=of_lead.get),
        *((0, head) for head in range(parts.heads)),
    ]
    logits = without_heads(ids_of(s.prompt), asked)
    lost = final[row, word] - logits[:, word]
    lost_lead = lost - (final[row, rival] - logits[:, rival])
    changed = logits.argmax(-1) != word
    # the row of the head of block 0 that the answer misses most
    needed = 2 + int(lost[2:].argmax())
    of_block_0.append(float(lost[2:].mean()))
    rows = ((0, of_answer, lost), (1, of_lead, lost_lead), (needed, of_answer, lost))
    record.append(
        [(asked[n], share[asked[n]], float(loss[n]), bool(changed[n])) for n, share, loss in rows]
    )

print(f"{len(record)} sentences")
chosen = (
    "largest share of the answer",
    "largest share of the answer less its rival",
    "most needed of block 0",
)
for column, name in enumerate(chosen):
    _, share, lost, changed = zip(*(row[column] for row in record))
    print(
        f"{name}\n    share {interval(share)}   lost without the head {interval(lost)}   another answer {interval(changed)}"
    )
print(f"all heads of block 0, one at a time: lost {interval(of_block_0)}")
for family in ("pronouns", "giver_receiver", "agreement", "repeats"):
    rows = [row[0] for row, s in zip(record, sentences) if s.family == family]
    (layer, head), times = Counter(head for head, *_ in rows).most_common(1)[0]
    print(
        f"{family:<15} most often {layer}.{head} ({times} of {len(rows)})   share {sum(r[1] for r in rows) / len(rows):.1f}"
        f"   lost {sum(r[2] for r in rows) / len(rows):z.1f}"
    )

# %% [markdown] tags=["quotes"]
# Take away the head that wrote most of the answer, and the answer changes in 0.03 of the sentences. It is one voice among many, and it does not help to choose it by its lead over the most probable rival: 0.02. In *pronouns* the top head has a share of 2.1 and nothing is lost without it: something makes up for it, be it other parts that now write more, or the norm's scale. (We compare the answer's own share, since the loss is the answer's own.) Take away the most needed head of block 0, whose own share is 0.24, and 7.42 are lost, and the answer changes in
# 0.35 of the sentences. It had hardly written anything of the answer at the last word. It had carried information that later parts used, perhaps at other words, since we silence it at all of them and the share counts the last alone. (It was chosen because it is needed, so look at the eight heads of block 0 on average as well, and remember that a silent head is something that the blocks above have never met.)

# %% [markdown]
# ### Question 7.11: Direct
#
# *5 points · ●●○ · 3 minutes*
#
# A head of block 0 has a share of nearly zero, and without it the answer is lost. How can both be true?
#
# - **a** The shares are wrong: they must add up to the loss.
# - **b** What it wrote was read by later parts, and they wrote the answer. Direct attribution counts only what goes straight to the end.
# - **c** The frozen norm hides the head.
# - **d** The head wrote against the answer as much as for it.

# %% nbgrader={"grade_id": "answer-direct", "solution": true}
answer_direct = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_direct = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-direct", "grade": true, "points": 5}
check.direct(answer_direct)

# %% [markdown]
# ## 5. Ask the model itself
#
# The logit lens reads with the last layer's eyes, the tuned lens with a translator's. There is a third reader, which was trained to read each layer: the layers above it. Take the hidden state out of its text, put it into **another prompt** at the same layer, and let the model go on. What it says then, it says about that state. This is a **patchscope**.
#
# **By hand.** The prompt has three words, with $h_1 = (a, b, c)$ at layer 1, and the state to be understood is $x$. Put in at position 2: $h_1 = (a, b, x)$. Blocks 1, 2, ... go on with that, and the word after the last position is read. $a$ and $b$ stay as they are, and so does everything below.

# %% [markdown]
# ### Exercise 7.12: Put it in
#
# *10 points · ●●● · 15 minutes*
#
# `ids` is the prompt `(seq,)`, `states` are `(batch, width)`: several states to be asked about, each in a copy of the prompt. What enters block `layer` at `position` (counted from 0, from the front) is to be replaced by the state. Return the logits after the last word, `(batch, vocabulary)`, without gradients. The model has to be as before when you are done.
#
# 1. `gb.anatomy(model).blocks[layer]` is the block.
# 2. A *pre-hook* sees the block's inputs, a tuple whose first entry is `(batch, seq, width)`. What it returns takes their place: again a tuple.
# 3. Run the model on `batch` copies of the prompt, and take the hook away, whatever happens.
#
# <details><summary>Hint 1</summary>
#
# `handle = block.register_forward_pre_hook(hook)`, where `hook(module, inputs)` returns `(changed, *inputs[1:])`. `handle.remove()` goes into a `finally`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Change a copy of the first entry, by `clone()`. `ids.expand(n, -1)` makes n rows of it.
#
# </details>


# %% nbgrader={"grade_id": "patched", "solution": true}
@torch.no_grad()
def patched(
    model, ids: torch.Tensor, layer: int, position: int, states: torch.Tensor
) -> torch.Tensor:
    """What the model says after the prompt with each state put in at a layer and a position: (batch, vocabulary)."""

    ### BEGIN SOLUTION
    def put_in(module, inputs):
        changed = inputs[0].clone()  # (batch, seq, width)
        changed[:, position] = states
        return (changed, *inputs[1:])

    hook = gb.anatomy(model).blocks[layer].register_forward_pre_hook(put_in)
    try:
        return model(ids.expand(len(states), -1)).logits[:, -1]
    finally:
        hook.remove()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-patched", "grade": true, "points": 10}
check.patched(patched)
### BEGIN HIDDEN TESTS
check.patched(patched, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The state takes the place of what *enters* the block; what enters block 1 is what leaves block 0, and being one layer off is the usual mistake. Positions in front of it notice nothing, since no word looks ahead. And after the call the model gives what it gave before.
#
# </details>

# %% [markdown]
# Which prompt? One that makes the model ready to name something. We take *The people who live near the Colosseum speak*, and overwrite what the model has at its last word. Does it say *cold* when it gets the state from *the opposite of hot*?

# %% tags=["quoted"]
SCOPE = ids_of("The people who live near the Colosseum speak")
by_scope = torch.stack(
    [
        patched(model, SCOPE, layer, len(SCOPE) - 1, ends[layer])
        for layer in range(len(parts.blocks))
    ]
)
hot = stream(model, ids_of(prompts["hot, opposite"]))[:, -1]
with torch.no_grad():
    print(f"unpatched: {tokenizer.decode(model(SCOPE[None]).logits[0, -1].argmax())}")
for layer in range(1, len(parts.blocks)):
    said = {
        "logit lens": lens(hot[layer], gain, bias, unembedding),
        "tuned lens": tuned(layer, hot[layer]),
        "patchscope": patched(model, SCOPE, layer, len(SCOPE) - 1, hot[layer][None])[0],
    }
    print(
        f"layer {layer}   "
        + "   ".join(
            f"{name}: {tokenizer.decode(row.argmax()).strip():<8}" for name, row in said.items()
        )
    )

right = {
    name: (top[: len(parts.blocks)].argmax(-1) == answers).float()
    for name, top in (("logit lens", by_lens), ("tuned lens", by_tuned), ("patchscope", by_scope))
}
print(f"how often the answer is on top, {len(sentences)} sentences")
for layer in (1, 2, 3):
    print(
        f"layer {layer}   "
        + "   ".join(f"{name} {interval(hit[layer])}" for name, hit in right.items())
    )
print(
    f"layer 1, patchscope less logit lens: {interval(right['patchscope'][1] - right['logit lens'][1])}"
)
for prompt in ("", "They wrote"):
    short = ids_of(prompt)
    said = patched(model, short, 1, len(short) - 1, ends[1]).argmax(-1)
    print(
        f"layer 1, patchscope with {'the start token alone' if not prompt else prompt}: {interval(said == answers)}"
    )

# %% alt="Lines over layers 0 to 5: how often each reader has the answer on top. All start near zero. From layer 1 on the patchscope and the tuned lens run close together, well above the logit lens; at layer 5 all three are near one."
charts.curves(
    range(len(parts.blocks)),
    {name: hit.mean(-1) for name, hit in right.items()},
    title="Two readers see early what the logit lens misses",
    label="answer on top, share of sentences",
    over="layer",
)

# %% [markdown] tags=["quotes"]
# At layer 1 the logit lens reads the answer in 0.67 of the sentences, the tuned lens in 0.81, and the model's own upper layers, in a text about something else, in 0.84. They get nothing of the sentence but this one state. So the state holds enough for the upper layers to get to the answer, also where the logit lens saw something else, and for *cold* it does so from the first block on. Whether it holds the answer itself, or only what the answer is made from, this does not tell. But mind the prompt: with *They wrote* it is 0.79, and with nothing but the start token 0.44. What the state cannot say in one
# prompt it may say in another.

# %% [markdown]
# ## 6. Not so fast
#
# **A translator that makes things up.** In reviews, the tuned lens had some right answers at layer 0, where nothing has been read yet. How do we tell knowing from guessing? By the counterfactual: change the evidence, and the answer changes. Who knows is right **both** times. Guess which layers keep their marks.


# %% tags=["quoted"]
def right_twice(read) -> torch.Tensor:
    """Is the answer on top, for the sentence and for its counterfactual? At layers 0 to 3: (layer, sentence)"""
    one = torch.stack([read(layer, ends[layer]).argmax(-1) for layer in range(4)]) == answers
    two = (
        torch.stack([read(layer, other_ends[layer]).argmax(-1) for layer in range(4)])
        == other_answers
    )
    return (one & two).float()


reviews = torch.tensor([s.family.startswith("review") for s in sentences])
readers = {
    "logit lens": lambda layer, state: lens(state, gain, bias, unembedding),
    "tuned lens": tuned,
    "patchscope": lambda layer, state: patched(model, SCOPE, layer, len(SCOPE) - 1, state),
}
twice_by = {name: right_twice(read) for name, read in readers.items()}
twice = twice_by["tuned lens"]
once = (by_tuned.argmax(-1) == answers).float()
print(
    f"tuned lens, layer 0: right once in {int(once[0, reviews].sum())} of {int(reviews.sum())} reviews, for the counterfactual too in {int(twice[0, reviews].sum())}"
)
for layer in range(4):
    print(
        f"all {len(sentences)} sentences, layer {layer}   right once {interval(once[layer])}   right twice {interval(twice[layer])}"
    )
opposites = family_of == families.index("opposites")
print("right twice, layer 1")
for name, hit in twice_by.items():
    print(
        f"{name}   all {interval(hit[1])}   opposites {int(hit[1, opposites].sum())} of {int(opposites.sum())}"
    )

# %% [markdown] tags=["quotes"]
# At layer 0 the tuned lens is right once in 13 of 33 reviews, and never for the counterfactual too: it says the same whatever the evidence is. At layer 1 it is right twice in 0.73 of the sentences, and that is no luck. The patchscope passes the same test, with 0.79, and the logit lens has 0.55. And the opposites, where section 3 left open whether the translator guessed: the tuned lens and the patchscope are right twice in 11 of 11. So the answer can be had from that state. Without the truth about each sentence the guesses would have passed for an early insight.
#
# **A patchscope that comes too late.** Now ask about another place. The state at the last word of a landmark, *Tower*, goes into *The Colosseum is located in the city of* in the place of *Colosseum*. Does the model then name the city of the Eiffel Tower? Guess for each layer.

# %% tags=["quoted"]
landmarks = smallworld.sample("landmark_city", 200, seed=9)
target = ids_of("The Colosseum is located in the city of")
place = target.tolist().index(id_of(" Colosseum"))
landmarks = [s for s in landmarks if s.answer != " Rome"]
at_landmark = []
for s in landmarks:
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))
    at_landmark.append(stream(model, ids_of(s.prompt))[:, int(evidence.nonzero().max())])
at_landmark = torch.stack(at_landmark, dim=1)  # (layer, sentence, width)
cities, rome = torch.tensor([id_of(s.answer) for s in landmarks]), id_of(" Rome")
print(f"{len(landmarks)} landmarks that are not in Rome")
for layer in range(3):
    said = patched(model, target, layer, place, at_landmark[layer]).argmax(-1)
    print(
        f"put in at layer {layer}: their city {interval(said == cities)}   Rome {interval(said == rome)}"
    )

# %% [markdown] tags=["quotes"]
# Put in at layer 0, the last piece of a landmark's name brings its city along in 0.48 of the cases (one piece of *Spanish Steps* is not the whole of it). Put in at layers 1 and 2 it never does: the answer is *Rome*, always. Not because the state says nothing, but because nobody reads it there any more. The likely reason is that the prompt's last word has fetched *Colosseum* in the
# first block and does not look again. What a patchscope shows depends on who still looks.
#
# **A share that is direct only.** You have seen it: the head that carries the news has next to no share. And all shares rest on a norm that is held still. Take a part away in earnest, and the norm's scale changes with it, and so does what the later parts do.

# %% [markdown]
# ### Question 7.13: When did it know?
#
# *10 points · ●●○ · 10 minutes*
#
# A colleague shows the logit lens on *hot means the opposite of*: *far*, *eight*, *eight*, *far*, and *cold* from layer 5 on. The conclusion: "Block 4 works out the opposite." (It is the one between layers 4 and 5.) Answer in four to six sentences: what the picture does show, what speaks against the conclusion (with a measurement from this chapter), and which experiment
# would settle which blocks the answer hangs on.

# %% [markdown] nbgrader={"grade_id": "written-when", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The picture shows that in the middle layers *cold* does not stand out in the directions that the last layer's unembedding reads, and that from layer 5 on it does. It does not show that the answer is not there. The tuned lens, which has a translator for each layer, reads the opposites at layer 1 already, where the logit lens needs more than two
# layers on average; and when the state of layer 1 is put into another prompt, the model's own upper layers name the answer in 84 of 100 sentences against the lens's 67, although they get nothing else of the sentence. So block 4 may only turn what is known into the language of the unembedding. To settle it I would intervene: silence
# each block or head in turn at the last word and see where the answer is lost, or put in the state of another word, for instance of *big*, at each layer and see from which layer on the answer becomes *small*. The counterfactual says what the right answer is in both cases.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: says what the lens shows: what lies in the unembedding's directions, layer by layer.
# - 3: evidence against the conclusion: tuned lens or patchscope on the same states, with a number.
# - 3: an experiment that intervenes (silencing, patching, counterfactual), and what each outcome would mean.
# - 2: clear, no overclaim; does not treat the tuned lens as truth either.

# %% [markdown]
# ## 7. In the wild
#
# glassbox has all of it: `gb.logit_lens`, with `lens=` for a tuned one, `gb.logit_attribution`, `gb.patchscope`. The package `tuned-lens` by Belrose and others has translators for many open models, trained on a great deal of text. TransformerLens caches every part of the stream and has direct logit attribution with the norm folded in;
# nnsight runs patchscopes on models too large for your computer. Before you believe a plot, check its last row against the model.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. In a large model the answer comes later: expect the early layers to show nothing readable, and a fact to surface between the middle and the last third. Words may be
# several tokens there, so the cell follows the word that the model itself says.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_ids = real_tokenizer(PROMPT, return_tensors="pt")["input_ids"][0]
    rows = readings(real_model, real_ids)[:, -1].float()  # (layer, vocabulary)
    word = int(rows[-1].argmax())
    places, apart = ranks(rows, word), divergence(rows[-1], rows)
    print(
        f"the model says {real_tokenizer.decode(word)!r}, settled at layer {settled(places)} of {len(rows) - 1}"
    )
    real_states = stream(real_model, real_ids)[:, -1]
    other = "The capital of Japan is the city of"
    other = real_tokenizer(other, return_tensors="pt")["input_ids"][0]
    for layer in range(len(rows) - 1):
        scope = patched(real_model, other, layer, len(other) - 1, real_states[layer][None])[0]
        lens_says, scope_says = (
            real_tokenizer.decode(row.argmax()) for row in (rows[layer], scope)
        )
        print(
            f"layer {layer:>2}  rank {int(places[layer]):>6}  KL {apart[layer]:>6.2f}  lens {lens_says!r:<16} patchscope {scope_says!r}"
        )
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - Every layer can be read as if it were the last: norm, then unembed. The last row must be the model's own answer, exactly.
# - What the lens does not show may still be there, in another language. A translator or another prompt may bring it out.
# - A translator can guess. Knowing means being right for the counterfactual too.
# - Shares of a logit add up, and count only what goes straight to the end.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | logit lens | what would this layer say? | one forward pass | a first look; late layers | the norm twice; early layers speak another language |
# | tuned lens | what would the rest of the model make of it? | training, once a model | when an answer can be read | learns guesses, and texts by heart |
# | direct logit attribution | which part wrote the answer? | one forward pass | an exact sum | misses who brought the news; others make up for a loss |
# | patchscope | what do the upper layers make of this state? | one forward pass a state | states that the lens can't read | the prompt's own favourites; nobody may be looking |
#
# **Further reading**
#
# - nostalgebraist (2020), *interpreting GPT: the logit lens*: the post that began it, with many pictures.
# - Belrose and others (2023), *Eliciting Latent Predictions from Transformers with the Tuned Lens*: why the logit lens fails on some models, and the translators.
# - Elhage and others (2021), *A Mathematical Framework for Transformer Circuits*: the residual stream as a sum, and what follows from it.
# - McGrath and others (2023), *The Hydra Effect*: take a layer away, and others make up for it.
# - Ghandeharioun and others (2024), *Patchscopes*: many ways to put a state into another prompt, among them the lenses.
