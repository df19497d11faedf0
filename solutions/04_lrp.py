# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "LRP: which inputs carry the score, if nothing may be lost on the way?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.relevance
#     - glassbox.relevance_rules
#     - glassbox.relevance_pass
#   objectives:
#     - {text: "share the output of a layer back among its inputs, without a division by zero", tested_by: [check-stabilised, check-share-back]}
#     - {text: "carry relevance through a whole network to the pixels, and say what the biases keep", tested_by: [check-explain-digit, check-answer-missing]}
#     - {text: "hand relevance through the products and the softmax of attention, and say what is conserved", tested_by: [check-product-rule, check-softmax-rule, check-answer-conserved]}
#     - {text: "turn the rules into one backward pass and run it on a language model", tested_by: [check-activation-backward, check-norm-backward, check-answer-relu]}
#     - {text: "judge what a score that adds up does not say", tested_by: [written-adds-up]}
# ---

# %% [markdown]
# # 04 LRP: which inputs carry the score, if nothing may be lost on the way?
#
# The gradients of the last chapter gave each word a score. Now keep the books. The model gave *Paris* a logit. If the scores are to say which words carry it, they should add up to it. Run the next three cells.

# %%
from contextlib import contextmanager
from dataclasses import replace

import glassbox as gb
import smallworld
import torch
from classroom.checks import lrp as check
from glassbox import charts, figures
from glassbox.attention_function import attention_by
from glassbox.style import SIGNED, sheet
from smallworld import digits
from torch import nn

model, tokenizer = gb.load("smallworld")
model.requires_grad_(False)
PROMPT = "The Eiffel Tower is located in the city of"
OTHERS = [
    "The capital of Vietnam is",
    "When Mary and John went to the store, John gave a drink to",
    "The keys near the cabinet",
]

# %% alt="Pairs of bars for four prompts: the logit of the answer, and the sum of the gradient times input scores of all words. The sums are far from the logits, and some have the wrong sign."
names, amounts = [], []
for text in [PROMPT, *OTHERS]:
    found = gb.explain(model, tokenizer, text, method="gradient_x_input")
    answer = found.target_token.strip()
    names += [f"{answer}: logit", f"{answer}: sum"]
    amounts += [found.value, float(found.scores.sum())]
charts.bars(
    names,
    torch.tensor(amounts),
    title="The scores of gradient × input do not add up to what they explain",
    label="logit, and sum of the scores",
    names_are="answer",
)

# %% tags=["quoted"]
for text in [PROMPT, *OTHERS]:
    found = gb.explain(model, tokenizer, text, method="gradient_x_input")
    print(
        f"{found.target_token.strip():<7} logit {found.value:>5.1f}   sum of the scores {found.scores.sum():>5.1f}"
    )

# %% [markdown]
# The books do not balance. Layer-wise relevance propagation, **LRP**, starts at the other end. The logit is an amount. Each operation of the model passes the amount that it received on to what it was computed from, in fair shares. What arrives at the words is their relevance, and
# nothing may be lost on the way. Before you read on: which parts of a transformer could you hand an amount through, and at which would you not know how?
#
# **After this chapter you can**
#
# 1. share the output of a layer back among its inputs, without a division by zero;
# 2. carry relevance through a whole network to the pixels, and say what the biases keep;
# 3. hand relevance through the products and the softmax of attention, and say what is conserved;
# 4. turn the rules into one backward pass and run it on a language model;
# 5. judge what a score that adds up does not say.
#
# **You need** chapters 00, 01 and 03: attention, and gradient × input. **Time:** 120 minutes. **The new question:** not how fast the score would change, but what it is made of.

# %% [markdown]
# ## 1. Back through one layer
#
# A linear layer computes $z_j = \sum_i w_{ji}\, x_i + b_j$. Its output $z_j$ is a sum, and each term of a sum has done its part: $w_{ji}\, x_i$. So if $z_j$ received the relevance $R_j$, input $i$ gets from it the share $w_{ji}\, x_i / z_j$, and all that it gets is summed:
#
# $$R_i = \sum_j w_{ji}\, x_i\, \frac{R_j}{z_j}$$
#
# **By hand.** Inputs $x = (1, 2)$, two outputs with the weights $(3, 1)$ and $(-1, 2)$ and the biases $1$ and $0$. Then $z_0 = 3 + 2 + 1 = 6$ and $z_1 = -1 + 4 + 0 = 3$. They received $R = (12, 3)$. From $z_0$: input 0 gets $\frac{3}{6} \cdot 12 = 6$, input 1
# gets $\frac{2}{6} \cdot 12 = 4$, and the bias keeps $2$. From $z_1$: $-1$ and $4$. Together $R_0 = 5$ and $R_1 = 8$. Of $15$ came back $13$; the bias has the other $2$.
#
# The shares are divided by $z_j$, and $z_j$ may be zero or close to it. So one moves it away from zero by a tiny $\varepsilon$: this is the **ε-rule** (Bach and others, 2015). Here is code for it, as it goes around:
#
# ```python
# def stabilised(z, epsilon=1e-9):
#     return z + epsilon * torch.sign(z)
# ```
#
# It looks right: positive numbers go up, negative ones down. The symptom: most explanations are fine, and now and then one is `nan` from the first word to the last. It happens where a layer without biases reads nothing but zeros, or where two branches that are both zero are added.

# %% tags=["quoted"]
print(torch.sign(torch.tensor([2.0, 0.0, -3.0])).tolist())

# %% [markdown]
# ### Exercise 4.1: Find the bug
#
# *10 points · ●○○ · 8 minutes*
#
# Mend it: **every** entry moves by `epsilon`, away from zero and to its own side. Positive ones go up, negative ones down, and zero goes up.
#
# <details><summary>Hint</summary>
#
# `torch.where(condition, a, b)` takes entries of `a` where the condition holds, and of `b` elsewhere.
#
# </details>


# %% nbgrader={"grade_id": "stabilised", "solution": true}
def stabilised(z: torch.Tensor, epsilon: float = 1e-9) -> torch.Tensor:
    """z, moved away from zero by epsilon, each entry to its own side; of the shape of z."""
    ### BEGIN SOLUTION
    return torch.where(z >= 0, z + epsilon, z - epsilon)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-stabilised", "grade": true, "points": 10}
check.stabilised(stabilised)
### BEGIN HIDDEN TESTS
check.stabilised(stabilised, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The sign of zero is zero, so zero stayed where it was, and zero divided by zero is not a number. One such entry goes into every sum below it. The other quick remedy, `z + epsilon` for all, is worse: it moves small negative numbers *towards* zero, and $z = -\varepsilon$ onto it.
#
# </details>

# %% [markdown]
# ### Exercise 4.2: Share it back
#
# *10 points · ●●○ · 12 minutes*
#
# `x` is `(in,)`, `weight` `(out, in)`, `bias` `(out,)`, and `relevance` `(out,)` is what the outputs received. Return what the inputs get, `(in,)`.
#
# 1. Compute the outputs `z`, with their biases.
# 2. Divide each output's relevance by its stabilised `z`: that is the relevance for each unit of `z`.
# 3. Sum over the outputs, each with its weight, and multiply by the inputs.
#
# <details><summary>Hint</summary>
#
# The inputs stand outside of the sum: $R_i = x_i \sum_j w_{ji} \, (R_j / z_j)$, and such a sum is a product of a vector and a matrix. No loop is needed.
#
# </details>


# %% nbgrader={"grade_id": "share-back", "solution": true}
def share_back(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    relevance: torch.Tensor,
    epsilon: float = 1e-9,
) -> torch.Tensor:
    """The relevance of a linear layer's inputs by the epsilon rule: (in,)."""
    ### BEGIN SOLUTION
    z = weight @ x + bias  # (out,)
    return x * ((relevance / stabilised(z, epsilon)) @ weight)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-share-back", "grade": true, "points": 10}
check.share_back(share_back)
### BEGIN HIDDEN TESTS
check.share_back(share_back, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# With zero biases the shares of an output sum to one, so the relevance of the inputs sums to that of the outputs: it is **conserved**. With biases the missing part is $\sum_j b_j R_j / z_j$, to the last digit. If $z$ were computed without the bias, the sum would always come out right, and the shares would be wrong:
# they would hand the bias's part to inputs that had no part in it.
#
# </details>

# %% [markdown]
# ## 2. A whole network: which pixels made this a three?
#
# Now a network whose inputs can be looked at. It reads digits of 8 by 8 pixels: three linear layers with biases, a ReLU after the first and after the second. A ReLU hands relevance back as it came: where it let a number through, the number is the same, and where it gave zero there is no relevance to hand back.
#
# **By hand.** One pixel $x = 2$, a hidden layer with weights $(1, -3)$ and no bias: $z = (2, -6)$, after the ReLU $(2, 0)$. The output adds both with weights $(4, 5)$: $8$. Start with $R = 8$, the logit itself. The hidden numbers get $\frac{4 \cdot 2}{8} \cdot 8 = 8$ and $\frac{5 \cdot 0}{8} \cdot 8 = 0$. The pixel gets all of the $8$ from
# the first, and from the second nothing.

# %% [markdown]
# ### Exercise 4.3: Explain a digit
#
# *15 points · ●●● · 18 minutes*
#
# `layers` is a list of pairs, each layer's `weight` and `bias`, the first layer first; a ReLU stands after each layer but the last. `pixels` is `(in,)`. Return the relevance of the pixels for the logit of `digit`, `(in,)`.
#
# 1. Go forward, and keep the input of each layer.
# 2. Start with a vector that is zero but at `digit`, where it holds the logit.
# 3. Go back through the layers with your `share_back`, the last layer first. Pass `epsilon` on.
#
# <details><summary>Hint 1</summary>
#
# The input of the second layer is the output of the first **after** the ReLU.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `zip(layers[::-1], inputs[::-1])` walks over both lists from the end.
#
# </details>


# %% nbgrader={"grade_id": "explain-digit", "solution": true}
def explain_digit(
    layers: list, pixels: torch.Tensor, digit: int, epsilon: float = 1e-9
) -> torch.Tensor:
    """The relevance of each pixel for a digit's logit: (in,)."""
    ### BEGIN SOLUTION
    inputs = [pixels]  # of each layer
    for weight, bias in layers[:-1]:
        inputs.append((weight @ inputs[-1] + bias).relu())
    logits = layers[-1][0] @ inputs[-1] + layers[-1][1]
    relevance = torch.zeros_like(logits)
    relevance[digit] = logits[digit]
    for (weight, bias), x in zip(layers[::-1], inputs[::-1]):
        relevance = share_back(x, weight, bias, relevance, epsilon)
    return relevance
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-explain-digit", "grade": true, "points": 15}
check.explain_digit(explain_digit)
### BEGIN HIDDEN TESTS
check.explain_digit(explain_digit, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Without biases the pixels' relevance must sum to the logit, through any number of layers. A pixel that is zero gets zero. And the other digits' logits must not matter: their relevance at the start is zero, so that a change in their weights changes nothing.
#
# </details>

# %% [markdown]
# **Guess first.** Here is a three from the held-out images. Which pixels speak for a three, and which of them would speak against it if you asked about an eight? Blue pixels speak for the digit, orange ones with a minus against it, and each picture has a scale of its own.

# %% alt="A handwritten three of 8 by 8 pixels, and beside it the relevance of its pixels for a three and for an eight, in blue for and orange against. Parts of the curve that speak for the three speak against the eight."
network, images, labels = digits.load()
layers = [
    (layer.weight.detach().double(), layer.bias.detach().double())
    for layer in network
    if isinstance(layer, nn.Linear)
]
pixels = images.double().flatten(1)  # (image, 64)
with torch.no_grad():
    logits = network(images.flatten(1)).double()  # (image, 10)
named = logits.argmax(-1)  # (image,)


def pictures(values: dict[str, torch.Tensor], title: str):
    """Images of 64 numbers side by side, each in its own scale: blue above zero, orange with a minus below."""
    with sheet(title, 2.4 * len(values), 3.1, columns=len(values)) as (figure, axes):
        for (name, numbers), panel in zip(values.items(), axes.flat):
            largest = float(numbers.abs().max())
            panel.imshow(numbers.view(8, 8), cmap=SIGNED, vmin=-largest, vmax=largest)
            for row, column in (numbers.view(8, 8) < -0.1 * largest).nonzero().tolist():
                panel.text(column, row, "−", ha="center", va="center")
            panel.set(title=name, xticks=[], yticks=[])
    return figure


three = int((labels == 3).nonzero()[0])
shown_pixels = {"the image": pixels[three]} | {
    f"relevance for {digit}": explain_digit(layers, pixels[three], digit) for digit in (3, 8)
}
pictures(shown_pixels, "The same pixels for and against")

# %% tags=["quoted"]
for digit in (3, 8):
    relevance = explain_digit(layers, pixels[three], digit)
    print(
        f"digit {digit}: logit {logits[three, digit]:.2f}, sum of the pixels {relevance.sum():.2f}, their largest {relevance.max():.2f}, their lowest {relevance.min():.2f}"
    )

# %% [markdown] tags=["quotes"]
# The logit of the three is 5.95, and its pixels sum to 4.33. The middle of the curve speaks for both digits. The stroke at the top speaks for the three and against the eight, whose logit is -3.83. Neither sum reaches its logit.

# %% [markdown]
# ### Question 4.4: The missing part
#
# *5 points · ●○○ · 3 minutes*
#
# The pixels' relevance does not sum to the logit. Where is the difference?
#
# - **a** It was lost to ε: a smaller one would close the gap.
# - **b** The biases hold it: each is a term of a sum, gets its share, and hands it to no pixel.
# - **c** The dead ReLUs hold it.
# - **d** There is a mistake in the code, since LRP conserves relevance.

# %% nbgrader={"grade_id": "answer-missing", "solution": true}
answer_missing = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_missing = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-missing", "grade": true, "points": 5}
check.missing(answer_missing)

# %% [markdown]
# How much is it? And how small does $\varepsilon$ have to be? Both can be measured over all held-out images.


# %% tags=["quoted"]
def interval(values: list[float]) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many cases, with replacement."""
    numbers = torch.tensor(values)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f}   ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


sums = [float(explain_digit(layers, x, int(digit)).sum()) for x, digit in zip(pixels, named)]
values = logits.gather(1, named[:, None])[:, 0].tolist()
print(f"what the biases hold, as a share of the logit, {len(sums)} images")
print(f"  with its sign    {interval([1 - total / value for total, value in zip(sums, values)])}")
print(
    f"  without its sign {interval([abs(1 - total / value) for total, value in zip(sums, values)])}"
)

settings, errors, totals = [1e-9, 1e-6, 1e-4, 1e-2, 1e-1, 1.0], [], []
for epsilon in settings:
    off = []
    for x, digit in zip(pixels[:60], named[:60]):
        exact, rough = (
            explain_digit(layers, x, int(digit), 1e-14),
            explain_digit(layers, x, int(digit), epsilon),
        )
        off.append(float((rough - exact).abs().max() / exact.abs().max()))
    errors.append(sum(off) / len(off))
    print(f"epsilon {epsilon:<7g} error, as a share of the largest score: {errors[-1]:.2%}")

# %% alt="A rising line: the larger epsilon, the larger the error of the scores. Both axes count powers of ten."
charts.curves(
    torch.tensor(settings).log10().tolist(),
    {"error": torch.tensor(errors).log10()},
    title="Epsilon is there to avoid a division by zero, and for nothing else",
    label="error, power of ten",
    over="epsilon, power of ten",
)

# %% [markdown] tags=["quotes"]
# On average the biases hold 0.10 of the logit. That looks harmless, and is not: in some images they give and in others they take, and without the sign it is 0.37. Nothing is lost, but more than a third of the amount is not on any pixel.
#
# In the figure both axes count powers of ten, so that $-2$ stands for 0.01. With an ε of 0.01 the scores are off by 5.87% of the largest one, with 0.1 by 27.30%. Choose it so small that making it smaller changes nothing. We take $10^{-9}$.

# %% [markdown]
# ## 3. What a transformer needs more
#
# Embeddings, linear layers, an unembedding: for these you have the rule. An **addition** $a + b$, as in the residual stream, is a linear layer whose weights are one: each side gets its part of the sum. An **activation** such as GELU hands back what it received, as the ReLU did. Three things are new.
#
# **Products.** Attention sums values with weights, $O = A V$, and both sides were computed from the text. In the product $a \cdot b$ neither factor has a better claim than the other; the amount is halved. Otherwise it is the ε-rule (Achtibat and others, 2024):
#
# $$s = \frac{R_O}{2 \, \text{stab}(O)}, \qquad R_A = A \odot (s\, V^\top), \qquad R_V = V \odot (A^\top s)$$
#
# **By hand.** One query looks at three tokens with the weights $A = (\frac12, \frac14, \frac14)$. Their values have width 1: $4, 12, -4$. So $O = 2 + 3 - 1 = 4$. It received $R = 8$, that is $2$ for each unit of $O$. The three products get $4, 6, -2$. Each is halved: the weights get $(2, 3, -1)$, and the values $(2, 3, -1)$ as well.

# %% [markdown]
# ### Exercise 4.5: The product rule
#
# *10 points · ●●○ · 12 minutes*
#
# `a` is `(query, key)`, `b` `(key, dim)`, `relevance` `(query, dim)`, that of `a @ b`. Return two tensors: the relevance of `a` and that of `b`.
#
# <details><summary>Hint 1</summary>
#
# Compute `s` first, in the shape of the product. `x.mT` is the transpose of the last two axes.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The shapes tell you the order: `(query, dim)` with `(dim, key)` makes `(query, key)`.
#
# </details>


# %% nbgrader={"grade_id": "product-rule", "solution": true}
def product_rule(
    a: torch.Tensor, b: torch.Tensor, relevance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The relevance of both factors of a @ b, half for each: of the shapes of a and b."""
    ### BEGIN SOLUTION
    s = relevance / (2 * stabilised(a @ b))  # (query, dim)
    return a * (s @ b.mT), b * (a.mT @ s)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-product-rule", "grade": true, "points": 10}
check.product_rule(product_rule)
### BEGIN HIDDEN TESTS
check.product_rule(product_rule, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Each factor's relevance must sum to half of what came in. Without the half both would claim the whole, and the relevance in the model would double at each product: remember gradient × input, where two tokens that were multiplied claimed twice what there was.
#
# </details>

# %% [markdown]
# The same rule hands relevance through $S = q k^\top$, to queries and keys. Between the two stands the **softmax**, $A = \text{softmax}(S)$, and here sharing out fails: no score is a term of a sum. The rule that is used takes the slope of the softmax, at this point, for the whole (Achtibat and others, 2024):
#
# $$R_S = S \odot \big( R_A - A \odot \textstyle\sum_{\text{key}} R_A \big)$$
#
# **By hand.** The weights above, $A = (\frac12, \frac14, \frac14)$, received $R_A = (2, 3, -1)$, in sum $4$. So $R_A - A \cdot 4 = (0, 2, -2)$. If the scores were $S = (1.7, 1, 1)$, roughly, then $R_S = (0, 2, -2)$. Four came in, and what goes on sums to **zero**. Had the scores been $(3.7, 3, 3)$, the weights would be the same, and $R_S = (0, 6, -6)$.

# %% [markdown]
# ### Exercise 4.6: The softmax rule
#
# *10 points · ●●○ · 8 minutes*
#
# `scores`, `weights` and `relevance` are `(head, query, key)`: $S$ before the mask is added, $A$, and $R_A$. Return $R_S$, of the same shape. Each row is a softmax of its own.
#
# <details><summary>Hint</summary>
#
# A sum that keeps its axis, `keepdim=True`, can be multiplied with the whole again.
#
# </details>


# %% nbgrader={"grade_id": "softmax-rule", "solution": true}
def softmax_rule(
    scores: torch.Tensor, weights: torch.Tensor, relevance: torch.Tensor
) -> torch.Tensor:
    """The relevance of the scores, from that of the attention weights: (head, query, key)."""
    ### BEGIN SOLUTION
    whole = relevance.sum(dim=-1, keepdim=True)  # (head, query, 1)
    return scores * (relevance - weights * whole)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-softmax-rule", "grade": true, "points": 10}
check.softmax_rule(softmax_rule)
### BEGIN HIDDEN TESTS
check.softmax_rule(softmax_rule, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A row that puts all weight on one token got its relevance there, and $R_A - A \sum R_A$ is zero: a softmax that could not have looked elsewhere hands nothing on. A masked entry has $A = 0$ and $R_A = 0$, and gets nothing. The check also compares with the derivative of the softmax, from which the rule was made.
#
# </details>

# %% [markdown]
# So this rule does not conserve; it **leaks by design**. There is another way out, called **CP-LRP**, for *conservative propagation* (Ali and others, 2022): take the attention weights for constants. Then $A V$ is a linear layer, its values get everything, nothing is halved, and queries, keys and the softmax get nothing. It conserves more and knows less: why a head looked where it
# looked plays no part. Below, `"attnlrp"` is the first way, AttnLRP by the name that its authors gave it, and `"cp"` the second.

# %% [markdown]
# ### Question 4.7: What is conserved?
#
# *5 points · ●●○ · 3 minutes*
#
# In which case do the scores of all tokens sum to the logit?
#
# - **a** Always: that is what LRP is for.
# - **b** With `"cp"`, on a model that has neither biases nor position embeddings.
# - **c** With `"attnlrp"`, on a model without biases.
# - **d** With `"cp"`, on any model, if ε is small enough.

# %% nbgrader={"grade_id": "answer-conserved", "solution": true}
answer_conserved = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_conserved = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-conserved", "grade": true, "points": 5}
check.conserved(answer_conserved)

# %% [markdown]
# ## 4. All of it in one backward pass
#
# To walk back through a transformer by hand would take a page of bookkeeping. But PyTorch walks backwards already. It asks each operation one thing: here is the gradient of your output, what is that of your input? Let us see what the rules look like if we write each relevance as **value times something**: $R_z = z \odot G_z$, and $R_x = x \odot G_x$.
#
# The linear layer, ε left aside: $R_x = x \odot \big( (R_z / z)\, W \big) = x \odot (G_z W)$. So $G_x = G_z W$. The division is gone, and this is the layer's **ordinary gradient**. The sum: the same. The softmax: the rule above is $S$ times its ordinary gradient. The start, $R = f$, means $G = 1$: where every backward pass starts.
#
# So LRP is **input × gradient**, and only a few operations have to answer differently from what their derivative says.
#
# | operation | answers $G_x =$ |
# | --- | --- |
# | linear, sum, softmax | its own gradient |
# | activation $z = \varphi(x)$ | $G_z \cdot z / x$, so that $R_x = R_z$ |
# | product of two computed things | its own gradient for $G_z / 2$ |
# | normalisation | its own gradient, with the spread σ as a constant |
#
# **By hand.** $\varphi(x) = x^2$ at $x = 3$: $z = 9$. Let $G_z = 1$, so that $R_z = 9$. The derivative is $6$, and input × gradient would be $18$, twice what came in. The answer $G_x = 9 / 3 = 3$ gives $R_x = 9$.

# %% [markdown]
# ### Exercise 4.8: What an activation answers
#
# *10 points · ●●○ · 8 minutes*
#
# `x` is what went into the activation, `z` what came out, `gradient` is $G_z$; all of one shape. Return $G_x$. Where `x` is zero, so is `z` with ReLU, GELU, SiLU and tanh, and there is nothing to hand back: return zero.
#
# <details><summary>Hint</summary>
#
# Divide first and mend afterwards: `torch.nan_to_num` makes zero of what is not a number. Or choose with `torch.where`.
#
# </details>


# %% nbgrader={"grade_id": "activation-backward", "solution": true}
def activation_backward(x: torch.Tensor, z: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The G of an activation's input, so that x * G is its output's relevance: of the shape of x."""
    ### BEGIN SOLUTION
    return gradient * torch.where(x == 0, 0.0, z / x)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-activation-backward", "grade": true, "points": 10}
check.activation_backward(activation_backward)
### BEGIN HIDDEN TESTS
check.activation_backward(activation_backward, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# `x` times the answer must be `z` times the gradient, entry by entry. The check has zeros among its inputs. With a stabiliser in place of the case distinction the result is off by about ε divided by the entry: with 1e-9 nobody sees it, and the check accepts it; with 0.1 you would.
#
# </details>

# %% [markdown]
# Now the **LayerNorm**, $y = (x - \text{mean}) / \sigma \odot w + b$. Somebody reasons: "it is differentiable, so its own gradient will do".
#
# ```python
# def norm_backward(x, weight, gradient, norm_epsilon=1e-5):
#     x = x.detach().requires_grad_()
#     with torch.enable_grad():
#         y = nn.functional.layer_norm(x, x.shape[-1:], weight, None, norm_epsilon)
#     return torch.autograd.grad(y, x, gradient)[0]
# ```
#
# The symptom: whatever arrives at a LayerNorm, the relevance below it sums to zero.
#
# **By hand.** Width 2, $x = (1, 3)$, $w = 1$: the mean is $2$ and $\sigma = 1$, so $y = (-1, 1)$. Let $f = y_1 = 1$, that is $G_y = (0, 1)$. With two numbers the result is always $(-1, 1)$, however far apart they are: the derivative is zero, and so is the relevance. In general, a LayerNorm does not see it when all of $x$ grows. So
# $x$ times its gradient, which asks just that, is nothing. With $\sigma = 1$ as a constant: $G_y / \sigma = (0, 1)$, less its mean $(-\frac12, \frac12)$, times $x$: $(-\frac12, \frac32)$. The sum is $1$, as it should be.

# %% tags=["quoted"]
caught = []
hook = model.transformer.ln_f.register_forward_pre_hook(
    lambda module, given: caught.append(given[0].requires_grad_())
)
value = model(tokenizer(PROMPT, return_tensors="pt")["input_ids"]).logits[0, -1].max()
hook.remove()
below = torch.autograd.grad(value, caught[0])[0]
print(
    f"the logit: {value.detach():.2f}; input x gradient below the last norm sums to {(below * caught[0]).sum().detach().abs():.2f}"
)

# %% [markdown]
# That is the model of the opening. Gradient × input has lost the logit at the very first step back.

# %% [markdown]
# ### Exercise 4.9: Find the bug
#
# *10 points · ●●● · 12 minutes*
#
# Mend it: σ is a constant, the mean is not. `x` and `gradient` are `(..., width)`, `weight` is `(width,)`.
#
# 1. Compute σ as LayerNorm does: $\sigma = \sqrt{\text{var} + \varepsilon}$, with `norm_epsilon` for ε, **inside** the root; the variance divides by the width, not by one less.
# 2. Take the gradient through the multiplication with `weight` and the division by σ.
# 3. Take it through the subtraction of the mean: from the gradient of step 2 subtract **its own** mean over the width, row by row.
#
# <details><summary>Hint 1</summary>
#
# `x.var(dim=-1, unbiased=False, keepdim=True)` is the variance that LayerNorm uses.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Instead of formulas you may keep the code and write the norm out, with a σ that was detached.
#
# </details>


# %% nbgrader={"grade_id": "norm-backward", "solution": true}
def norm_backward(
    x: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, norm_epsilon: float = 1e-5
) -> torch.Tensor:
    """The G of a LayerNorm's input, with its spread as a constant: (..., width)."""
    ### BEGIN SOLUTION
    sigma = (x.var(dim=-1, unbiased=False, keepdim=True) + norm_epsilon).sqrt()  # (..., 1)
    scaled = gradient * weight / sigma
    return scaled - scaled.mean(dim=-1, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-norm-backward", "grade": true, "points": 10}
check.norm_backward(norm_backward)
### BEGIN HIDDEN TESTS
check.norm_backward(norm_backward, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# With a zero bias, $x \odot G_x$ has to sum to $y \odot G_y$ in each row: what came in goes on. That the mean is not a constant follows from the same: it was computed from $x$ by a linear layer, and a linear layer hands relevance back to what it was computed from.
#
# </details>

# %% [markdown]
# **RMSNorm**, in Llama and its relatives, divides by the root mean square and subtracts nothing. With that as a constant each entry is multiplied by a number, $y = x \cdot (y / x)$. So it answers as an activation does, and $R_x = R_y$.
#
# The rest is plumbing, and it is given. `operation` makes an operation whose backward pass is your function. `relevance_rules` puts such operations in place of the model's norms, activations and attention, for the time of a `with` block; the forward pass gives the same numbers as ever. The lines to read are those with `halved`. What the softmax keeps is the relevance of the weights minus that of the scores below them.


# %%
def operation(forward, backward):
    """An operation of autograd: its value by `forward(*inputs)`, its backward pass by `backward(*inputs, gradient)`."""

    class Operation(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx, gradient):
            return backward(*ctx.saved_tensors, gradient)

    return Operation.apply


halved = operation(lambda z: z.clone(), lambda z, gradient: gradient / 2)


@contextmanager
def relevance_rules(model, rule: str):
    """Inside, gradients of the model are relevance divided by value. Gives a list that fills with (S, A) of each layer."""
    softmaxes, changed = [], []

    def attention(module, query, key, value, mask, scaling=1.0, **_):
        key, value = (
            shared.repeat_interleave(query.shape[1] // shared.shape[1], dim=1)
            for shared in (key, value)
        )
        scores = halved(query * scaling @ key.mT)  # (batch, head, query, key)
        weights = (scores if mask is None else scores + mask).softmax(-1)
        if rule == "cp":
            return (weights.detach() @ value).transpose(1, 2), weights
        softmaxes.append((scores, weights))
        return halved(weights @ value).transpose(1, 2), weights

    def as_activation(phi):
        return operation(phi, lambda x, gradient: activation_backward(x, phi(x), gradient))

    def as_norm(norm):
        return operation(
            norm.forward, lambda x, gradient: norm_backward(x, norm.weight, gradient, norm.eps)
        )

    def as_gated(mlp):
        def forward(x):
            gate, up = mlp.act_fn(mlp.gate_proj(x)), mlp.up_proj(x)
            return mlp.down_proj(gate.detach() * up if rule == "cp" else halved(gate * up))

        return forward

    try:
        for name, part in model.named_modules():
            if isinstance(part, nn.LayerNorm):
                part.forward = as_norm(part)
            elif name.endswith(("act", "act_fn", "activation")) or "RMSNorm" in type(part).__name__:
                part.forward = as_activation(part.forward)
            elif hasattr(part, "gate_proj"):
                part.forward = as_gated(part)
            else:
                continue
            changed.append(part)
        with attention_by(model, attention):
            yield softmaxes
    finally:
        for part in changed:
            del part.forward


def other_embeddings(model, seq: int) -> torch.Tensor:
    """What the model adds to the token embeddings: positions, and in BERT the type of the text. (seq, width) or zeros."""
    total = torch.zeros(seq, model.get_input_embeddings().weight.shape[1], dtype=model.dtype)
    for name, part in model.named_modules():
        if isinstance(part, nn.Embedding) and part is not model.get_input_embeddings():
            total = total + (part.weight[:1] if "type" in name else part.weight[:seq]).detach()
    return total


def relevance_of(model, ids: torch.Tensor, rule: str, *targets: int) -> list[dict]:
    """For each target's logit: it, the relevance of the tokens, and what the other parts hold. ids are (seq,)."""
    x = model.get_input_embeddings()(ids)[None].detach().requires_grad_()  # (1, seq, width)
    with relevance_rules(model, rule) as softmaxes:
        logits = model(inputs_embeds=x).logits
    # of the last token, or of the classes
    logits = logits[0, -1] if logits.ndim == 3 else logits[0]
    inside, found = [tensor for pair in softmaxes for tensor in pair], []
    for target in targets:
        gradients = torch.autograd.grad(logits[target], [x, *inside], retain_graph=True)
        at_scores, at_weights = (
            sum(
                float((part.detach() * slope).sum())
                for part, slope in zip(inside[which::2], gradients[1 + which :: 2])
            )
            for which in (0, 1)
        )
        tokens = (x.detach() * gradients[0])[0].sum(-1)  # (seq,)
        positions, logit = (
            float((other_embeddings(model, len(ids)) * gradients[0][0]).sum()),
            float(logits[target].detach()),
        )
        holds = {
            "tokens": float(tokens.sum()),
            "position": positions,
            "softmax": at_weights - at_scores,
        }
        found.append(
            {
                "logit": logit,
                "scores": tokens,
                "holds": holds | {"biases": logit - sum(holds.values())},
                "logits": logits.detach(),
            }
        )
    return found


# %% [markdown]
# Does it conserve? Try it first on small models with random weights, in double precision, where you can have biases or not. **Guess** for each row and column: is it 1?

# %% tags=["quoted"]
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)


def random_model(kind, config, biases: bool):
    """A model with random weights; biases are random or zero."""
    torch.manual_seed(4)
    made = kind(config).double().eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        parameter.normal_(0, 0.3 if biases else 0) if name.endswith("bias") else parameter.normal_(
            float("norm" in name or "ln_" in name), 0.3
        )
    return made


sizes = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
gpt2, llama, bert = (
    GPT2Config(vocab_size=50, n_embd=24, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0),
    LlamaConfig(**sizes, num_key_value_heads=2),
    BertConfig(**sizes),
)
random_models = {
    "Llama": random_model(LlamaForCausalLM, llama, False),
    "GPT-2, biases zero": random_model(GPT2LMHeadModel, gpt2, False),
    "GPT-2": random_model(GPT2LMHeadModel, gpt2, True),
    "BERT, biases zero": random_model(BertForSequenceClassification, bert, False),
    "BERT": random_model(BertForSequenceClassification, bert, True),
}
random_ids = torch.tensor([3, 14, 15, 9, 26, 5])
print("relevance of all embeddings, as a share of the logit")
for name, made in random_models.items():
    shares = {}
    for rule in ("cp", "attnlrp"):
        [found] = relevance_of(made, random_ids, rule, 1)
        shares[rule] = (found["holds"]["tokens"] + found["holds"]["position"]) / found["logit"]
    print(f"{name:<19} cp {shares['cp']:>6.3f}   attnlrp {shares['attnlrp']:>6.3f}")

# %% [markdown] tags=["quotes"]
# Under `"cp"` the books balance to 1.000 wherever there are no biases, in all three kinds of model. With biases they don't: 1.704 in this GPT-2, -0.011 in this BERT. Under `"attnlrp"` they balance nowhere; the softmax leaks in each of them. So no sentence of the form "LRP conserves relevance" is true of transformers, unless it names the rule and the model.

# %% [markdown]
# Now the small world. It is a GPT-2, with biases and position embeddings.


# %% alt="Three rows of coloured tokens for the prompt about the Eiffel Tower: gradient times input, LRP with attnlrp, and LRP with cp. LRP puts Eiffel and city in front."
def ids_of(text: str) -> torch.Tensor:
    """A text's token ids, the start token first: (seq,)."""
    return tokenizer(text, return_tensors="pt")["input_ids"][0]


def number_of(answer: str) -> int:
    """The id of an answer that is one token."""
    return tokenizer(answer, add_special_tokens=False)["input_ids"][0]


def shown(text: str, scores: torch.Tensor, method: str) -> gb.Attribution:
    """Scores of your own, one for each token of the text, as glassbox shows them."""
    return replace(
        gb.explain(model, tokenizer, text, method="attention"),
        method=method,
        scores=scores.float(),
        details={},
    )


paris = {
    rule: relevance_of(model, ids_of(PROMPT), rule, number_of(" Paris"))[0]
    for rule in ("attnlrp", "cp")
}
figures.token_strip(
    [
        gb.explain(model, tokenizer, PROMPT, method="gradient_x_input"),
        *(shown(PROMPT, found["scores"], f"LRP, {rule}") for rule, found in paris.items()),
    ],
    title="Without the rules, Eiffel speaks against Paris; with them, for it",
)

# %% tags=["quoted"]
words = [tokenizer.decode(number).strip() for number in ids_of(PROMPT)]
for rule, found in paris.items():
    best = found["scores"].argsort(descending=True)[:4].tolist()
    print(
        f"{rule:<8} logit {found['logit']:.1f}: "
        + ", ".join(f"{part} {amount:+.1f}" for part, amount in found["holds"].items())
    )
    print(
        "         " + ", ".join(f"{words[place]} {found['scores'][place]:+.1f}" for place in best)
    )

# %% [markdown] tags=["quotes"]
# Look at the first row of the figure: by gradient × input, *Eiffel* speaks **against** Paris. With the rules it speaks for it. And look at the books. The logit is 25.6. Under `"cp"` the tokens hold 37.8 of it: more than there is. The biases hold -10.6, and the positions -1.5. Under `"attnlrp"` the softmax holds 9.8 as well. It all sums to the logit.
#
# *city* gets 16.8 under `"cp"` and *Eiffel* 16.2. Is *city* a reason for Paris, or for naming a city at all? A later section has the tool for that, and the last question asks you.

# %% [markdown]
# ### Question 4.10: An old acquaintance
#
# *5 points · ●●○ · 3 minutes*
#
# On the digit network, gradient × input and your LRP with a tiny ε give the same scores. Why?
#
# - **a** Both conserve relevance, and there is only one way to do so.
# - **b** By chance: the network is small.
# - **c** It has linear layers and ReLUs only, and for a ReLU $z / x$ is its derivative: 1 above zero, 0 below.
# - **d** Its biases take up all differences.

# %% nbgrader={"grade_id": "answer-relu", "solution": true}
answer_relu = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_relu = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-relu", "grade": true, "points": 5}
check.relu(answer_relu)

# %% [markdown]
# ## 5. Does it find the words that decide?
#
# The small world knows which words decide its answers. **Guess first:** gradient × input hit the evidence in about six of ten sentences in the last chapter. Will the rules do better? And which rule?

# %% tags=["quoted"]
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 10, seed=4)]
hits = {
    way: []
    for way in (
        "LRP, attnlrp",
        "LRP, cp",
        "gradient x input",
        "gradient, length",
        "a word at random",
    )
}
holds = {
    rule: {part: [] for part in ("tokens", "position", "softmax", "biases")}
    for rule in ("attnlrp", "cp")
}
both = []  # the scores of the answer and of its rival, by attnlrp
for s in gb.progress(sentences, unit="sentences"):
    ids, answer = ids_of(s.prompt), number_of(s.answer)
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:-1]
    [by_cp] = relevance_of(model, ids, "cp", answer)
    rival = int(by_cp["logits"].index_fill(0, torch.tensor(answer), float("-inf")).argmax())
    by_attnlrp, of_rival = relevance_of(model, ids, "attnlrp", answer, rival)
    both.append((by_attnlrp["scores"], of_rival["scores"]))
    earlier = {
        way: gb.explain(model, tokenizer, s.prompt, method=method, target=s.answer).scores
        for way, method in (
            ("gradient x input", "gradient_x_input"),
            ("gradient, length", "gradient"),
        )
    }
    for way, scores in (
        {"LRP, attnlrp": by_attnlrp["scores"], "LRP, cp": by_cp["scores"]} | earlier
    ).items():
        hits[way].append(float(evidence[scores[1:-1].argmax()]))
    hits["a word at random"].append(float(evidence.float().mean()))
    for rule, found in (("attnlrp", by_attnlrp), ("cp", by_cp)):
        for part, amount in found["holds"].items():
            holds[rule][part].append(amount / found["logit"])
print(
    f"how often the top word (first and last token left out) is evidence, {len(sentences)} sentences, 95 % interval"
)
for way, found in hits.items():
    print(f"{way:<17} {interval(found)}")
for way in ("LRP, attnlrp", "LRP, cp"):
    print(
        f"{way}, less gradient x input: {interval([one - other for one, other in zip(hits[way], hits['gradient x input'])])}"
    )

# %% [markdown] tags=["quotes"]
# Both rules hit the evidence in 0.68 of the sentences, gradient × input in 0.58, a word at random in 0.12. These are the same sentences for all of them, so look at the difference in each sentence: 0.10, and its interval, from 0.03 upwards, does not contain zero. Between the two rules
# there is no difference to be seen in the rate. And the plain length of the gradient, which adds up to nothing at all, hits in 0.71. Adding up is worth something; it does not make a method the best.

# %% tags=["quoted"]
print(f"what each part holds, as a share of the logit, {len(sentences)} sentences, 95 % interval")
for rule, parts in holds.items():
    for part, shares in parts.items():
        print(f"{rule:<8} {part:<10} {interval(shares)}")

# %% alt="Bars: the share of the logit that tokens, positions, softmax and biases hold under each of the two rules. Biases are far below zero, tokens above one."
named_parts = [(rule, part) for rule, parts in holds.items() for part in parts]
charts.bars(
    [f"{rule} {part}" for rule, part in named_parts],
    torch.tensor([sum(holds[rule][part]) / len(sentences) for rule, part in named_parts]),
    title="The words hold more than the logit; the biases owe the rest",
    label="share of the logit, mean",
    names_are="rule and part",
)

# %% [markdown] tags=["quotes"]
# The tokens hold 1.56 of the logit under `"cp"`, and the biases -0.61. Under `"attnlrp"` the tokens hold 1.13, which looks better only because the softmax holds 0.41. (A negative share means that the biases pull the logit down; the positions hold the small rest.) If somebody shows you LRP scores of this model that sum to the logit in sentence after sentence, ask whether they were scaled to do so.

# %% [markdown]
# ## 6. Not so fast
#
# Two tests of what the scores mean. First: the scores explain the logit of *Paris*. Take the **rival**, the token with the next highest logit, and explain that. Its evidence should be something else, or the same words with less to say for it. Guess: in how many sentences do both have the same top word?

# %% tags=["quoted"]
same, alike, against_rival = [], [], []
for s, (for_answer, for_rival) in zip(sentences, both):
    inner, inner_rival = for_answer[1:-1], for_rival[1:-1]
    same.append(float(inner.argmax() == inner_rival.argmax()))
    alike.append(float(torch.corrcoef(torch.stack([inner, inner_rival]))[0, 1]))
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:-1]
    against_rival.append(float(evidence[(inner - inner_rival).argmax()]))
print(f"answer and rival, {len(sentences)} sentences")
print(f"the same top word                      {interval(same)}")
print(f"correlation of the scores              {interval(alike)}")
print(f"top word of the difference is evidence {interval(against_rival)}")
print(
    f"gain over the answer's logit alone     {interval([one - other for one, other in zip(against_rival, hits['LRP, attnlrp'])])}"
)

# %% [markdown] tags=["quotes"]
# In 0.70 of the sentences the answer and its rival have the same top word, and their scores correlate with 0.79. Most of what LRP shows is what carries *a* large logit here: that a city is asked for, say. Only the rest is about *this* city. Explain the difference of the two logits, and the hits rise from 0.68 to 0.74, a gain of 0.07 with an interval from 0.01 to 0.13. As relevance is
# linear in what it starts from, that is the difference of the two explanations, and costs nothing.

# %% [markdown]
# The second test needs no language. Photograph the digits as negatives: ink is 0, paper is 1. Change the first layer so that it undoes this: weights $-W$, biases $b + \sum_i W_{\cdot i}$. For each image the new network computes **exactly** what the old one did, down to every hidden number. Only the input is written down differently. Where
# will the relevance be?

# %% alt="A three and its negative, each with the relevance of its pixels. On the original all relevance lies on the ink; on the negative most of it lies on the paper around it."
weight, bias = layers[0]
negative_layers = [(-weight, bias + weight.sum(1)), *layers[1:]]
pictures(
    {
        "the image": pixels[three],
        "its relevance": explain_digit(layers, pixels[three], 3),
        "the negative": 1 - pixels[three],
        "relevance of that": explain_digit(negative_layers, 1 - pixels[three], 3),
    },
    "The same function, and another explanation",
)

# %% tags=["quoted"]
on_paper, related = {"image": [], "negative": []}, []
for x, digit in zip(pixels, named):
    plain, turned = (
        explain_digit(layers, x, int(digit)),
        explain_digit(negative_layers, 1 - x, int(digit)),
    )
    for way, scores in (("image", plain), ("negative", turned)):
        on_paper[way].append(float(scores[x == 0].abs().sum() / scores.abs().sum()))
    related.append(float(torch.corrcoef(torch.stack([plain, turned]))[0, 1]))
for way, shares in on_paper.items():
    print(f"{way:<9} share of the relevance on blank paper {interval(shares)}")
print(f"correlation of both explanations         {interval(related)}")

# %% [markdown] tags=["quotes"]
# On the image, 0.00 of the relevance lies on blank paper: a pixel of value zero gets zero, whatever it does to the answer. On the negative it is 0.66, for the same function of the same pictures. The two explanations even correlate negatively, -0.26. Both satisfy the ε-rule to the last digit. Which one is right? The rule can't say: a share of zero is zero, and what counts as zero is a matter of how the input is written down. A blank
# corner *can* speak for a three, and on ink-is-one images LRP will never say so.

# %% [markdown]
# ### Question 4.11: It adds up
#
# *10 points · ●●○ · 10 minutes*
#
# A report says: "We use LRP, which conserves relevance, so the scores tell exactly how much each word contributed. For *Paris*, *city* contributes about as much as *Eiffel*. The model therefore relies on *city* to know which city it is." Answer in four to six sentences: what is wrong with "conserves", what adding up does not prove (with an
# experiment from this chapter), and how you would test the last claim.

# %% [markdown] nbgrader={"grade_id": "written-adds-up", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# Whether LRP conserves depends on the rule and on the model: only with attention weights as constants, and without biases and position embeddings, do the tokens' scores sum to the logit. On our model they do not, since the biases hold a large negative share and under attnlrp the softmax leaks as well. Even if the books balance, many other ways
# to share out the same amount balance too: the digit network and its negative are one function, and the relevance moved from the ink to the paper. So the sum does not prove that a share is where it belongs. *city* carries the logit of any city: the rival of *Paris* gets its relevance from the same words in most sentences. To test
# the claim I would explain the difference between *Paris* and another city's logit, or exchange *Eiffel Tower* for another landmark and see that the answer changes although *city* stays.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 3: names what conservation depends on: the rule, biases, positions, the softmax.
# - 3: adding up does not prove the shares: the negative, or answer and rival, used correctly.
# - 3: a test that can decide: a foil, a counterfactual landmark, taking words away.
# - 1: clear, no overclaim.

# %% [markdown]
# ## 7. In the wild
#
# The library of AttnLRP's authors is `lxt`. Its efficient mode does what you did here, one backward pass with changed answers; it exchanges functions inside of transformers for the whole process, so give it a process of its own:
#
# ```python
# from lxt.efficient import monkey_patch
# from transformers.models.llama import modeling_llama
#
# monkey_patch(modeling_llama)
# model = modeling_llama.LlamaForCausalLM.from_pretrained(name)
# embedded = model.get_input_embeddings()(ids).detach().requires_grad_(True)
# model(inputs_embeds=embedded, use_cache=False).logits[0, -1].max().backward()
# scores = (embedded * embedded.grad).sum(-1)
# ```
#
# You know each of these lines now: only the first three are not plain gradient × input. `zennit` has the rules for convolutional networks, and captum has `LRP` for plain layers. glassbox has `method="lrp"` with `rule="attnlrp"` or `"cp"`, and `details["accounting"]` says what biases, softmax and ε hold: read it before you say that anything is conserved.
#
# - **GPT-2** is what you have seen: biases everywhere, position embeddings, LayerNorm, GELU.
# - **Llama**: no biases, RMSNorm, a gate whose product is halved, and positions that turn queries and keys, a linear operation which needs no rule of its own.
# - **BERT**: biases, LayerNorm after each sum instead of before, token types as one more embedding, and a class instead of a next token; its pooler's tanh is an activation.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. Expect two things to differ: words may be several tokens, whose scores you may add up, and a large model puts much relevance on its first token.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_ids = real_tokenizer(PROMPT, return_tensors="pt")["input_ids"][0]
    with torch.no_grad():
        word = int(real_model(real_ids[None]).logits[0, -1].argmax())
    for rule in ("attnlrp", "cp"):
        [found] = relevance_of(real_model, real_ids, rule, word)
        print(
            f"{rule}, {real_tokenizer.decode(word)!r}, logit {found['logit']:.2f}: "
            + ", ".join(f"{part} {amount:+.2f}" for part, amount in found["holds"].items())
        )
        for number, score in zip(real_ids, found["scores"]):
            print(f"{real_tokenizer.decode(number)!r:>12} {score:+.2f}")
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - LRP treats the output as an amount, and each operation hands its part back to what it was computed from.
# - The ε in the divisor is there for zeros only. It must not be large, and the sign of zero is not zero here.
# - It is input × gradient in one backward pass, in which activations, norms and products answer differently from their derivatives.
# - Say which rule, and on which model, before you say "conserves". Look at what biases, positions and the softmax hold.
# - Shares that add up are one way to write the sum. They tell what carried the logit, and not yet why this answer and no other.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | LRP, attnlrp | what is the logit made of? | one backward pass | signed scores that know the target, also through queries and keys | the softmax leaks; biases; the rival has the same words |
# | LRP, cp | the same, with attention as given | one backward pass | books that balance on models without biases | blind to why a head looked there |
#
# **Further reading**
#
# - Bach and others (2015), *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*: the ε-rule is its equation 58.
# - Ali and others (2022), *XAI for Transformers: Better Explanations through Conservative Propagation*: why a norm's gradient loses everything, and what to do about it.
# - Achtibat and others (2024), *AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers*: the rules for products and softmax.
# - Kindermans and others (2019), *The (Un)reliability of Saliency Methods*: what happens to explanations when the input is shifted and the function is not.
