# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Faithfulness: which explanation should I believe?"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.judging.faithfulness
#     - glassbox.judging.deletion
#     - glassbox.judging.plausibility
#     - glassbox.judging.sparsity
#     - glassbox.judging.consistency
#     - glassbox.judging.rank_agreement
#     - glassbox.judging.statistics
#     - glassbox.judging.sanity
#     - glassbox.judging.comparison
#     - glassbox.judging.benchmark
#   objectives:
#     - {text: "measure whether the model needs the words of an explanation, and whether they are enough", tested_by: [check-faithful, check-aopc, check-answer-negative, check-answer-compare]}
#     - {text: "hold an explanation against words that are known to decide the answer", tested_by: [check-auroc]}
#     - {text: "compare two explanations without moving their zero and without inventing an order for ties", tested_by: [check-scaled, check-spearman]}
#     - {text: "say how sure a comparison is, with sentences as the cases", tested_by: [check-p-value]}
#     - {text: "test whether an explanation is short, steady, and about the model at all", tested_by: [check-effective-number, check-aligned, check-shuffled, check-answer-sanity]}
#     - {text: "choose a method for a purpose, and defend the choice", tested_by: [written-choose]}
# ---

# %% [markdown]
# # 06 Faithfulness: which explanation should I believe?
#
# By now you have a drawer full of methods. Each answers at once, in colour, and with great confidence. Run the next two cells and see what they say about one and the same answer.

# %%
import math
from dataclasses import replace

import glassbox as gb
import smallworld
import torch
from classroom.checks import faithfulness as check
from glassbox import charts, figures

model, tokenizer = gb.load("smallworld")
PROMPT = "The concert was quite superb despite a weak plot. Overall, the verdict is"
ANSWER = " positive"
METHODS = ["attention", "rollout", "gradient", "gradient_x_input", "lrp", "leave_one_out"]


@torch.no_grad()
def lost_without_each(text: str, answers: list[str], of_model=model) -> torch.Tensor:
    """Leave-one-out by deleting: what the logit of each answer loses without each word, (words, answers)."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"][0]
    numbers = [tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in answers]
    shorter = torch.stack(
        [torch.cat([ids[:place], ids[place + 1 :]]) for place in range(1, len(ids))]
    )
    return of_model(ids[None]).logits[0, -1, numbers] - of_model(shorter).logits[:, -1, numbers]


def explain(text: str, answer: str, method: str, of_model=model) -> torch.Tensor:
    """One score for each word of the text; what the start token got is left out."""
    if method == "leave_one_out":
        return lost_without_each(text, [answer], of_model)[:, 0]
    return gb.explain(of_model, tokenizer, text, method=method, target=answer).scores[1:]


def words_of(text: str) -> list[str]:
    return [tokenizer.decode(number).strip() for number in tokenizer(text)["input_ids"][1:]]


# %% alt="Rows of coloured tokens for six methods on one prompt about a concert. One colours superb most, one the first words, one the last word; hardly two rows are alike."
shown = [gb.explain(model, tokenizer, PROMPT, method=name, target=ANSWER) for name in METHODS]
# words alone
shown = [replace(one, scores=one.scores * (torch.arange(len(one.scores)) > 0)) for one in shown]
figures.token_strip(
    shown, title="Six methods explain one answer, and put five different words first", names=METHODS
)

# %% tags=["quoted"]
words = words_of(PROMPT)
for name in METHODS:
    scores = explain(PROMPT, ANSWER, name)
    top_three = [words[place] for place in scores.argsort(descending=True)[:3]]
    print(f"{name:<17} {', '.join(top_three)}")

# %% [markdown]
# One model, one text, one answer, and six stories about why. They can't all be right. Before you read on, write down which row you believe, and **why**. Most people choose the one that names the words they would have named themselves. Keep your note; we come back to it.
#
# **After this chapter you can**
#
# 1. measure whether the model needs the words of an explanation, and whether they are enough;
# 2. hold an explanation against words that are known to decide the answer;
# 3. compare two explanations without moving their zero and without inventing an order for ties;
# 4. say how sure a comparison is, with sentences as the cases;
# 5. test whether an explanation is short, steady, and about the model at all;
# 6. choose a method for a purpose, and defend the choice.
#
# **You need** chapter 05, for texts with words taken away, and one method from chapters 01 to 04. **Time:** 120 minutes, and more with all the reading: sections 4 to 6 (from exercise 6.8) make a good second sitting. **The new question:** until now a method explained the model. Now we examine the method.

# %% [markdown]
# ## 1. Does the model need these words?
#
# An explanation makes a claim: these words mattered. Then test the claim. Let $p(x)$ be the probability of the answer after the whole text, and $r$ the $k$ words with the largest scores, in their order. (The start token always stays.)
#
# $$\text{comprehensiveness} = p(x) - p(x \text{ without } r) \qquad \text{sufficiency} = p(x) - p(r \text{ alone})$$
#
# Comprehensiveness should be **large**: without the words the answer is lost. Sufficiency should be **small**: with nothing but the words, the answer is still there. (The name misleads, since a low number is good. It comes from the paper, and everybody uses it.)
#
# **By hand.** Three words with scores $0.2, 3, 1$, and $k = 1$, so $r$ is the second word. The whole text gives the answer $0.9$. Without the second word, $0.3$. The second word alone, $0.7$. Comprehensiveness is $0.9 - 0.3 = 0.6$, sufficiency $0.9 - 0.7 = 0.2$.

# %% [markdown]
# ### Exercise 6.1: Needed, and enough
#
# *15 points · ●●○ · 14 minutes*
#
# `f(kept)` gives the probability of the answer when only some words are kept; `kept` has a truth value for each word, `(words,)`. `scores` are `(words,)`. Return two numbers: comprehensiveness and sufficiency of the `k` words with the largest scores.
#
# 1. Find the `k` largest scores. A score counts **with its sign**: a word that speaks against the answer is no reason for it. (Chapter 09 asks which words belong to the story, and ranks by size.) Of equal scores, take the word that comes first.
# 2. If there are fewer than `k` words, take all of them.
# 3. Ask `f` three times, and take differences.
#
# <details><summary>Hint 1</summary>
#
# `argsort(descending=True, stable=True)` keeps equal scores in the order of the text. Without `stable=True` there is no promise.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Make a tensor of truth values `chosen` first. Its opposite is `~chosen`.
#
# </details>


# %% nbgrader={"grade_id": "faithful", "solution": true}
def faithful(f, scores: torch.Tensor, k: int) -> tuple[float, float]:
    """Comprehensiveness and sufficiency of the k words with the largest scores."""
    ### BEGIN SOLUTION
    chosen = torch.zeros(len(scores), dtype=torch.bool)
    chosen[scores.argsort(descending=True, stable=True)[:k]] = True
    whole = f(torch.ones_like(chosen))
    return float(whole - f(~chosen)), float(whole - f(chosen))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-faithful", "grade": true, "points": 15}
check.faithful(faithful)
### BEGIN HIDDEN TESTS
check.faithful(faithful, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# If `k` is the number of words, nothing is left without them and everything is left with them: sufficiency is 0, and comprehensiveness is all that the text brought. If all scores change sign, other words are chosen; a function that takes sizes alone would not notice.
#
# </details>

# %% [markdown]
# Some code divides both by $p(x)$, to make texts comparable. Think of a text where the model gives the answer $0.000001$, and $0.0001$ without the top word. The difference is $-0.0001$: nothing to speak of. The ratio is $(0.000001 - 0.0001) / 0.000001 = -99$. A mean over 200 sentences with one such number in it is a number about that one sentence. We stay with differences.

# %% [markdown]
# ### Question 6.2: Below zero
#
# *5 points · ●○○ · 3 minutes*
#
# The sufficiency of an explanation's three top words is $-0.2$. What has happened?
#
# - **a** A mistake: probabilities can't be negative.
# - **b** The three words speak against the answer.
# - **c** With the three words alone the model is surer of the answer than with the whole text.
# - **d** The three words are not enough for the answer.

# %% nbgrader={"grade_id": "answer-negative", "solution": true}
answer_negative = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_negative = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-negative", "grade": true, "points": 5}
check.negative(answer_negative)

# %% [markdown]
# How many words should be taken? Nobody knows, so take several numbers. **AOPC** (the area over the perturbation curve) is the mean over shares of the text: 1, 5, 10, 20 and 50 % of its words.
#
# A share of a short text is seldom a whole number. We round to the nearest, halves **up**, and take at least one word.
#
# **By hand.** Five words: 1 % is $0.05$, so at least one: 1. Then $0.25 \to 1$, $0.5 \to 1$, $1 \to 1$, and 50 % is $2.5 \to 3$. If removing one word costs $0.6$ and removing three costs $0.8$, the AOPC of comprehensiveness is $(4 \cdot 0.6 + 0.8) / 5 = 0.64$. In a short text, the first word counts four times out of five.

# %% [markdown]
# ### Exercise 6.3: The mean over shares
#
# *10 points · ●●○ · 10 minutes*
#
# Return two numbers, the AOPC of comprehensiveness and of sufficiency. Use your `faithful`.
#
# <details><summary>Hint</summary>
#
# Python rounds halves to the **even** neighbour: `round(2.5)` is 2. `math.floor(x + 0.5)` rounds them up.
#
# </details>

# %% nbgrader={"grade_id": "aopc", "solution": true}
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


def aopc(f, scores: torch.Tensor) -> tuple[float, float]:
    """Comprehensiveness and sufficiency, each the mean over the shares."""
    ### BEGIN SOLUTION
    sizes = [max(1, math.floor(share * len(scores) + 0.5)) for share in SHARES]
    both = torch.tensor([faithful(f, scores, size) for size in sizes]).mean(dim=0)
    return float(both[0]), float(both[1])
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-aopc", "grade": true, "points": 10}
check.aopc(aopc)
### BEGIN HIDDEN TESTS
check.aopc(aopc, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Each share counts once, also where several come to the same number of words. Texts of 5, 8 and 25 words tell apart the ways of rounding.
#
# </details>

# %% [markdown]
# Now the model. The text is a game, as in chapter 05: words are deleted, the start token stays. Many variants go through the model in one batch, and what was asked once is remembered. You need not read the cell: it does what `f` did in chapter 05, faster.


# %%
class Game:
    """A text as a game of its words: game(kept) is the probability of the answer when only these words are kept."""

    def __init__(
        self, text: str, answer: str | int, of_model=model, of_tokenizer=tokenizer, special: int = 1
    ):
        self.model, self.special = of_model, special
        self.ids = of_tokenizer(text, return_tensors="pt")["input_ids"][0]
        number = (
            answer
            if isinstance(answer, int)
            else of_tokenizer(answer, add_special_tokens=False)["input_ids"][0]
        )
        self.answer = number
        self.words, self.known = len(self.ids) - special, {}

    def __call__(self, kept: torch.Tensor) -> float:
        self.ask(kept[None])
        return self.known[tuple(kept.tolist())]

    @torch.no_grad()
    def ask(self, kept: torch.Tensor) -> None:
        """Ask about many variants at once, kept (variants, words), and remember the answers."""
        new = sorted({tuple(row) for row in kept.tolist()} - set(self.known), key=sum)
        start, rest = self.ids[: self.special], self.ids[self.special :]
        # short texts apart from long ones, to pad less
        for some in (new[: len(new) // 2], new[len(new) // 2 :]):
            if not some:
                continue
            texts = [torch.cat([start, rest[torch.tensor(row)]]) for row in some]
            # no word can look at what comes after it
            batch = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
            last = torch.tensor([len(text) - 1 for text in texts])
            chances = (
                self.model(batch).logits[torch.arange(len(texts)), last].softmax(-1)[:, self.answer]
            )
            self.known |= dict(zip(some, chances.tolist()))


# %% tags=["quoted"]
game = Game(PROMPT, ANSWER)
print(f"the whole text: {game(torch.ones(game.words, dtype=torch.bool)):.2f}")
print(f"{'':<17} k = 1: needed  enough   AOPC: needed  enough")
for name in METHODS:
    scores = explain(PROMPT, ANSWER, name)
    (needed, enough), (mean_needed, mean_enough) = faithful(game, scores, 1), aopc(game, scores)
    print(f"{name:<17} {needed:>13.2f} {enough:>7.2f} {mean_needed:>14.2f} {mean_enough:>7.2f}")

# %% [markdown] tags=["quotes"]
# With $k = 1$ leave-one-out stands alone: without its top word, *is*, the probability falls by 1.00, which is all of it. For every other method the loss is 0.00. And no single word is enough: sufficiency is 1.00 for each. Over the shares the order becomes clearer. Leave-one-out stays at 1.00, gradient × input and LRP come to 0.60, attention and rollout to 0.20.
#
# So leave-one-out wins. Its top word is *is*. Do you believe that the verdict is positive because of *is*?

# %% [markdown]
# ### Question 6.4: Two reports
#
# *5 points · ●●○ · 3 minutes*
#
# One paper replaces words by `[MASK]` and reports a comprehensiveness of $0.25$ for its method. Another deletes words and reports $0.10$ for its own. Which method is better?
#
# - **a** The first: it is larger.
# - **b** The second, since deleting is the stricter test.
# - **c** You can't say: they asked different questions of the model, and neither reports what random scores get.
# - **d** They are about equal, because masking inflates the numbers by a constant.

# %% nbgrader={"grade_id": "answer-compare", "solution": true}
answer_compare = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_compare = "c"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-compare", "grade": true, "points": 5}
check.compare(answer_compare)

# %% [markdown]
# ## 2. Does it point at the truth?
#
# Faithfulness asks the model. **Plausibility** asks somebody who knows: which words should have decided? For most texts nobody knows, and people are paid to guess. In the small world the grammar knows: it marks the *evidence*, and we take its word for the truth. (The capstone finds a kind of review where the model goes by other words.)
#
# How far up are the words of the evidence? Take every pair of one word of the evidence and one other word. How often does the evidence have the larger score? A tie counts one half. This share is called **AUROC**. Chance is $0.5$.
#
# **By hand.** Scores $5, 2, 2, 1$; the first and the third are evidence. Four pairs: $5 > 2$ and $5 > 1$ count 1 each, $2$ against $2$ counts $0.5$, and $2 > 1$ counts 1. AUROC is $3.5 / 4 = 0.875$.

# %% [markdown]
# ### Exercise 6.5: AUROC
#
# *10 points · ●●○ · 10 minutes*
#
# `scores` are `(words,)`, `evidence` truth values `(words,)`; some words are evidence, and some are not. Return the number.
#
# <details><summary>Hint</summary>
#
# `a[:, None] - b[None, :]` has the difference of every pair. The `sign` of a difference is 1, 0 or -1.
#
# </details>


# %% nbgrader={"grade_id": "auroc", "solution": true}
def auroc(scores: torch.Tensor, evidence: torch.Tensor) -> float:
    """How often a word of the evidence has a larger score than another word; a tie counts one half."""
    ### BEGIN SOLUTION
    gaps = scores[evidence][:, None] - scores[~evidence][None, :]  # (evidence, others)
    return float((gaps.sign() + 1).mean() / 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-auroc", "grade": true, "points": 10}
check.auroc(auroc)
### BEGIN HIDDEN TESTS
check.auroc(auroc, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Scores that are all alike get exactly one half, and so they should: they say nothing. With the signs turned, AUROC becomes one minus itself. Only the order counts, so doubling all scores changes nothing.
#
# </details>

# %% [markdown]
# Three relatives are in use. The **top-1 hit** asks only whether the largest score is at a word of the evidence. **Average precision** goes down the list and averages how pure its top is. **Token F1** takes as many top words as the evidence has and counts how many are right. They need a chance level beside them, and it differs
# from text to text: with two of ten words as evidence, a random word hits in one of five.
#
# Now the great comparison: six methods and two that know nothing, on 209 sentences that the model never saw. (Integrated gradients, LIME and Shapley values ask the model so often that they would take minutes here. Your functions work on them too.) *Random* draws scores. *Last word first* ranks the words from the end of the text to its start, without asking any model. **Guess first:** which methods will the model "need" most, and which will find the evidence? Write down one name for each. The next three cells take a while, together up to a minute and on a busy machine more.


# %%
def top_hit(scores: torch.Tensor, evidence: torch.Tensor) -> float:
    return float(evidence[scores.argmax()])


# the longest texts take longest
families = [family for family in smallworld.FAMILIES if family not in ("stories", "repeats")]
sentences = [s for family in families for s in smallworld.sample(family, 11, seed=6)]
evidence = [torch.tensor(s.mask(tokenizer, s.evidence))[1:] for s in sentences]
explained = {
    name: [explain(s.prompt, s.answer, name) for s in gb.progress(sentences, unit="sentences")]
    for name in METHODS[:4]
}

# %%
explained["lrp"] = [
    explain(s.prompt, s.answer, "lrp") for s in gb.progress(sentences, unit="sentences")
]
rivals = [
    next((change.answer for change in s.counterfactuals if change.answer not in s.accepted), None)
    for s in sentences
]
lost_words = [
    lost_without_each(s.prompt, [s.answer, rival or s.answer])
    for s, rival in zip(gb.progress(sentences, unit="sentences"), rivals)
]
# the other column is for section 6
explained["leave_one_out"] = [lost_word[:, 0] for lost_word in lost_words]
draw = torch.Generator().manual_seed(0)
explained["random"] = [torch.rand(len(mask), generator=draw) for mask in evidence]
explained["last word first"] = [torch.arange(len(mask)).float() for mask in evidence]


# %%
def note(kept: torch.Tensor) -> float:
    """Stands in for the game: only notes what aopc will ask, so that the model can answer all at once."""
    asked.append(kept)
    return 0.0


measured = {name: {"needed": [], "enough": [], "auroc": [], "hit": []} for name in explained}
# what is lost without the top word of random scores, and without half of all
random_words = {"one": [], "half": []}
for number, s in enumerate(gb.progress(sentences, unit="sentences")):
    game, asked = Game(s.prompt, s.answer), []
    for scores in explained.values():
        aopc(note, scores[number])
    game.ask(torch.stack(asked))
    for name, found in measured.items():
        scores = explained[name][number]
        needed, enough = aopc(game, scores)
        found["needed"].append(needed)
        found["enough"].append(enough)
        found["auroc"].append(auroc(scores, evidence[number]))
        found["hit"].append(top_hit(scores, evidence[number]))
    for size, found in ((1, random_words["one"]), ((game.words + 1) // 2, random_words["half"])):
        found.append(faithful(game, explained["random"][number], size)[0])


def interval(values) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.tensor(values, dtype=torch.float64)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    low, high = numbers[draws].mean(-1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return f"{numbers.mean():.2f} ({low:.2f} to {high:.2f})"


# %% tags=["quoted"]
print(f"{len(sentences)} sentences; AOPC, and how often the top word is evidence")
print(f"{'':<17} {'comprehensiveness':<21} {'sufficiency':<21} {'top-1 hit':<21} AUROC")
for name, found in measured.items():
    print(
        f"{name:<17} "
        + " ".join(f"{interval(found[part]):<21}" for part in ("needed", "enough", "hit"))
        + f" {interval(found['auroc'])}"
    )

# %% alt="For each method a mark for its comprehensiveness and one for how often its top word is evidence. Leave-one-out and last word first are at the top of the one and at the bottom of the other."
mean = {
    part: {name: sum(found[part]) / len(sentences) for name, found in measured.items()}
    for part in ("needed", "hit")
}
chance = sum(float(mask.float().mean()) for mask in evidence) / len(sentences)
figures.rates(
    {"the model needs its words (AOPC)": mean["needed"], "its top word is evidence": mean["hit"]},
    title="The two leaderboards do not agree",
    label="mean over 209 sentences; the ticks are the chance of a hit",
    chance=dict.fromkeys(sorted(measured, key=mean["needed"].get, reverse=True), chance),
    by="method",
)

# %% [markdown] tags=["quotes"]
# The words of leave-one-out are the most needed: 0.95. And its top word is evidence in 0.02 of the sentences, far less often than that of random scores, with 0.13. Beside it stands *last word first* with 0.95, which never asked any model, and which never hits: 0.00. The words of the gradient are needed less, 0.83, and it hits in 0.71 of the sentences. LRP stands high on both boards, with 0.89 and 0.47. Rollout is at the bottom of both: the model needs its words no more than random ones, 0.34 against 0.39, and they are evidence in 0.01.
#
# One number alone would have misled you here too. The AUROC of leave-one-out is 0.78, far above chance: the evidence stands high in its list, just below the words of the question. With gradient × input it is the other way round. It hits in 0.38, and its AUROC is 0.55, hardly above chance: in other sentences it puts the evidence far down, as it did with *superb* at the top of this chapter.
#
# Sufficiency lies between 0.71 and 0.92 for all. A handful of words is no question, whichever words they are.

# %% [markdown]
# ## 3. Do they agree?
#
# Perhaps you can do without a judge: if many methods say the same, it might be true. To compare two explanations they have to be brought to one scale. Here is code that you will meet often:
#
# ```python
# def scaled(scores):
#     return (scores - scores.min()) / (scores.max() - scores.min())      # now from 0 to 1
# ```
#
# The symptom: of the scores $2, 0, -2$ it makes $1, 0.5, 0$. A word that did nothing is shown half coloured, and the word that spoke **against** the answer looks as if it did nothing. And for a method that gives each word the same score, the picture is empty.

# %% [markdown]
# ### Exercise 6.6: Find the bug
#
# *5 points · ●○○ · 6 minutes*
#
# Mend it. The largest size should become 1, zero should stay zero, and a sign should stay a sign. Scores that are all zero stay all zero.
#
# <details><summary>Hint</summary>
#
# Zero stays zero if you only multiply or divide. By what, so that the largest size becomes 1?
#
# </details>


# %% nbgrader={"grade_id": "scaled", "solution": true}
def scaled(scores: torch.Tensor) -> torch.Tensor:
    """The scores from -1 to 1, with zero where it was: (words,)."""
    ### BEGIN SOLUTION
    largest = scores.abs().max()
    return scores / largest if largest > 0 else scores
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-scaled", "grade": true, "points": 5}
check.scaled(scaled)
### BEGIN HIDDEN TESTS
check.scaled(scaled, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Multiply all scores by a positive number, and the result is the same. Turn all signs, and the result's signs turn too. Shifting the scores by a constant **does** change the result: zero means something in an attribution.
#
# </details>

# %% [markdown]
# Even so, a gradient's 1 is not an attention's 1. What can be compared without a common unit is the **order**. Replace each score by its rank, and take the correlation of the ranks. That is **Spearman's** $\rho$: 1 for the same order, $-1$ for the opposite one.
#
# Equal scores share the **mean of their ranks**. Otherwise the sorting routine would invent an order for them, mostly that of the text, and two methods with many zeros would agree for no other reason.
#
# **By hand.** $a = 3, 1, 1, 0$ has the ranks $4, 2.5, 2.5, 1$; $b = 10, 2, 1, 0$ has $4, 3, 2, 1$. Less their mean, $2.5$: $1.5, 0, 0, -1.5$ and $1.5, 0.5, -0.5, -1.5$. The products sum to $4.5$, the squares to $4.5$ and $5$, so $\rho = 4.5 / \sqrt{4.5 \cdot 5} = 0.949$.

# %% [markdown]
# ### Exercise 6.7: Spearman's rank correlation
#
# *10 points · ●●○ · 12 minutes*
#
# `first` and `second` are `(words,)`, neither of them constant. Return the number, with mean ranks for ties. No library for it, please.
#
# <details><summary>Hint 1</summary>
#
# A score's rank is `smaller + (equal + 1) / 2`: how many scores are smaller, and how many are equal, itself among them.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x[None, :] < x[:, None]` compares each with each.
#
# </details>


# %% nbgrader={"grade_id": "spearman", "solution": true}
def spearman(first: torch.Tensor, second: torch.Tensor) -> float:
    """The correlation of the ranks, from -1 to 1."""

    ### BEGIN SOLUTION
    def centred_ranks(scores: torch.Tensor) -> torch.Tensor:
        smaller = (scores[None, :] < scores[:, None]).sum(dim=1)
        equal = (scores[None, :] == scores[:, None]).sum(dim=1)
        ranks = smaller + (equal + 1).double() / 2
        return ranks - ranks.mean()

    a, b = centred_ranks(first), centred_ranks(second)
    return float((a @ b) / ((a @ a) * (b @ b)).sqrt())
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-spearman", "grade": true, "points": 10}
check.spearman(spearman)
### BEGIN HIDDEN TESTS
check.spearman(spearman, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The ranks of $1, 10, 100$ and of $1, 2, 3$ are the same, so a correlation of the scores themselves gives another number. The short formula $1 - 6 \sum d^2 / (n (n^2 - 1))$ from many textbooks holds without ties only; the check has ties.
#
# </details>

# %% tags=["quoted"]
names = [*METHODS, "random", "last word first"]
agreement = {
    (a, b): [spearman(*pair) for pair in zip(explained[a], explained[b])]
    for a in names
    for b in names
    if a < b
}
for a, b in (
    ("gradient", "lrp"),
    ("lrp", "leave_one_out"),
    ("attention", "rollout"),
    ("gradient", "gradient_x_input"),
    ("attention", "random"),
):
    print(f"{a:>16} and {b:<14} {interval(agreement[min(a, b), max(a, b)])}")
methods_only = [
    value
    for (a, b), values in agreement.items()
    if a in METHODS and b in METHODS
    for value in values
]
print(f"all pairs of the six methods: {sum(methods_only) / len(methods_only):.2f} on average")
print(
    f"leave_one_out and last word first: {interval(agreement['last word first', 'leave_one_out'])}"
)
draw = torch.Generator().manual_seed(2)
chances = [
    abs(spearman(torch.randn(10, generator=draw), torch.randn(10, generator=draw))) >= 0.5
    for _ in range(1000)
]
print(
    f"two lists of ten random numbers: ρ is 0.5 or more, up or down, in {sum(chances) / len(chances):.0%} of 1000 tries"
)

# %% alt="A square of numbers: the mean rank correlation of each pair of methods. Gradient, LRP and leave-one-out agree to more than a half; most other pairs are below a third. Rollout goes against last word first."
square = [
    [1.0 if a == b else sum(agreement[min(a, b), max(a, b)]) / len(sentences) for b in names]
    for a in names
]
charts.agreement(
    torch.tensor(square).numpy(),
    names,
    title="Most pairs of methods hardly agree",
    label="Spearman's ρ, mean over 209 sentences",
)

# %% [markdown] tags=["quotes"]
# Two of the six methods agree at 0.29 on average. Leave-one-out, LRP and gradient form a small club: 0.63 between LRP and leave-one-out, 0.55 between gradient and LRP (the third pair is in the figure). Does that speak for the three? Look who else is near. Leave-one-out agrees with *last word first* at 0.32, and the gradient is closer to *last word first* than to attention. Part of the agreement may come from the place in the
# text alone. Agreement is not truth: two methods can make one mistake.
#
# And beware of a single sentence. Ten random numbers against ten others give a $\rho$ of a half or more, up or down, in 13% of 1000 tries. The means above are over 209 sentences, and their intervals are narrow. (Sentences of one family share their templates, so they are not as independent as we pretend, and the intervals are somewhat too narrow even so.)

# %% [markdown]
# ## 4. How sure is that?
#
# A sentence has ten or twenty words, and you have just seen what chance alone can do with ten. One sentence proves nothing. So people take many sentences and throw all their words into one pot. Two hundred sentences of fifteen words are three thousand words, and with three
# thousand cases everything is significant.
#
# But the words of a sentence are **no independent cases**. They share their topic, their length, and the model's mood. If a method does well on one word of a sentence, it mostly does well on the next. Here is code that forgets it. `first` and `second` hold what two methods got at each word, one tensor for each sentence; the question is whether they differ.
#
# ```python
# def p_value(first, second, draws=4000, seed=0):
#     differences = torch.cat(first) - torch.cat(second)                  # every word of every sentence
#     coins = torch.randint(2, (draws, len(differences)), generator=torch.Generator().manual_seed(seed)) * 2 - 1
#     by_chance = (coins * differences).mean(dim=1)
#     return float((by_chance.abs() >= differences.mean().abs()).float().mean())
# ```
#
# The idea is good and is called a **permutation test**: if the methods were alike, each difference could as well have had the other sign. So toss a coin for each, and see how often chance alone makes a difference as large as the one observed. The symptom: two methods that are alike are told apart with $p < 0.05$ far more often than in one experiment of twenty; below you will see how often. Also, it says $p = 0$ at times,
# and that can't be: the observed signs are one of the possible draws.
#
# **By hand, the right way.** Three sentences. The mean differences **in** them are $3, 1, 2$, so the mean is 2. There are eight ways to set three signs. Only two of them, all plus and all minus, give a mean of at least 2 in size. So $p = 2/8$, and with three sentences no $p$ can be smaller.

# %% [markdown]
# ### Exercise 6.8: Find the bug
#
# *10 points · ●●● · 14 minutes*
#
# Mend it. `first` and `second` are lists of tensors, `(words,)` of each sentence.
#
# 1. Make one number of each sentence: its mean difference. A long sentence counts as much as a short one.
# 2. Toss one coin for each **sentence**.
# 3. Count the draws whose mean is at least as large as the observed one, in size. (Compute in `double`, and allow for rounding: compare with the observed size less $10^{-9}$.)
# 4. Return (that number + 1) / (draws + 1): the observed signs are one more draw.
#
# <details><summary>Hint</summary>
#
# The code above is fine once `differences` has one entry for each sentence. Then mend the last two lines: one averages, one counts.
#
# </details>


# %% nbgrader={"grade_id": "p-value", "solution": true}
def p_value(
    first: list[torch.Tensor], second: list[torch.Tensor], draws: int = 4000, seed: int = 0
) -> float:
    """How often chance alone makes the methods differ as much, on average over the sentences."""
    ### BEGIN SOLUTION
    by_sentence = torch.stack([(a - b).double().mean() for a, b in zip(first, second)])
    heads = torch.randint(
        2, (draws, len(by_sentence)), generator=torch.Generator().manual_seed(seed)
    ).double()
    means = ((2 * heads - 1) * by_sentence).mean(dim=1)
    as_large = means.abs() >= by_sentence.mean().abs() - 1e-9
    return (int(as_large.sum()) + 1) / (draws + 1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-p-value", "grade": true, "points": 10}
check.p_value(p_value)
### BEGIN HIDDEN TESTS
check.p_value(p_value, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Write every word of each sentence down ten times, and you have learned nothing new: the p-value must not change. The check does that. It also goes through **all** signs of nine sentences, which gives the exact value; your draws come close to it.
#
# </details>

# %% [markdown]
# Now two "methods" that differ by nothing but luck, again and again. Each sentence shares a draw of luck among its words. How often does a test cry "different"? At a level of 0.05 it should do so in one of twenty.


# %% tags=["quoted"]
def pooled(first: list[torch.Tensor], second: list[torch.Tensor], draws: int = 400) -> float:
    """The test as it was: a coin for each word."""
    every_word = torch.cat(first) - torch.cat(second)
    return p_value([one[None] for one in every_word], [torch.zeros(1)] * len(every_word), draws)


draw = torch.Generator().manual_seed(3)
alarms = {"a coin for each word": [], "a coin for each sentence": []}
for _ in range(200):
    # 20 sentences, 12 words
    luck = [torch.randn(1, generator=draw) + torch.randn(12, generator=draw) for _ in range(20)]
    nothing = [torch.zeros(12)] * 20
    alarms["a coin for each word"].append(float(pooled(luck, nothing) < 0.05))
    alarms["a coin for each sentence"].append(float(p_value(luck, nothing, 400) < 0.05))
for name, found in alarms.items():
    print(f"{name:<25} cries 'different' in {sum(found) / len(found):.0%} of 200 experiments")


# %% tags=["quoted"]
def columns(name: str, part: str) -> list[torch.Tensor]:
    return [torch.tensor([value]) for value in measured[name][part]]


def mean_of(name: str, part: str) -> float:
    return sum(measured[name][part]) / len(sentences)


for part, a, b in (
    ("hit", "gradient", "lrp"),
    ("hit", "gradient", "leave_one_out"),
    ("needed", "leave_one_out", "last word first"),
    ("needed", "rollout", "random"),
):
    p = p_value(columns(a, part), columns(b, part))
    print(
        f"{part:<7} {a} {mean_of(a, part):.2f}, {b} {mean_of(b, part):.2f}: p {f'= {p:.2f}' if p >= 0.01 else 'below 0.01'}"
    )

# %% [markdown] tags=["quotes"]
# With a coin for each word the test cries "different" in 46% of the experiments in which there is no difference. With a coin for each sentence it does so in 6%, close to the one in twenty that it promises.
#
# Now read the real comparisons. Gradient and leave-one-out differ clearly in their hits. Leave-one-out and *last word first* both stand at 0.95, and yet $p$ is 0.02: a tiny difference, but a regular one. A small $p$ says that there **is** a difference, not that it matters. And four comparisons were made here: whoever makes four has to ask for a quarter of the level in each, and then this one does not count. Always look at the size as well. Between rollout and random scores, 0.34 and 0.39, $p$ is 0.10: chance alone can do that.

# %% [markdown]
# ## 5. Short, steady, and about the model?
#
# **Short.** An explanation that spreads over all words explains little. Take each word's share of the whole, $p_i = |a_i| / \sum_j |a_j|$, and its entropy $H = -\sum_i p_i \ln p_i$. Then $e^H$ is the **effective number** of words: as many words sharing alike would have the same entropy.
#
# **By hand.** Scores $2, -2, 0, 0$: shares $0.5, 0.5, 0, 0$, so $H = \ln 2$ and the effective number is 2. (A share of zero adds nothing, since $p \ln p \to 0$.) Four equal scores: 4.

# %% [markdown]
# ### Exercise 6.9: The effective number of words
#
# *5 points · ●○○ · 6 minutes*
#
# `scores` are `(words,)`, not all zero. Return a number from 1 to the number of words.
#
# <details><summary>Hint</summary>
#
# `torch.special.entr(p)` is $-p \ln p$, and 0 where $p = 0$.
#
# </details>


# %% nbgrader={"grade_id": "effective-number", "solution": true}
def effective_number(scores: torch.Tensor) -> float:
    """On how many words the explanation rests, from 1 to all of them."""
    ### BEGIN SOLUTION
    sizes = scores.abs()
    return float(torch.special.entr(sizes / sizes.sum()).sum().exp())
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-effective-number", "grade": true, "points": 5}
check.effective_number(effective_number)
### BEGIN HIDDEN TESTS
check.effective_number(effective_number, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# One word that holds everything gives 1, and $n$ words that share alike give $n$. Signs and units play no part.
#
# </details>

# %% [markdown]
# **Steady.** Say the same thing in other words, and the reasons should be the same. Texts of different length can't be compared place by place: words have to be **aligned**. The first *the* of one text belongs to the first *the* of the other, the second to the second. Words that only one text has are left out.
#
# **By hand.** *the city of the tower* with $1, 2, 3, 4, 5$, and *near the tower the city* with $6, 7, 8, 9, 10$. The pairs, in the order of the first text: *the* $(1, 7)$, *city* $(2, 10)$, *the* again $(4, 9)$, *tower* $(5, 8)$. *of* and *near* have no partner.

# %% [markdown]
# ### Exercise 6.10: Align the words
#
# *5 points · ●●○ · 10 minutes*
#
# `first_words` and `second_words` are lists of strings, `first` and `second` their scores. They share at least one word. Return the pairs of scores of the shared words, `(shared, 2)`, in the order of the first text.
#
# <details><summary>Hint</summary>
#
# Give each word its number among its likes: `("the", 0)`, `("city", 0)`, `("the", 1)`. Such pairs can be the keys of a dictionary.
#
# </details>


# %% nbgrader={"grade_id": "aligned", "solution": true}
def aligned(
    first_words: list[str], first: torch.Tensor, second_words: list[str], second: torch.Tensor
) -> torch.Tensor:
    """The scores of the words that both texts have, side by side: (shared, 2)."""

    ### BEGIN SOLUTION
    def numbered(words: list[str]) -> list[tuple[str, int]]:
        return [(word, words[:place].count(word)) for place, word in enumerate(words)]

    theirs = dict(zip(numbered(second_words), second.tolist()))
    ours = zip(numbered(first_words), first.tolist())
    return torch.tensor([(score, theirs[key]) for key, score in ours if key in theirs])
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-aligned", "grade": true, "points": 5}
check.aligned(aligned)
### BEGIN HIDDEN TESTS
check.aligned(aligned, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A text aligned with itself pairs each score with itself. With the two texts swapped, the same pairs come out, turned round, in the order of the other text.
#
# </details>

# %%
pairs = []  # two sentences of a family with the same evidence and the same answer, said in different words
for family in ("landmark_city", "landmark_country", "country_capital", "city_country"):
    by_content = {}
    for s in smallworld.sample(family, 60, seed=7):
        by_content.setdefault((s.answer, *s.words(s.evidence)), []).append(s)
    several = [group[:2] for group in by_content.values() if len(group) > 1]
    pairs += [
        (one, other)
        for one, other in several
        if len(set(words_of(one.prompt)) & set(words_of(other.prompt))) > 3
    ][:5]
steady = {name: [] for name in METHODS}
for one, other in gb.progress(pairs, unit="pairs"):
    for name in METHODS:
        both = aligned(
            words_of(one.prompt),
            explain(one.prompt, one.answer, name),
            words_of(other.prompt),
            explain(other.prompt, other.answer, name),
        )
        steady[name].append(spearman(*both.T))

# %% [markdown]
# **About the model?** The hardest question has the simplest test (Adebayo and others, 2018). Destroy what the model has learned, and explain again. If the explanation stays as it was, it was never about what the model learned. It was about the text, the places, or the architecture.
#
# To destroy a model's knowledge without making its activations blow up, let the entries of each weight tensor **change places**.
#
# **By hand.** A matrix with the rows $(1, 2), (3, 4)$ may become $(4, 1), (2, 3)$: the same four numbers, the same shape, nothing of the meaning.

# %% [markdown]
# ### Exercise 6.11: Shuffle the weights
#
# *5 points · ●●○ · 8 minutes*
#
# `weights` is a dictionary from a name to a tensor of any shape. Return a dictionary with the same names, in which the tensors whose names **begin with** `part` are shuffled over all of their entries, and the others are as they were. Don't change what you were given.
#
# <details><summary>Hint</summary>
#
# `torch.randperm(n, generator=...)` is a random order of n things. Flatten the tensor, put it in that order, and give it its shape back.
#
# </details>


# %% nbgrader={"grade_id": "shuffled", "solution": true}
def shuffled(weights: dict[str, torch.Tensor], part: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """The weights, those whose names begin with `part` with all entries in a random order."""
    ### BEGIN SOLUTION
    random = torch.Generator()
    random.manual_seed(seed)
    after = dict(weights)
    for name, tensor in weights.items():
        if name.startswith(part):
            order = torch.randperm(tensor.numel(), generator=random)
            after[name] = tensor.flatten()[order].view_as(tensor)
    return after
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-shuffled", "grade": true, "points": 5}
check.shuffled(shuffled)
### BEGIN HIDDEN TESTS
check.shuffled(shuffled, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Sorted, a shuffled tensor is the same as before; unsorted it is not. If only its rows had changed places, each row would still be whole, and a row of an embedding is a word.
#
# </details>

# %% [markdown]
# We shuffle all layers; the embeddings stay. **Guess:** which of the six methods will hardly notice?

# %%
from copy import deepcopy

learned = {name: tensor.clone() for name, tensor in model.state_dict().items()}
destroyed = deepcopy(model)
destroyed.load_state_dict(shuffled(learned, "transformer.h."))
left = {name: [] for name in METHODS}
for number, s in gb.progress(list(enumerate(sentences))[::7], unit="sentences"):
    for name in METHODS:
        left[name].append(
            spearman(explained[name][number], explain(s.prompt, s.answer, name, destroyed))
        )

# %% tags=["quoted"]
print(
    f"share of the words: {len(sentences)} sentences; paraphrases: {len(pairs)} pairs; all layers shuffled: {len(left['lrp'])} sentences"
)
print(f"{'':<17} {'share of words':<21} {'paraphrase ρ':<21} ρ after shuffling")
for name in METHODS:
    spread = [effective_number(scores) / len(scores) for scores in explained[name]]
    print(f"{name:<17} {interval(spread):<21} {interval(steady[name]):<21} {interval(left[name])}")

# %% alt="Bars for six methods: the rank correlation between the explanations before and after all layers were shuffled."
after_all = torch.tensor([sum(left[name]) / len(left[name]) for name in METHODS])
charts.bars(
    METHODS,
    after_all,
    label="Spearman's ρ with the explanation of the trained model",
    names_are="method",
    title="Rollout hardly notices that all layers were shuffled",
)

# %% [markdown] tags=["quotes"]
# Rollout keeps 0.71 of its order when all that the layers learned is destroyed. The chapter on rollout showed why: most of its picture is the causal mask and the identity that stands for the residual stream. The gradient keeps 0.37, which is more than nothing: it still sees the places and the embeddings, which were not shuffled. The others fall to about zero, as they should, attention a little below it.
#
# Now the paraphrases. LRP is the steadiest, 0.86, and gradient × input the least steady, 0.22: the same fact, said in other words, gets other reasons. But rollout is steady too, 0.68, and it is easy to be steady for a method that hardly looks. In the same way, random scores pass the test of shuffling without effort. **Each test is passed by somebody useless. Only together do they say something.**
#
# Leave-one-out and LRP rest on 0.39 and 0.41 of the words, rollout on 0.82. The columns of the paraphrases and of the shuffling are from 20 pairs and 30 sentences, so read their intervals, not their second digits.

# %% [markdown]
# ### Question 6.12: Nothing changed
#
# *5 points · ●●○ · 3 minutes*
#
# An explanation marks just the words that a reader would mark. You shuffle all weights of the model and explain again. It marks the same words. What follows?
#
# - **a** The method is robust, which is good.
# - **b** The explanation does not depend on what the model learned, so it can't be evidence of what the model learned.
# - **c** The model's weights don't matter for its answers.
# - **d** The words are right, so it is no problem.

# %% nbgrader={"grade_id": "answer-sanity", "solution": true}
answer_sanity = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_sanity = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-sanity", "grade": true, "points": 5}
check.sanity(answer_sanity)

# %% [markdown]
# ## 6. Not so fast
#
# Look at the leaderboard once more. *Last word first* never asked the model anything. It is no explanation at all, and yet its comprehensiveness is among the best. Why?
#
# Because the measure shares a weakness with leave-one-out. Take the last word away, and the text no longer asks for a city, a verdict or a verb, so the probability of the answer falls to nothing, whatever the reason for the answer was. A high comprehensiveness says "the answer needs this word". It doesn't say "this word is why it is **this** answer".
#
# And the measure leaves the ground that the model knows. How much of a comprehensiveness is about the words that went, and how much about the ruin that is left? Take away a single word, drawn from those that are **neither evidence nor the last**. **Guess:** how much of the probability is lost? Compare with what random scores got on the leaderboard.

# %% tags=["quoted"]
draw = torch.Generator().manual_seed(5)
lost = []
for s, mask in zip(sentences, evidence):
    ids = tokenizer(s.prompt, return_tensors="pt")["input_ids"]
    answer = tokenizer(s.answer, add_special_tokens=False)["input_ids"][0]
    # places in ids, the last one left out
    spare = [place for place in range(1, len(mask)) if not mask[place - 1]]
    place = spare[int(torch.randint(len(spare), (1,), generator=draw))]
    shorter = torch.cat([ids[:, :place], ids[:, place + 1 :]], dim=1)
    with torch.no_grad():
        before, after = (model(one).logits[0, -1].softmax(-1)[answer] for one in (ids, shorter))
    lost.append(float(before - after))
print(f"probability lost with a word that is neither evidence nor the last: {interval(lost)}")
print(f"with a random word, whichever it is: {interval(random_words['one'])}")
print(f"with a random half of all words: {interval(random_words['half'])}")

# %% [markdown]
# What repairs it? Ask the question differently: not "how much does the answer lose?" but "does it lose against its **rival**?" The counterfactuals of the small world name a rival for each sentence: the answer that would be right had the evidence been another. A missing last word hurts the answer and the rival alike.

# %% tags=["quoted"]
with_rival = {"leave_one_out": [], "leave_one_out, against a rival": []}
for rival, lost_word, mask in zip(rivals, lost_words, evidence):
    if rival:
        of_answer, of_rival = lost_word.T
        with_rival["leave_one_out"].append(top_hit(of_answer, mask))
        with_rival["leave_one_out, against a rival"].append(top_hit(of_answer - of_rival, mask))
print(
    f"how often the top word is evidence, {len(with_rival['leave_one_out'])} sentences that have a rival"
)
for name, found in with_rival.items():
    print(f"{name:<31} {interval(found)}")

# %% [markdown] tags=["quotes"]
# One word of no importance costs 0.04. But random scores came to 0.39 on the leaderboard. Where does that come from? A single random word costs 0.21 on average, since now and then it is one that decides, or the last one; half of all words cost 0.82: a text of which half is gone is hardly a text, whichever half it is. So read every comprehensiveness beside the random one, and count only what is above it.
#
# The rival repairs leave-one-out. Its hits rise from 0.03 to 0.56, though nothing has changed but the question. The lesson is larger than this method: **before you choose a method, choose the question**.

# %% [markdown]
# ### Question 6.13: Choose
#
# *10 points · ●●● · 12 minutes*
#
# Your team must explain why a model calls a review positive. A colleague proposes leave-one-out: "It won the leaderboard on comprehensiveness." Answer in five to seven sentences. What does that victory show, and what does it not show? Which numbers of this chapter would you set against it? Which method, or which question, do you propose, and which check would
# make you give it up?

# %% [markdown] nbgrader={"grade_id": "written-choose", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The victory shows that the model needs the words at the top of the list: without them the probability falls by 0.95 on average over the shares. It does not show that these words are the reason for *positive*. Ranking the words from the last to the first scores 0.95 too, and never asks the model. In both cases the question is destroyed, so any answer would be lost. The top word of
# leave-one-out is evidence in 0.02 of the sentences, that of the gradient in 0.71. I propose leave-one-out against the rival *negative*: a missing last word hurts both answers alike, and the hits rise from 0.03 to 0.56. I would give it up if the explanations stayed as they are after the layers were shuffled, or if reviews that say the same in other words got other reasons.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 2: what the victory shows: the model's probability falls without those words.
# - 3: what it does not show, with numbers: the last word first does as well without a model; the hits of leave-one-out; random scores are not at zero either.
# - 3: a proposal that fits the purpose (another method, or a rival answer) with a reason from the measurements.
# - 2: a check that could prove the proposal wrong: shuffled weights, paraphrases, sentences with known evidence.

# %% [markdown]
# ## 7. In the wild
#
# The ERASER benchmark brought comprehensiveness and sufficiency to many tasks, with words that people marked. Quantus and ferret compute most measures of this chapter. When you read their output, ask four things. How were words removed? Difference or ratio? Do scores against the answer count, or were they cut off or made positive? And what does a random explanation get?
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. The cell below runs your functions on it. What will differ: nobody knows the evidence there, so there is no plausibility, only faithfulness and agreement. A larger model is harder to throw off by a missing word. Words may be several
# tokens, and the scores are then those of the tokens.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    text = "The Eiffel Tower is located in the city of"
    real_ids = real_tokenizer(text, return_tensors="pt")["input_ids"]
    starts = sum(number in real_tokenizer.all_special_ids for number in real_ids[0].tolist())
    with torch.no_grad():
        said = int(real_model(real_ids).logits[0, -1].argmax())
    real_game = Game(text, said, real_model, real_tokenizer, special=starts)
    by_method = {"random": torch.rand(real_game.words, generator=torch.Generator().manual_seed(0))}
    for method in ("attention", "gradient", "gradient_x_input", "leave_one_out"):
        by_method[method] = gb.explain(real_model, real_tokenizer, text, method=method).scores[
            starts:
        ]
    print(f"{text} ->{real_tokenizer.decode(said)}")
    for method, scores in by_method.items():
        needed, enough = aopc(real_game, scores)
        print(
            f"{method:<17} comprehensiveness {needed:+.2f}  sufficiency {enough:+.2f}  words {effective_number(scores):.1f}  ρ with gradient {spearman(scores, by_method['gradient']):+.2f}"
        )
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - Faithful means true of the model; plausible means convincing to somebody who judges it, a person or, here, the grammar. Measure both, and never take one for the other.
# - Each measure can be fooled. Put a random explanation, and one that knows nothing but the places, beside every number.
# - The sentence is the unit. An interval without one, or a p-value over words, says nothing.
# - Agreement is no proof: two methods can share a mistake.
# - Ask for the reason **against a rival**, and the trap of the last word closes.
#
# The measures of this chapter, in the form that all chapters have:
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | comprehensiveness, sufficiency | does the model need the words in front, and are they enough? | a forward pass for each share | comparing methods under one way of removing words | naming the last word wins, and asks no model |
# | AUROC against the evidence | are the words that decide in front? | none, where the truth is known | settling a dispute | on real texts nobody knows the truth |
# | rank correlation | do two methods order the words alike? | none beyond theirs | seeing disagreement | ten words are no sample; sentences are |
# | consistency, sparsity | is it stable under a paraphrase, and does it name few words? | a second run | ruling out noise | a stable and short answer can be wrong |
# | shuffled weights | does the explanation depend on what the model learned? | a few runs of the method | ruling a method out | to pass it proves nothing |
#
# And the methods so far. Take out the note that you made at the beginning. Would you still choose the same row?
#
# | method | cost | trust it for | trap |
# | --- | --- | --- | --- |
# | attention | one forward pass | seeing where one layer looks | a weight is no influence; blind to the answer |
# | rollout | one forward pass | where information **could** flow | prefers early words; blind to the answer |
# | gradient (its size) | one backward pass | finding the words that decide | no sign; large gradients at the words that ask the question |
# | gradient × input | one backward pass | a first look with a sign | the sign is often wrong; depends on where zero is |
# | integrated gradients | some fifty backward passes | a sum that fits | the baseline decides |
# | LRP | one backward pass | scores with a sign, for needed words | the rules for attention and norms are choices |
# | leave one out | a forward pass for each word | what is needed, on any model | the last word, unless there is a rival; words that stand in for each other |
# | LIME, Shapley values | hundreds of forward passes | words that matter only in combination | most of the texts are no texts |
#
# **Which one?** No method wins everywhere. Decide by your question.
#
# | you want | take | and check |
# | --- | --- | --- |
# | which words the model is most sensitive to, at once | gradient | shuffled weights; say that it has no sign |
# | how much each word speaks for or against the answer | LRP | the sign at a word that you know |
# | what happens if a word is not there | leave one out, with a rival | that the shorter text is still a question |
# | scores that add up, whatever they cost | Shapley values, integrated gradients | that the sum fits; other baselines |
# | where information could flow | rollout, beside uniform attention | never as a reason for an answer |
#
# **Further reading**
#
# - DeYoung and others (2020), *ERASER*: comprehensiveness and sufficiency, and the data with words that people marked.
# - Jacovi and Goldberg (2020), *Towards Faithfully Interpretable NLP Systems*: why faithful and plausible are two things.
# - Adebayo and others (2018), *Sanity Checks for Saliency Maps*: shuffled weights, and the methods that did not notice.
# - Krishna and others (2022), *The Disagreement Problem in Explainable Machine Learning*: how people who use these methods in their work deal with explanations that disagree.
# - Hooker and others (2019), *A Benchmark for Interpretability Methods in Deep Neural Networks*: train again on the inputs with features removed, so that they are not strange to the model.
