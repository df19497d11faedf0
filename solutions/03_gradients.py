# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Gradients: what would change the prediction if it moved a little?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.gradients
#     - glassbox.integrated
#     - glassbox.paths
#     - glassbox.grad_attention
#   objectives:
#     - {text: "take the gradient of one score with respect to a text's embeddings, and make one number a token of it", tested_by: [check-sensitivity, check-gradient-x-input, check-answer-saturation]}
#     - {text: "take gradients of attention weights, and know why a hook on a module does not give them", tested_by: [check-weight-gradients]}
#     - {text: "combine weights and gradients, with their signs or as a rollout", tested_by: [check-signed-mean, check-positive-rollout, check-answer-signs]}
#     - {text: "integrate gradients along a path, and check that nothing was lost", tested_by: [check-integrated, check-gap, check-along-points]}
#     - {text: "choose a baseline, and say what question it asks", tested_by: [check-answer-baseline, written-two-baselines]}
# ---

# %% [markdown]
# # 03 Gradients: what would change the prediction if it moved a little?
#
# Rollout did not know which word was to be explained: for *Mary* and for *John* it gave the same scores. Here is something that knows. Run the next two cells.

# %%
from dataclasses import replace

import glassbox as gb
import smallworld
import torch
from classroom.checks import gradients as check
from glassbox import charts, figures

model, tokenizer = gb.load("smallworld")
PROMPT = "When Mary and John went to the store, John gave a drink to"

# %% alt="Two rows of coloured tokens: rollout for the target Mary and for the target John. The rows are the same; the start token is dark and all words are pale."
for_mary, for_john = (
    gb.explain(model, tokenizer, PROMPT, method="rollout", target=target)
    for target in (" Mary", " John")
)
figures.token_strip(
    [for_mary, for_john],
    names=["Mary", "John"],
    label="target",
    title="Rollout gives the right and the wrong answer the same explanation",
)

# %% [markdown]
# Two targets, one picture. A score that is to explain *this* answer has to ask the model about *this* answer. The cheapest way to ask is a derivative: if this word's vector moved a little, how much would the score
# of *Mary* move? One backward pass answers it for all words at once.
#
# **After this chapter you can**
#
# 1. take the gradient of one score with respect to a text's embeddings, and make one number a token of it;
# 2. take gradients of attention weights, and know why a hook on a module does not give them;
# 3. combine weights and gradients, with their signs or as a rollout;
# 4. integrate gradients along a path, and check that nothing was lost;
# 5. choose a baseline, and say what question it asks.
#
# **You need** chapters 00 to 02, and what a derivative is. **Time:** 120 minutes. **The new question:** not what could have arrived, but what the answer depends on, at this point.

# %% [markdown]
# ## 1. The gradient of one score
#
# Call the explained number $f$: the logit of *Mary*, say. It is a function of the embeddings $x$, one vector for each token. So it has a gradient there, a vector of the same size for each token. It says in which direction $f$
# would grow fastest, and how fast. One number a token is wanted; the plainest is the length:
#
# $$s_i = \Big\lVert \frac{\partial f}{\partial x_i} \Big\rVert$$
#
# **By hand.** Three tokens of width 2, and $f(x) = 3\, x_{0,0} - 4\, x_{0,1} + 2\, x_{1,0}\, x_{2,1}$ at $x = ((1, 0), (2, 1), (0, 5))$. The gradient is $(3, -4)$ for token 0, whatever the text. For token 1 it is $(2 x_{2,1}, 0) = (10, 0)$, for token 2
# $(0, 2 x_{1,0}) = (0, 4)$. Lengths: $5, 10, 4$. Token 1 gets its score from token 2: they are multiplied.

# %% [markdown]
# ### Exercise 3.1: Sensitivity
#
# *10 points · ●○○ · 10 minutes*
#
# `f` is a function from embeddings `(seq, width)` to a scalar tensor. Return the length of its gradient for each token, `(seq,)`.
#
# 1. Make a copy of `x` that asks for its gradient.
# 2. Compute `f` of it, and ask `torch.autograd.grad` for the gradient with respect to it.
# 3. Take the length over the width.
#
# <details><summary>Hint 1</summary>
#
# `x.detach().clone().requires_grad_()` is such a copy.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(value, x)` returns a tuple with one gradient for each thing asked for.
#
# </details>


# %% nbgrader={"grade_id": "sensitivity", "solution": true}
def sensitivity(f, x: torch.Tensor) -> torch.Tensor:
    """How fast f changes when each token moves: the length of its gradient, (seq,)."""
    ### BEGIN SOLUTION
    moved = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(moved), moved)  # (seq, width)
    return slope.norm(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-sensitivity", "grade": true, "points": 10}
check.sensitivity(sensitivity)
### BEGIN HIDDEN TESTS
check.sensitivity(sensitivity, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A length has no sign: it says how much, never for or against. The check compares with finite differences, moving each entry a little in both directions, which is slow and needs no calculus at all.
#
# </details>

# %% [markdown]
# A length throws the direction away. There is one direction of which we know what it means: the embedding itself. If token $i$ grew by a small share of its own vector, $f$ would change by that share of
#
# $$s_i = \sum_d x_{id} \, \frac{\partial f}{\partial x_{id}}$$
#
# This is **gradient × input**. It has a sign.
#
# **By hand.** In the example: token 0: $1 \cdot 3 + 0 \cdot (-4) = 3$. Token 1: $2 \cdot 10 + 1 \cdot 0 = 20$. Token 2: $0 \cdot 0 + 5 \cdot 4 = 20$. The two that are multiplied get the whole product each: together they claim $40$ of a term that is worth $20$.

# %% [markdown]
# ### Exercise 3.2: Gradient × input
#
# *10 points · ●○○ · 6 minutes*
#
# The same as before, with the product summed over the width instead of the length: `(seq,)`.
#
# <details><summary>Hint</summary>
#
# Multiply entry by entry first, sum over the last axis afterwards.
#
# </details>


# %% nbgrader={"grade_id": "gradient-x-input", "solution": true}
def gradient_x_input(f, x: torch.Tensor) -> torch.Tensor:
    """How f would change, by its slope, if each token grew by its own embedding: (seq,)."""
    ### BEGIN SOLUTION
    moved = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(moved), moved)  # (seq, width)
    return (slope * x).sum(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-gradient-x-input", "grade": true, "points": 10}
check.gradient_x_input(gradient_x_input)
### BEGIN HIDDEN TESTS
check.gradient_x_input(gradient_x_input, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# For a linear $f$ the scores add up to $f$ exactly, less a constant. That is the one case in which gradient × input is the whole truth. The check contains such an $f$, and one that is not linear.
#
# </details>

# %% [markdown]
# To use them on the model, $f$ must read embeddings. The model takes them in place of ids.


# %% tags=["quoted"]
def embeddings_of(text: str) -> torch.Tensor:
    """The token embeddings of a text, before the positions are added: (seq, width)."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    return model.get_input_embeddings()(ids)[0].detach()


def reader(target: str, of: str = "logit"):
    """A function from embeddings to the target's logit or probability at the last token."""
    number = tokenizer(target, add_special_tokens=False)["input_ids"][0]

    def f(x: torch.Tensor) -> torch.Tensor:
        logits = model(inputs_embeds=x[None]).logits[0, -1]  # (vocabulary,)
        return logits[number] if of == "logit" else logits.softmax(-1)[number]

    return f


def shown(text: str, scores: torch.Tensor, method: str) -> gb.Attribution:
    """Scores of your own, one for each token of the text, as glassbox shows them."""
    return replace(
        gb.explain(model, tokenizer, text, method="attention"),
        method=method,
        scores=scores,
        details={},
    )


tokens = gb.explain(model, tokenizer, PROMPT, method="attention").tokens
x = embeddings_of(PROMPT)
for target in (" Mary", " John"):
    scores = gradient_x_input(reader(target), x)
    best = scores.abs().argsort(descending=True)[:4].tolist()
    print(
        f"{target.strip()}: "
        + ", ".join(f"{tokens[place].strip()!r} {scores[place]:+.2f}" for place in best)
    )

# %% alt="Two rows of coloured tokens: gradient times input for the target Mary and for the target John. The rows differ in sign and size."
figures.token_strip(
    [
        shown(PROMPT, gradient_x_input(reader(target), x), target.strip())
        for target in (" Mary", " John")
    ],
    label="target",
    title="Now the two answers have explanations of their own",
)

# %% [markdown]
# **Guess first.** The model gives *Mary* a probability of nearly 1. If you explain the *probability* instead of the logit, will the scores be larger or smaller?

# %% tags=["quoted"]
for of in ("logit", "prob"):
    print(
        f"{of:<6} value {float(reader(' Mary', of)(x).detach()):.3f}   largest sensitivity {sensitivity(reader(' Mary', of), x).max():.4f}"
    )

# %% [markdown] tags=["quotes"]
# The logit is 26.470 and its largest sensitivity 13.5150. The probability is 1.000, rounded, and its largest sensitivity 0.0005. The same model, the same text, the same answer. The probability has **saturated**: it can't grow any more, so no small step
# changes it, and its gradient says that nothing matters. That is why we explain logits.

# %% [markdown]
# ### Question 3.3: Saturation
#
# *5 points · ●●○ · 3 minutes*
#
# A model is certain: the right class has a probability of 0.9999. All gradients of this probability are near zero. What follows?
#
# - **a** No word matters to this prediction.
# - **b** The prediction would survive small changes of any word; which words made it is not answered.
# - **c** The model has not been trained to the end.
# - **d** The gradient was taken at the wrong token.

# %% nbgrader={"grade_id": "answer-saturation", "solution": true}
answer_saturation = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_saturation = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-saturation", "grade": true, "points": 5}
check.saturation(answer_saturation)

# %% [markdown]
# ## 2. Gradients of attention weights
#
# Attention weights say where a head looks; they are blind to the target. Their gradients are not: $\partial f / \partial A_{ij}$ says what a little more of this look would do to *Mary*. To get it, one needs the gradient with respect to the
# weights themselves. Here is code for it, as it goes around.
#
# ```python
# def weight_gradients(model, ids, target):
#     caught = []
#     keep = lambda module, grad_in, grad_out: caught.append(grad_out[0])
#     for block in model.transformer.h:
#         block.attn.register_full_backward_hook(keep)
#     output = model(ids, output_attentions=True)
#     output.logits[0, -1, target].backward()
#     return caught                # one tensor a layer, (1, seq, width)
# ```
#
# The symptom: the result has the shape `(1, seq, width)`. Weights have the shape `(1, head, query, key)`. A hook on a module sees the gradient of what the module **gives out**, the vectors, never of what it computes on the way. The code has
# two more flaws: its hooks stay, and `backward()` leaves a gradient on every parameter of the model.

# %% [markdown]
# ### Exercise 3.4: Find the bug
#
# *10 points · ●●○ · 15 minutes*
#
# Mend it: return the gradients of the target's logit at the last token with respect to the attention weights, a list with one `(head, query, key)` for each layer. It must also work when all parameters are frozen, and leave the model as it was.
#
# 1. The output of the model, asked for attentions, holds the very tensors that were used.
# 2. `torch.autograd.grad` takes a whole list of tensors to differentiate by.
# 3. With frozen parameters nothing in the model asks for a gradient. Let the embeddings ask for one.
#
# <details><summary>Hint 1</summary>
#
# `model.get_input_embeddings()` is the table: call it on the ids, and make a tensor of the result that asks for its gradient. The model reads it as `inputs_embeds=`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each of the gradients has a batch axis of length one in front.
#
# </details>


# %% nbgrader={"grade_id": "weight-gradients", "solution": true}
def weight_gradients(model, ids: torch.Tensor, target: int) -> list[torch.Tensor]:
    """The gradients of the target's last logit by the weights: per layer (head, query, key)."""
    ### BEGIN SOLUTION
    x = model.get_input_embeddings()(ids).detach().requires_grad_()  # (1, seq, width)
    output = model(inputs_embeds=x, output_attentions=True)
    slopes = torch.autograd.grad(output.logits[0, -1, target], output.attentions)
    return [slope[0] for slope in slopes]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-weight-gradients", "grade": true, "points": 10}
check.weight_gradients(weight_gradients)
### BEGIN HIDDEN TESTS
check.weight_gradients(weight_gradients, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check replaces one attention weight by a slightly larger one, in a model of its own, and looks what happens to the logit. It also freezes all parameters, since the usual code guards with `if weights.requires_grad` and then quietly returns nothing.
#
# </details>

# %% [markdown]
# The product of a weight and its gradient says, to first order, what $f$ would lose without this look. The simplest use of it is the **signed mean** over all heads and layers, $\frac{1}{LH} \sum_{l,h} A^{(l,h)} \odot \partial f / \partial A^{(l,h)}$, read in the
# row of the last token.
#
# **By hand.** Two heads, one layer, the last row. Weights $(0.5, 0.5)$ and $(0.2, 0.8)$; gradients $(2, 0)$ and $(-5, 1)$. Products: $(1, 0)$ and $(-1, 0.8)$. Their mean: $(0, 0.4)$. The first token counts for nothing, since one head's
# look at it speaks for the target and the other's against it.

# %% [markdown]
# ### Exercise 3.5: The signed mean
#
# *10 points · ●○○ · 8 minutes*
#
# `weights` and `gradients` are lists with one `(head, query, key)` for each layer. Return the mean over layers and heads of their products, `(query, key)`.
#
# <details><summary>Hint</summary>
#
# `torch.stack` makes one tensor `(layer, head, query, key)` of a list. A mean may go over several axes at once.
#
# </details>


# %% nbgrader={"grade_id": "signed-mean", "solution": true}
def signed_mean(weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> torch.Tensor:
    """What each look is worth to f, on average over layers and heads: (query, key)."""
    ### BEGIN SOLUTION
    return (torch.stack(weights) * torch.stack(gradients)).mean(dim=(0, 1))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-signed-mean", "grade": true, "points": 10}
check.signed_mean(signed_mean)
### BEGIN HIDDEN TESTS
check.signed_mean(signed_mean, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The mean of products is not the product of means. In the example, the mean weights are $(0.35, 0.65)$ and the mean gradients $(-1.5, 0.5)$, and their product would make the first token an opponent.
#
# </details>

# %% [markdown]
# Signed means cancel. Chefer, Gur and Wolf (2021) keep what speaks **for** the target and carry it through the layers, as rollout does:
#
# $$R \leftarrow R + \text{mean}_h \big( A \odot \tfrac{\partial f}{\partial A} \big)^{+} R, \qquad R = I \text{ before the first layer}$$
#
# The plus sets negative entries to zero, head by head, before the mean. Nothing is normalised.
#
# **By hand.** The same two heads: the positive parts are $(1, 0)$ and $(0, 0.8)$, their mean $(0.5, 0.4)$. Now both tokens count.

# %% [markdown]
# ### Exercise 3.6: The positive rollout
#
# *10 points · ●●○ · 12 minutes*
#
# The same lists; the first layer comes first. Return $R$, `(query, key)`.
#
# 1. Start with the identity.
# 2. In each layer: products, positive part, mean over heads.
# 3. Multiply with $R$ in the right order, and **add** the result to $R$.
#
# <details><summary>Hint</summary>
#
# `clamp(min=0)` is the positive part. The new layer's matrix stands on the left.
#
# </details>


# %% nbgrader={"grade_id": "positive-rollout", "solution": true}
def positive_rollout(weights: list[torch.Tensor], gradients: list[torch.Tensor]) -> torch.Tensor:
    """What was carried to each token by looks that spoke for f: (query, key), with the identity in it."""
    ### BEGIN SOLUTION
    flow = torch.eye(weights[0].shape[-1], dtype=weights[0].dtype)
    for weight, gradient in zip(weights, gradients):
        step = (weight * gradient).clamp(min=0).mean(dim=0)  # (query, key)
        flow = flow + step @ flow
    return flow
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-positive-rollout", "grade": true, "points": 10}
check.positive_rollout(positive_rollout)
### BEGIN HIDDEN TESTS
check.positive_rollout(positive_rollout, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Adding step @ R to R is the same as multiplying by $I + \text{step}$ from the left: the residual is in there with full weight. Two orders and two places for the plus look alike on one layer, so the check has several layers and heads.
#
# </details>

# %% [markdown]
# ### Question 3.7: Where do the signs go?
#
# *5 points · ●●○ · 3 minutes*
#
# Two heads look at *Mary*. One look speaks for the target with $+3$, the other against it with $-3$. What do the two methods say?
#
# - **a** Signed mean: 0. Positive rollout: *Mary* counts.
# - **b** Signed mean: *Mary* counts. Positive rollout: 0.
# - **c** Both say that *Mary* does not count.
# - **d** Both say that *Mary* counts twice.

# %% nbgrader={"grade_id": "answer-signs", "solution": true}
answer_signs = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_signs = "a"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-signs", "grade": true, "points": 5}
check.signs(answer_signs)

# %% [markdown]
# ## 3. Integrate: the whole way instead of one point
#
# A gradient sees one point. Near certainty the ground is flat there. So walk: from a **baseline** $x'$, embeddings that say nothing, in a straight line to the text, and add up on the way what each token's movement does
# (Sundararajan, Taly and Yan, 2017):
#
# $$\text{IG}_i = \sum_d (x_{id} - x'_{id}) \int_0^1 \frac{\partial f}{\partial x_{id}} \big( x' + \alpha (x - x') \big) \, d\alpha$$
#
# A computer takes steps. With $n$ of them, take the gradient in the **middle** of each: at $\alpha = \frac{0.5}{n}, \frac{1.5}{n}, \dots$, and the mean of these gradients stands for the integral.
#
# **By hand.** One token of width 1, $f(x) = x^2$, baseline 0, text $x = 3$. The gradient is $2x$. With two steps: at $\alpha = 0.25$ the point is $0.75$ and the gradient $1.5$; at $\alpha = 0.75$ it is $2.25$ and $4.5$. The mean is $3$, times the way of $3$: $9$.
# And $f(3) - f(0) = 9$: nothing is lost. Gradient × input would have said $3 \cdot 6 = 18$.

# %% [markdown]
# ### Exercise 3.8: Integrated gradients
#
# *15 points · ●●● · 18 minutes*
#
# `f` as in exercise 3.1; `x` and `baseline` are `(seq, width)`. Return `(seq,)`.
#
# 1. For each step, make the point in the middle of the step, on the straight line from the baseline to `x`.
# 2. Take the gradient **at that point**, and average over the steps.
# 3. Multiply by the way from the baseline to `x`, and sum over the width.
#
# <details><summary>Hint 1</summary>
#
# `share = (number + 0.5) / steps` for `number` from 0 to `steps - 1`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The point is `baseline + share * (x - baseline)`. Each needs a `requires_grad_()` of its own.
#
# </details>


# %% nbgrader={"grade_id": "integrated", "solution": true}
def integrated(f, x: torch.Tensor, baseline: torch.Tensor, steps: int = 20) -> torch.Tensor:
    """How much each token adds on the straight way from the baseline to x: (seq,)."""
    ### BEGIN SOLUTION
    total = torch.zeros_like(x)
    for number in range(steps):
        point = (baseline + (number + 0.5) / steps * (x - baseline)).detach().requires_grad_()
        total += torch.autograd.grad(f(point), point)[0]
    return ((x - baseline) * total / steps).sum(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-integrated", "grade": true, "points": 15}
check.integrated(integrated)
### BEGIN HIDDEN TESTS
check.integrated(integrated, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# For $f = x^2$ the middle of each step is exact, with one step or with a hundred. Taking the ends instead would be too much or too little. And with a baseline that is not zero, the forgotten baseline shows twice: in the point, and in the way.
#
# </details>

# %% [markdown]
# The method comes with its own test, **completeness**: the scores must add up to $f(x) - f(x')$. What is missing is the gap. As a share of what should be explained:
#
# $$\text{gap} = \frac{\big| \sum_i \text{IG}_i - (f(x) - f(x')) \big|}{\big| f(x) - f(x') \big|}$$

# %% [markdown]
# ### Exercise 3.9: The gap
#
# *5 points · ●○○ · 5 minutes*
#
# Return the gap of `scores` `(seq,)`, as a share: one number.


# %% nbgrader={"grade_id": "gap", "solution": true}
def gap(scores: torch.Tensor, at_text: torch.Tensor, at_baseline: torch.Tensor) -> torch.Tensor:
    """What the scores miss of f(x) - f(baseline), as a share of it: one number, 0 or more."""
    ### BEGIN SOLUTION
    explained = at_text - at_baseline
    return ((scores.sum() - explained) / explained).abs()
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-gap", "grade": true, "points": 5}
check.gap(gap)
### BEGIN HIDDEN TESTS
check.gap(gap, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The scores may sum to too much or too little, and $f$ may fall on the way; the gap is positive in each case.
#
# </details>

# %% tags=["quoted"]
mean_embedding = model.get_input_embeddings().weight.detach().mean(0).expand_as(x)  # (seq, width)
baselines = {"mean of all tokens": mean_embedding, "zeros": torch.zeros_like(x)}
f = reader(" Mary")
gaps = {name: [] for name in baselines}
for name, start in baselines.items():
    with torch.no_grad():
        at_text, at_start = f(x), f(start)
    print(f"{name}: f(baseline) = {at_start:.2f}, f(text) = {at_text:.2f}")
    for steps in (5, 20, 80):
        share = gap(integrated(f, x, start, steps), at_text, at_start)
        gaps[name].append(float(share))
        print(f"   {steps:>3} steps: gap {share:.1%}")

# %% alt="Lines over the number of steps for two baselines: from the mean of all tokens the completeness gap falls as steps are added, from zeros it rises first; with 80 steps both are at zero."
charts.curves(
    [5, 20, 80],
    gaps,
    title="With enough steps the gap closes, though not step by step",
    label="gap, as a share of what is explained",
    over="steps",
)

# %% [markdown] tags=["quotes"]
# With 80 steps the gap is 0.0% of what is explained, from either baseline. With 20 it is still 3.6% from the mean embedding and 3.5% from zeros. With 5 steps from zeros it happened to be only 1.9%: errors of coarse steps may cancel, so one small gap proves little, and one that stays small when you double the steps proves more. Whether that is good enough depends on how close the scores are that you want to
# tell apart. At the mean of all tokens the logit of *Mary* is -2.88, with zeros -1.77. So what is shared out is not quite the same in the two cases.

# %% [markdown]
# ### Question 3.10: Which baseline?
#
# *5 points · ●●○ · 3 minutes*
#
# Somebody uses the embeddings of *another sentence*, of the same length and with a different answer, as the baseline. What is explained then?
#
# - **a** Nothing: a baseline must be zero.
# - **b** The same as with zeros, since the baseline only speeds up the sum.
# - **c** The difference between the two sentences: words that both share get no score at all.
# - **d** The other sentence.

# %% nbgrader={"grade_id": "answer-baseline", "solution": true}
answer_baseline = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_baseline = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-baseline", "grade": true, "points": 5}
check.baseline(answer_baseline)

# %% [markdown]
# The straight line is a choice too. On it lie embeddings that belong to no word. **Discretised** paths go from word to word instead (Sanyal and Ren, 2021), **sequential** ones move one token and hold the others still (Enguehard, 2023). Whatever the path, it is a list of points, and
# the sum is the same: the gradient at each point times the move to the next.
#
# **By hand.** $f(x) = x^2$, points $0, 1, 3$. At $0$ the gradient is $0$, times the move of $1$: $0$. At $1$ it is $2$, times the move of $2$: $4$. The sum is $4$, and $9$ was to be explained: these steps are too large.

# %% [markdown]
# ### Exercise 3.11: Along points
#
# *5 points · ●●○ · 8 minutes*
#
# `points` is `(point, seq, width)`, from the baseline to the text. Return `(seq,)`.
#
# <details><summary>Hint</summary>
#
# Of the moves there is one less than of points. `points.diff(dim=0)` gives them.
#
# </details>


# %% nbgrader={"grade_id": "along-points", "solution": true}
def along_points(f, points: torch.Tensor) -> torch.Tensor:
    """How much each token adds on a path of points: (seq,)."""
    ### BEGIN SOLUTION
    total = torch.zeros_like(points[0])
    for point, move in zip(points[:-1], points.diff(dim=0)):
        here = point.detach().clone().requires_grad_()
        total += torch.autograd.grad(f(here), here)[0] * move
    return total.sum(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-along-points", "grade": true, "points": 5}
check.along_points(along_points)
### BEGIN HIDDEN TESTS
check.along_points(along_points, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# On many points of a straight line the sum must come close to your `integrated`, and on points that turn corners it must not. The gradient is taken where a move begins; taken where it ends, the example would give $2 \cdot 1 + 6 \cdot 2 = 14$.
#
# </details>

# %% [markdown]
# **SmoothGrad** (Smilkov and others, 2017) is another cure for the single point: add small noise to the embeddings many times and average the gradients. It is your `sensitivity` with a mean over noisy copies before the length. It makes the gradient of the
# neighbourhood, which is less jumpy than that of the point.

# %% [markdown]
# ## 4. Not so fast
#
# Which of them finds the words that decide? Before you run the cell, order them: sensitivity, gradient × input, signed mean, positive rollout, integrated gradients, and a word at random.

# %% tags=["quoted"]
families = list(smallworld.FAMILIES)
sentences = [s for family in families for s in smallworld.sample(family, 10, seed=3)]
start = model.get_input_embeddings().weight.detach().mean(0)


def scores_of(text: str, answer: str) -> dict[str, torch.Tensor]:
    """The scores of all tokens by each method, for the logit of the answer."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    target = tokenizer(answer, add_special_tokens=False)["input_ids"][0]
    x, f = embeddings_of(text), reader(answer)
    with torch.no_grad():
        weights = [layer[0] for layer in model(ids, output_attentions=True).attentions]
    gradients = weight_gradients(model, ids, target)
    return {
        "sensitivity": sensitivity(f, x),
        "gradient x input": gradient_x_input(f, x),
        "signed mean": signed_mean(weights, gradients)[-1],
        "positive rollout": positive_rollout(weights, gradients)[-1],
        "integrated": integrated(f, x, start.expand_as(x), 10),
    }


def interval(values: list[float]) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.tensor(values)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f}   ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


hits: dict[str, list[float]] = {}
for s in gb.progress(sentences, unit="sentences"):
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:-1]
    for name, scores in scores_of(s.prompt, s.answer).items():
        hits.setdefault(name, []).append(float(evidence[scores[1:-1].argmax()]))
    hits.setdefault("a word at random", []).append(float(evidence.float().mean()))
print(
    f"how often the top word (first and last token left out) is evidence, {len(sentences)} sentences, 95 % interval"
)
for name, found in hits.items():
    print(f"{name:<17} {interval(found)}")

# %% [markdown] tags=["quotes"]
# The plainest comes first: the length of the gradient hits the evidence in 0.73 of the sentences. Gradient × input hits in 0.60, the positive rollout in 0.53, the signed mean in 0.46. Integrated gradients, which took the most work and satisfy the most axioms, hit in 0.40. All
# are far above a word at random, with 0.12. Completeness says that scores add up. It does not say that they land on the right words: on the long way from the mean embedding to the text, the model reads vectors that are no words, and its slopes there are added in like any other.

# %% [markdown]
# One of these sentences, with the scores of your own five functions. The words that decide by the grammar have a double line above them. **Try:** switch between the methods, and point at a word to read its score. Which methods put their strongest colour on such a word, and on which words do they disagree even about the sign?

# %%
one = next(s for s in sentences if s.family == "giver_receiver")
gb.views.token_strip(
    [
        shown(one.prompt, scores.detach(), name)
        for name, scores in scores_of(one.prompt, one.answer).items()
    ],
    evidence=one.mask(tokenizer, one.evidence),
    title="Five methods built on gradients, one sentence, and not one opinion",
)


# %% alt="Marks for each sentence family between 0 and 1: how often the top word is evidence, by five gradient methods, with chance."
def by_family(way: str) -> dict[str, float]:
    """The share of hits in each family of sentences."""
    found = {
        family: [hit for hit, s in zip(hits[way], sentences) if s.family == family]
        for family in families
    }
    return {family: sum(found[family]) / len(found[family]) for family in families}


ways = [way for way in hits if way != "a word at random"]
chance = dict(
    sorted(
        by_family("a word at random").items(), key=lambda item: -by_family("integrated")[item[0]]
    )
)
figures.rates(
    {way: by_family(way) for way in ways},
    chance=chance,
    by="sentence family",
    title="No method leads in every family",
    label="share of sentences whose top word is evidence",
)

# %% [markdown]
# The second experiment is about signs. In *John gave a drink to*, the second *John* decides as much as *Mary* does: it says who is **not** to receive. Does a method see it as evidence for *Mary*? Compare the score of the giver's second name over many sentences.

# %% tags=["quoted"]
givers = smallworld.sample("giver_receiver", 200, seed=8)
seen = {"gradient x input": [], "signed mean": []}
for s in gb.progress(givers, unit="sentences"):
    ids = tokenizer(s.prompt, return_tensors="pt")["input_ids"]
    target = tokenizer(s.answer, add_special_tokens=False)["input_ids"][0]
    # the last word of the evidence is the one who gives
    giver = torch.tensor(s.mask(tokenizer, s.evidence)).nonzero()[-1]
    with torch.no_grad():
        weights = [layer[0] for layer in model(ids, output_attentions=True).attentions]
    looks = signed_mean(weights, weight_gradients(model, ids, target))[-1]
    seen["signed mean"].append(float(looks[giver] > 0))
    seen["gradient x input"].append(
        float(gradient_x_input(reader(s.answer), embeddings_of(s.prompt))[giver] > 0)
    )
print(f"how often the giver's second name speaks for the receiver, {len(givers)} sentences")
for name, found in seen.items():
    print(f"{name:<17} {interval(found)}")

# %% [markdown] tags=["quotes"]
# They cannot both be right. Gradient × input says in 0.63 of the sentences that the giver's second name speaks for the receiver; the signed mean says so in 0.03. The first takes the embedding's own direction for the meaning of the word, the second asks what the looks at it are worth. Neither
# asks what the sentence would be with another name there. For that the words have to be changed, which is the idea of the chapter on perturbation. Until then: a sign from a gradient is a statement about a small step, not about the word.

# %% [markdown]
# ### Question 3.12: Two baselines
#
# *10 points · ●●○ · 10 minutes*
#
# A colleague runs integrated gradients on the same sentence with two baselines and gets two different top words. "So the method is useless", she says. Answer in four to six sentences: what a baseline asks, whether both results can be right, how she should choose, and
# what she should report beside the scores. Use at least one number from this chapter.

# %% [markdown] nbgrader={"grade_id": "written-two-baselines", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# Integrated gradients share out $f(x) - f(x')$, so a baseline is half of the question: compared with what? With zeros and with the mean of all tokens the model says different things at the start of the way, so different amounts are shared out, and both results can be right answers to two questions. She should choose the
# baseline that says nothing in the sense that she means: a mean embedding for "compared with no particular word", another sentence for "compared with that one". Beside the scores she should report the baseline, the value there, the number of steps and the completeness gap, since with few steps the scores do not even add up.
# And she should not read the top word as the reason before it was tested: over our held-out sentences the top word of integrated gradients was evidence in 0.40 of them only.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 3: says that the baseline is part of the question, since f(x) - f(baseline) is shared out.
# - 2: says that both can be right, about different questions.
# - 2: a reasoned way to choose.
# - 2: what to report: the baseline, its value, steps, the gap.
# - 1: a number from the chapter, used correctly.

# %% [markdown]
# ## 5. In the wild
#
# captum is the library that most people use for gradients in PyTorch: `Saliency`, `InputXGradient`, `IntegratedGradients`, `NoiseTunnel` for SmoothGrad. Its integrated gradients sum the entries for you only if you ask. inseq wraps it for text, with a baseline of unknown
# tokens unless told otherwise. glassbox has the same computations; it takes Gauss-Legendre points instead of the middles of equal steps, which needs fewer of them, and it warns when the gap is above 5 %.

# %% tags=["quoted"]
theirs = gb.explain(model, tokenizer, PROMPT, method="gradient_x_input", target=" Mary")
yours = gradient_x_input(reader(" Mary"), x)
print(
    f"largest difference between glassbox's gradient x input and yours: {float((theirs.scores - yours).abs().max()):.4f}"
)

# %% [markdown]
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. Your functions need nothing but a function of embeddings.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    real_ids = real_tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    real_x = real_model.get_input_embeddings()(real_ids)[0].detach()
    word = int(real_model(real_ids).logits[0, -1].argmax())
    scores = gradient_x_input(
        lambda x: real_model(inputs_embeds=x[None]).logits[0, -1, word], real_x
    )
    for place in scores.abs().argsort(descending=True)[:5].tolist():
        print(f"{real_tokenizer.decode(real_ids[0, place])!r:>12} {scores[place]:+.2f}")
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 6. Take away
#
# - A gradient knows the target. One backward pass gives it for all tokens, or for all attention weights.
# - It looks at one point. Where a probability has saturated, it sees nothing, so explain logits.
# - Integrated gradients walk the whole way, and completeness tells you whether the steps were small enough.
# - The baseline is half of the question. Report it.
# - A hook on a module sees the gradient of what it gives out, not of the weights inside.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | gradient, gradient × input | how fast would the score move? | one backward pass | a quick look that knows the target | saturation; one point; × input depends on where zero lies |
# | gradient × attention | what are the looks worth? | one backward pass | seeing which heads work for the target | signs cancel; hooks on modules |
# | integrated gradients | what does each token add on the way from the baseline? | tens of backward passes | scores that add up | the baseline; too few steps |
#
# **Further reading**
#
# - Sundararajan, Taly and Yan (2017), *Axiomatic Attribution for Deep Networks*: integrated gradients, and why completeness is asked for.
# - Chefer, Gur and Wolf (2021), *Generic Attention-model Explainability*: the positive rollout, for several kinds of model.
# - Smilkov and others (2017), *SmoothGrad: removing noise by adding noise*: short, with pictures.
# - Sanyal and Ren (2021), *Discretized Integrated Gradients for Explaining Language Models*, and Enguehard (2023), *Sequential Integrated Gradients*: paths made for words.
