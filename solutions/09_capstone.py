# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# chapter:
#   title: "Capstone: explain one decision so that somebody else can act on it"
#   minutes: 120
#   points: 100
#   teaches:
#     - glassbox.counterfactual
#     - glassbox.telling.wording
#   objectives:
#     - {text: "put several methods side by side on one decision, and say what their agreement is worth", tested_by: [check-front-words, check-votes, check-answer-agree]}
#     - {text: "test on the model whether the words of an explanation are enough, and whether they are needed", tested_by: [check-enough-and-needed]}
#     - {text: "find the smallest change of words that turns a decision, and verify it on the model", tested_by: [check-exchanges, check-turned, check-smallest-change, check-answer-wanted]}
#     - {text: "hold an explanation in words against the attribution that it speaks of", tested_by: [check-held-against, check-answer-passes]}
#     - {text: "hand on a report that shows its own checks", tested_by: [check-table-row, written-explanation]}
# ---

# %% [markdown]
# # 09 Capstone: explain one decision so that somebody else can act on it
#
# A festival sorts its visitors' reviews with a language model: *positive* goes on the poster, *negative* goes to the director. Jack's review went on the poster, and the director asks why. You are the person who has to answer. Run the next two cells.

# %%
from html import escape
from itertools import combinations, product

import glassbox as gb
import smallworld
import torch
from classroom.checks import capstone as check
from glassbox import figures

model, tokenizer = gb.load("smallworld")
PROMPT = "To Jack, the film was really brilliant despite a bad design. In short, the verdict is"
METHODS = ["attention", "gradient", "gradient_x_input", "grad_attention", "lrp"]

# %% alt="Five rows of coloured tokens on Jack's review, one for each method. Attention marks really, gradient × attention marks short; gradient, gradient × input and LRP mark bad."
comparison = gb.compare(model, tokenizer, PROMPT, METHODS)
comparison.plot("Five methods explain one decision, and three of them blame the word bad")

# %% tags=["quoted"]
for method, attribution in comparison.attributions[0].items():
    words = sorted(zip(attribution.scores[1:].abs().tolist(), attribution.tokens[1:]), reverse=True)
    print(f"{method:<17} {' '.join(word.strip() for _, word in words[:3])}")
print(f"the model says {comparison.attributions[0]['lrp'].target_token!r}")

# %% [markdown]
# The review is positive, and three of five methods say that the word *bad* did it. One says *really*, and one puts *short* first, as speaking against the answer. You can't send that to the director. Which of them do you believe, and how would you find out?
#
# This chapter has no new method of attribution. It is about what comes after: from scores to a statement that somebody can act on, with every claim tested on the model before it leaves your desk. **Work with a decision of your own as well:** put another review into `PROMPT` above and run all cells again. For another kind of sentence set `WANTED` in section 3, too, to the answers that count. The cells that name *brilliant* and *bad* are Jack's; put your own words there. The numbers in the text are those of
# Jack's review.
#
# **After this chapter you can**
#
# 1. put several methods side by side on one decision, and say what their agreement is worth;
# 2. test on the model whether the words of an explanation are enough, and whether they are needed;
# 3. find the smallest change of words that turns a decision, and verify it on the model;
# 4. hold an explanation in words against the attribution that it speaks of;
# 5. hand on a report that shows its own checks.
#
# **You need** chapters 03, 05 and 06: attributions, taking words away, faithfulness. **Time:** 120 minutes, and as much again if you work on a decision of your own: sections 4 to 6 (from exercise 9.9) make a good second sitting. **The new question:** not what a method says, but what you can answer for.

# %% [markdown]
# ## 1. From scores to words
#
# An explanation that names twenty words names none. Take the **fewest words that hold a given share** of all scores, counted by absolute value, since a word that speaks against the answer belongs to the story too. (Chapter 06 asked for reasons *for* the answer, and kept the sign.)
#
# **By hand.** Scores $3, -5, 1.5, 0.5$ sum to 10 in absolute value. For a share of 0.5 the second word is enough: $5 \geq 5$. For 0.6 it takes the second and the first: $8 \geq 6$.

# %% [markdown]
# ### Exercise 9.1: The words in front
#
# *10 points · ●○○ · 8 minutes*
#
# `scores` are `(words,)`. Places are counted from 0. Return the places of the fewest words that hold at least `share` of the sum of absolute scores, the largest first, as a list of whole numbers.
#
# <details><summary>Hint</summary>
#
# Sort the places by absolute score, then add up until the goal is reached. A word is taken as long as what is held *so far* is less than the goal.
#
# </details>


# %% nbgrader={"grade_id": "front-words", "solution": true}
def front_words(scores: torch.Tensor, share: float = 0.5) -> list[int]:
    """The places of the fewest words that hold at least `share` of all absolute scores, the largest first."""
    ### BEGIN SOLUTION
    order = scores.abs().argsort(descending=True).tolist()
    held, front = 0.0, []
    for place in order:
        if held >= share * float(scores.abs().sum()):
            break
        front.append(place)
        held += float(scores[place].abs())
    return front
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-front-words", "grade": true, "points": 10}
check.front_words(front_words)
### BEGIN HIDDEN TESTS
check.front_words(front_words, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Without any one of the words the share would not be reached, and all that are left out have smaller scores. Multiplying all scores by 7 or by $-1$ changes nothing: the answer is about shares.
#
# </details>

# %% [markdown]
# Several methods, several fronts. Count **votes**: how many methods have a word among their $k$ largest?
#
# **By hand.** Two methods, three words, $k = 1$: scores $(2, -3, 1)$ and $(4, 0, 1)$. The first votes for the second word, the other for the first word: votes $1, 1, 0$.

# %% [markdown]
# ### Exercise 9.2: Votes
#
# *10 points · ●○○ · 8 minutes*
#
# `scores` are `(methods, words)`. Return for each word how many methods have it among their `k` largest absolute scores, `(words,)`.
#
# <details><summary>Hint</summary>
#
# `topk(k, dim=1).indices` are `(methods, k)`, and `torch.bincount(..., minlength=...)` counts how often each place occurs in a flat list.
#
# </details>


# %% nbgrader={"grade_id": "votes", "solution": true}
def votes(scores: torch.Tensor, k: int = 1) -> torch.Tensor:
    """How many methods have each word among their k largest absolute scores: (words,)."""
    ### BEGIN SOLUTION
    chosen = scores.abs().topk(k, dim=1).indices  # (methods, k)
    return torch.bincount(chosen.flatten(), minlength=scores.shape[1])
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-votes", "grade": true, "points": 10}
check.votes(votes)
### BEGIN HIDDEN TESTS
check.votes(votes, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# Each method has $k$ votes, so all votes sum to $k$ times the number of methods, and no word gets more votes than there are methods. Scores of different methods are never added: they have different units.
#
# </details>

# %% [markdown]
# Now ask whether a vote is worth more than a voice. On 210 held-out sentences the grammar knows which words decide the answer. (It is the grammar that knows. The model answers nearly all such sentences rightly, so for now we take these words for the truth about the model, too. Section 3 puts that to the test.) **Guess first:** when four or five of the five methods agree on the top word, how often is it right? And when only two agree? The cell takes up to a minute.


# %% tags=["quoted"]
def interval(values: list[float]) -> str:
    """The mean, and where it lies in 95 of 100 draws of as many sentences, with replacement."""
    numbers = torch.tensor(values)
    draws = torch.randint(
        len(numbers), (2000, len(numbers)), generator=torch.Generator().manual_seed(0)
    )
    means = numbers[draws].mean(-1)
    return f"{numbers.mean():.2f}   ({means.quantile(0.025):.2f} to {means.quantile(0.975):.2f})"


sentences = [s for family in smallworld.FAMILIES for s in smallworld.sample(family, 10, seed=9)]
hits = {method: [] for method in METHODS}
by_votes: dict[str, list[float]] = {"2 or fewer": [], "3": [], "4 or 5": []}
for s in gb.progress(sentences, unit="sentences"):
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:]
    scores = torch.stack(
        [gb.explain(model, tokenizer, s.prompt, method=method).scores[1:] for method in METHODS]
    )
    for method, row in zip(METHODS, scores):
        hits[method].append(float(evidence[row.abs().argmax()]))
    counted = votes(scores, 1)
    name = "2 or fewer" if counted.max() <= 2 else "3" if counted.max() == 3 else "4 or 5"
    by_votes[name].append(float(evidence[counted.argmax()]))
print(f"how often the top word is evidence, {len(sentences)} sentences")
for method, found in hits.items():
    print(f"{method:<17} {interval(found)}")
print("the word with the most votes, by how many methods agree on it")
for name, found in by_votes.items():
    print(f"{name:<17} {interval(found)}   in {len(found)} sentences")
everything = [hit for found in by_votes.values() for hit in found]
print(f"all together      {interval(everything)}")

# %% [markdown] tags=["quotes"]
# A vote helps: where at most two methods agree (of equals the first word in the text was taken), the word is evidence in 0.47 of the sentences, and where three agree in 0.76. But it is no proof. Where four or five agree, it is right no more often: 0.74, in 39 sentences. Every fourth such word is not evidence. All together the vote finds the evidence in 0.66, and the gradient alone in 0.70: asking more methods was no better than asking that one. And on Jack's review the word with three votes, *bad*, is not what the grammar goes by. The verdict follows the main clause, *really brilliant*, and *despite a bad design* is the part that it outweighs. Does the *model* go by the main clause? Write down what you think. Section 3 asks it.

# %% [markdown]
# ### Question 9.3: What agreement is worth
#
# *5 points · ●●○ · 3 minutes*
#
# Three of five methods name the same word. What follows?
#
# - **a** The word decided.
# - **b** The word is right more often than without agreement, and still often wrong: methods that are made alike make the same mistakes.
# - **c** The two other methods are wrong.
# - **d** The model used the word in three ways.

# %% nbgrader={"grade_id": "answer-agree", "solution": true}
answer_agree = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_agree = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-agree", "grade": true, "points": 5}
check.agree(answer_agree)

# %% [markdown]
# ## 2. Enough, and needed
#
# A vote among methods asks the methods. Ask the model instead. Call a set of words **enough** if the model gives the same answer when only they are kept, and **needed** if it gives another answer when they, and only they, are taken away.
#
# **By hand.** A toy says *yes* if word 0 is there and at least one of words 1 and 2. The set $\{0, 1\}$ is enough: kept alone it gives *yes*. It is needed: without it there is only word 2, and the toy says *no*. The set $\{1, 2\}$ is needed but not enough. The set $\{1\}$ is neither.

# %% [markdown]
# ### Exercise 9.4: Enough and needed
#
# *10 points · ●○○ · 8 minutes*
#
# `says` takes truth values `(words,)`, which words are kept, and gives an answer. `chosen` are truth values too. Return two truth values: whether the chosen words are enough, and whether they are needed.


# %% nbgrader={"grade_id": "enough-and-needed", "solution": true}
def enough_and_needed(says, chosen: torch.Tensor) -> tuple[bool, bool]:
    """Is the answer the same with the chosen words alone, and another one without them?"""
    ### BEGIN SOLUTION
    answer = says(torch.ones_like(chosen))
    return says(chosen) == answer, says(~chosen) != answer
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-enough-and-needed", "grade": true, "points": 10}
check.enough_and_needed(enough_and_needed)
### BEGIN HIDDEN TESTS
check.enough_and_needed(enough_and_needed, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# All words together are always enough. No words at all are never needed. And a set that is not enough can still be needed, so the two answers have to be found by two different runs.
#
# </details>

# %% tags=["quoted"]
ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"][0]
words = [tokenizer.decode(number).strip() for number in ids[1:]]


@torch.no_grad()
def says_of(text_ids: torch.Tensor) -> str:
    """The model's answer to a text."""
    return tokenizer.decode(model(text_ids[None]).logits[0, -1].argmax())


def with_kept(kept: torch.Tensor) -> str:
    """The model's answer to the prompt with only these words; the start token always stays."""
    return says_of(torch.cat([ids[:1], ids[1:][kept]]))


for names in (["bad"], ["brilliant"], ["really", "brilliant"], ["brilliant", "despite", "bad"]):
    chosen = torch.tensor([word in names for word in words])
    enough, needed = enough_and_needed(with_kept, chosen)
    print(
        f"{' '.join(names):<22} enough: {'yes' if enough else 'no':<4} needed: {'yes' if needed else 'no':<4} alone it says {with_kept(chosen)!r}, without it {with_kept(~chosen)!r}"
    )

# %% [markdown]
# *bad* is neither enough nor needed: without it the model still says *positive*. And neither is *brilliant*. Kept alone, none of the four sets leaves a question that could be answered, and the model begins or goes on with some other text. Only the last set is needed. So we still don't know which word decides. Keep one question for section 6: did these tests test the words, or the question that they stand
# in?

# %% [markdown]
# ## 3. What would have changed the answer
#
# People who ask "why" mostly want to know what would have to be different. A **counterfactual** is the answer to that: the smallest change of the text after which the model says something else that counts. It is no estimate. The changed text exists, and anybody can put it to the model.
#
# Say first which words may come in which place: `options` gives a list of words for each place. A change is a dict from places to new words, and its size is the number of places.
#
# **By hand.** Options `{0: ["a", "b"], 2: ["c"]}`. Of size one there are three changes: `{0: "a"}`, `{0: "b"}`, `{2: "c"}`. Of size two there are two: `{0: "a", 2: "c"}` and `{0: "b", 2: "c"}`.

# %% [markdown]
# ### Exercise 9.5: All changes of one size
#
# *10 points · ●●○ · 10 minutes*
#
# Return all changes that exchange exactly `size` words, as a list of dicts, each change once, in any order.
#
# <details><summary>Hint</summary>
#
# `combinations(options, size)` goes through the sets of places. For one set of places, `product` goes through what can stand in each of them.
#
# </details>


# %% nbgrader={"grade_id": "exchanges", "solution": true}
def exchanges(options: dict[int, list[str]], size: int) -> list[dict[int, str]]:
    """Every way to exchange the words in exactly `size` places."""
    ### BEGIN SOLUTION
    return [
        dict(zip(places, chosen))
        for places in combinations(options, size)
        for chosen in product(*(options[place] for place in places))
    ]
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-exchanges", "grade": true, "points": 10}
check.exchanges(exchanges)
### BEGIN HIDDEN TESTS
check.exchanges(exchanges, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# With $n$ places and $k$ words for each there are $\binom{n}{m} k^m$ changes of size $m$: of three places with two words each, 6 of size one, 12 of size two, 8 of size three. The number grows fast, which is why one looks for small changes first.
#
# </details>

# %% [markdown]
# When has a change turned the answer? Here is code that people hand in:
#
# ```python
# def turned(logits, answer, wanted=None):
#     probability = logits.softmax(-1)[:, answer]
#     return probability < 0.5
# ```
#
# The symptom: it reports changes after which the model still gives the old answer, with 0.4, ahead of nine others with less. And it does not care what the new answer is. Exchange the last word, *is*, for *negative*: the text ends in *the verdict negative*, and the model goes on with a full stop. That is no other verdict. It is the end of a sentence.

# %% [markdown]
# ### Exercise 9.6: Find the bug
#
# *10 points · ●●○ · 10 minutes*
#
# `logits` are `(texts, vocabulary)`, the model's after each changed text. `answer` is the token id of the old answer. Return truth values `(texts,)`: does the model now **say** something else, and if `wanted` is a list of numbers, one of these? The old answer never counts, even if it is in `wanted`.
#
# <details><summary>Hint</summary>
#
# What a model says is the largest logit. `torch.isin(a, torch.tensor(wanted))` tells which entries of `a` are in the list.
#
# </details>


# %% nbgrader={"grade_id": "turned", "solution": true}
def turned(logits: torch.Tensor, answer: int, wanted: list[int] | None = None) -> torch.Tensor:
    """After which texts does the model say something else, and something wanted: truth values, (texts,)."""
    ### BEGIN SOLUTION
    said = logits.argmax(-1)  # (texts,)
    counts = said != answer
    return counts if wanted is None else counts & torch.isin(said, torch.tensor(wanted))
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-turned", "grade": true, "points": 10}
check.turned(turned)
### BEGIN HIDDEN TESTS
check.turned(turned, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check has texts where the old answer leads with less than half, texts where it falls below half a rival that is not wanted, and texts where it falls and still leads. Only what the model says settles all of them.
#
# </details>

# %% [markdown]
# Does `wanted` matter? In each of the 210 sentences, exchange one word for one of the two that the model itself finds most probable in that place, and take the change after which the old answer is furthest behind. Once any other answer counts, once only answers that the same question could have. **Guess:** how often is the exchanged word one that decides?


# %% tags=["quoted"]
@torch.no_grad()
def single_changes(text_ids: torch.Tensor, choices: int = 2):
    """All texts with one word exchanged for a probable one: places (texts,), logits (texts, vocabulary), the old answer."""
    logits = model(text_ids[None]).logits[0]  # (seq, vocabulary)
    probable = (
        logits[:-1].topk(choices, dim=-1).indices
    )  # (seq - 1, choices), for the places from 1 on
    places = torch.arange(1, len(text_ids)).repeat_interleave(choices)
    changed = text_ids.repeat(len(places), 1)
    changed[torch.arange(len(places)), places] = probable.flatten()
    # the word that stands there is often among the probable ones
    another = probable.flatten() != text_ids[places]
    return (
        places[another],
        model(changed[another], logits_to_keep=1).logits[:, -1],
        int(logits[-1].argmax()),
    )


rivals = {
    family: sorted({s.answer for s in smallworld.sample(family, 60, seed=1)})
    for family in smallworld.FAMILIES
}
in_evidence = {"any other answer counts": [], "only answers to the same question": []}
for s in gb.progress(sentences, unit="sentences"):
    text_ids = tokenizer(s.prompt, return_tensors="pt")["input_ids"][0]
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))
    wanted = [
        tokenizer(rival, add_special_tokens=False)["input_ids"][0] for rival in rivals[s.family]
    ]
    places, logits, old = single_changes(text_ids)
    behind = logits.max(-1).values - logits[:, old]
    for name, goal in (
        ("any other answer counts", None),
        ("only answers to the same question", wanted),
    ):
        counts = turned(logits, old, goal)
        if counts.any():
            best = behind.masked_fill(~counts, -1).argmax()
            in_evidence[name].append(float(evidence[places[best]]))
for name, found in in_evidence.items():
    print(
        f"{name:<34} found in {len(found)} of {len(sentences)}, in the evidence {interval(found)}"
    )

# %% [markdown] tags=["quotes"]
# If any other answer counts, a turn is found nearly always, and the exchanged word is evidence in 0.50 of the sentences. If only answers to the same question count, a turn is found less often, and the word is evidence in 0.83 of those. The search is the same, the model is the same. What was wrong with the first is what it was asked: every other time it breaks the question, and then calls the result an explanation.

# %% [markdown]
# ### Exercise 9.7: The smallest change
#
# *10 points · ●●● · 15 minutes*
#
# `words` is a list of strings, `says` takes such a list and gives the answer, `wanted` is a set of answers. Return a change of the fewest places, at most `most`, after which the answer is a wanted one and not the old one. If there are several, any of them; if there is none, an empty dict.
#
# 1. Note the old answer.
# 2. Try all changes of size one, then of size two, and so on.
# 3. Build each changed text in a new list, and ask.
#
# <details><summary>Hint</summary>
#
# `[change.get(place, word) for place, word in enumerate(words)]` is the changed text.
#
# </details>


# %% nbgrader={"grade_id": "smallest-change", "solution": true}
def smallest_change(
    says, words: list[str], options: dict[int, list[str]], wanted: set[str], most: int = 2
) -> dict[int, str]:
    """The change of the fewest words after which `says` gives a wanted answer; {} if there is none."""
    ### BEGIN SOLUTION
    old = says(words)
    for size in range(1, most + 1):
        for change in exchanges(options, size):
            new = says([change.get(place, word) for place, word in enumerate(words)])
            if new != old and new in wanted:
                return change
    return {}
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-smallest-change", "grade": true, "points": 10}
check.smallest_change(smallest_change)
### BEGIN HIDDEN TESTS
check.smallest_change(smallest_change, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# The check asks its own toys about the change that you return: it must turn the answer, and the check has gone through all smaller ones before and knows that none does. In one toy no single word is enough, and two are.
#
# </details>


# %% tags=["quoted"]
@torch.no_grad()
def probable_words(choices: int) -> dict[int, list[str]]:
    """For each word of the prompt, what the model itself would rather expect there."""
    logits = model(ids[None]).logits[0, :-1]  # (words, vocabulary)
    best = logits.topk(choices + 1, dim=-1).indices.tolist()
    return {
        place: [tokenizer.decode(token).strip() for token in row if token != ids[place + 1]][
            :choices
        ]
        for place, row in enumerate(best)
    }


options = probable_words(5)
known = {word for row in options.values() for word in row} | set(words)
number_of = {
    word: tokenizer((" " if word not in ".,:?!" else "") + word, add_special_tokens=False)[
        "input_ids"
    ][0]
    for word in known
}
number_of[words[0]] = int(ids[1])  # the first word has no space in front


def says_words(text: list[str]) -> str:
    """The model's answer to a list of words."""
    return says_of(torch.cat([ids[:1], torch.tensor([number_of[word] for word in text])]))


def joined(text: list[str]) -> str:
    """The words as a sentence again."""
    return " ".join(text).replace(" .", ".").replace(" ,", ",")


WANTED = {" negative", " positive"}
for place, row in options.items():
    for word in row:
        changed = [word if here == place else other for here, other in enumerate(words)]
        if says_words(changed) in WANTED - {says_words(words)}:
            print(f"{words[place]:>10} -> {word:<10} {joined(changed)}")
change = smallest_change(says_words, words, options, WANTED)
changed = [change.get(place, word) for place, word in enumerate(words)]
print(
    f"the smallest change: {', '.join(f'{words[place]} -> {word}' for place, word in change.items())}; the model says {says_words(changed)!r}"
)

# %% [markdown]
# The list holds all single changes that turn the verdict. Every one exchanges *really* for a word that takes *brilliant* back. Not one exchanges *bad*, the word that three methods put first, and not one exchanges *brilliant*. But for each word only the five were tried that the model finds most probable in that place: none found means none among those tried. A function that goes through the options in their order, the most probable first, finds *really -> not*, and that is a text that somebody might write: *the film was not brilliant*.
# Others are not. Nobody writes *far brilliant*.
#
# So try words of the other kind. **Guess first:** which turns the verdict, blame in the place of *brilliant*, or praise in the place of *bad*?


# %% tags=["quoted"]
def exchanged_in_part(family: str, count: int = 60) -> dict[str, int]:
    """How many answers turn if only some of the words are exchanged that tell a sentence from its counterfactual?"""
    turns = {"the words of the evidence": 0, "the other words": 0, "both": 0}
    for s in smallworld.sample(family, count, seed=3):
        now, then = (
            tokenizer(text, return_tensors="pt")["input_ids"][0]
            for text in (s.prompt, s.changed(s.counterfactuals[0]))
        )
        evidence = torch.tensor(s.mask(tokenizer, s.evidence))
        for name, places in zip(turns, (evidence, ~evidence, evidence | True)):
            turns[name] += says_of(then.where(places, now)) == s.counterfactuals[0].answer
    return turns


for old, others in (
    ("brilliant", "dull terrible disappointing awful boring"),
    ("bad", "fine solid lovely fresh good"),
):
    print(f"{old:>9} tried above: {', '.join(options[words.index(old)] if old in words else [])}")
    for new in others.split():
        print(
            f"{old:>9} -> {new:<13} {says_of(tokenizer(PROMPT.replace(old, new), return_tensors='pt')['input_ids'][0])}"
        )
print("how many of 60 verdicts turn, if these words are exchanged")
for family in ("review_plain", "review_negated", "review_contrasted"):
    print(
        f"{family:<18} "
        + ", ".join(f"{name}: {number}" for name, number in exchanged_in_part(family).items())
    )

# %% [markdown] tags=["quotes"]
# Whatever blame stands in the place of *brilliant*, even *terrible*, the verdict stays *positive*. Put a word of praise in the place of *bad*, and it turns. On this review the model goes by *bad*: it reads what follows *despite* and answers the opposite. So the three methods were right **about the model**, and the grammar is the truth **about the text**. Those are two things.
#
# It is no single case. In reviews with *despite*, exchanging the evidence alone turns 18 of 60 verdicts, exchanging the other adjective alone turns 41, and both together all 60. In the small world the two adjectives of such a review are always opposites, so a model that goes by the wrong one is right all the same, and nobody notices: a **shortcut**. In plain and in negated reviews the evidence alone turns all 60. There the grammar's
# truth is the model's truth, too.

# %% [markdown]
# ### Question 9.8: Any other answer
#
# *5 points · ●●○ · 3 minutes*
#
# Somebody shows you that the model no longer says *positive* when the last word is exchanged, and concludes that the last word decided. What is wrong?
#
# - **a** Nothing; the text was put to the model.
# - **b** The change made another question of the text. What decided between *positive* and *negative* was not asked.
# - **c** Two words should have been exchanged.
# - **d** The probability should have been looked at.

# %% nbgrader={"grade_id": "answer-wanted", "solution": true}
answer_wanted = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_wanted = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-wanted", "grade": true, "points": 5}
check.wanted(answer_wanted)

# %% [markdown]
# ## 4. In words, and checked
#
# The director does not read bar charts. Somebody has to write a sentence: you, a form, or a language model that is given the facts. All three can say more than the facts hold. So make a rule that a program can check: **each word of the text that the explanation names stands in double quotation marks.** Then hold the quoted words against the
# important ones.
#
# **By hand.** Important: *superb*, *despite*. The explanation: `It read "Superb" and "weak".` It names *superb*, since small and large letters are the same. It misses *despite*. It names *weak* without support.

# %% [markdown]
# ### Exercise 9.9: Hold it against the attribution
#
# *10 points · ●●○ · 12 minutes*
#
# Return two lists of words in small letters, each word once and sorted: the important words that are **missed**, and the quoted words that are **unsupported**. Compare the important words in small letters as well. Quotes may hold several words and punctuation (`"not superb,"` names *not* and *superb*). Words are whole: *art* is not named by *part*.
#
# <details><summary>Hint</summary>
#
# Split the explanation at `"`: every second piece was between quotation marks. `re.findall(r"\w+", piece.lower())` finds the words of a piece.
#
# </details>

# %% nbgrader={"grade_id": "held-against", "solution": true}
import re


def held_against(explanation: str, important: list[str]) -> tuple[list[str], list[str]]:
    """Which important words does the explanation miss, and which does it name without support?"""
    ### BEGIN SOLUTION
    inside = explanation.split('"')[1::2]
    named = {word for piece in inside for word in re.findall(r"\w+", piece.lower())}
    front = {word.lower() for word in important}
    return sorted(front - named), sorted(named - front)
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-held-against", "grade": true, "points": 10}
check.held_against(held_against)
### BEGIN HIDDEN TESTS
check.held_against(held_against, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# An explanation that quotes exactly the important words gives two empty lists. Take a word out of it and the first list grows; quote one more and the second does.
#
# </details>

# %% [markdown]
# Now let it be written. `gb.narration.template` is a form: always there, always the same. If a language model runs on your machine or elsewhere, name it in the cell. It is asked to use the facts only and to quote what it names. Whether it did is for your function to find out.

# %% tags=["quoted"]
narrator = gb.narration.template
# narrator = gb.narration.endpoint("http://localhost:11434/v1", model="llama3.2")  # any server that speaks OpenAI's protocol
# narrator = gb.narration.local(*gb.load("a folder or a name"))  # a causal model of transformers

lrp = comparison.attributions[0]["lrp"]
in_front = [words[place] for place in front_words(lrp.scores[1:]) if words[place].isalpha()]
# the changed text and its answer, if one was found
turn = (joined(changed), says_words(changed).strip()) if change else None
facts = gb.narration.Facts(PROMPT, says_words(words).strip(), in_front, turn)
explanation = narrator(facts)
print(explanation)
# the form quotes the changed text after that; other narrators may not
about_the_text = explanation.split("Had the text")[0]
# the answer may be quoted too
missed, unsupported = held_against(about_the_text, [*in_front, facts.answer])
print(f"missed: {missed}, unsupported: {unsupported}")

invented = (
    f'The model answered "{facts.answer}" because the "brilliant" acting outweighs a "bad" script.'
)
missed, unsupported = held_against(invented, [*in_front, facts.answer])
print(invented)
print(f"missed: {missed}, unsupported: {unsupported}")

# %% [markdown]
# The second explanation was made up, and it reads better than the first. It even fits what we know about films. It does not fit the attribution, and the check says so, for the quoted words. It can't see *acting* and *script*, which are inventions too: nobody quoted them.

# %% [markdown]
# ### Question 9.10: It passed
#
# *5 points · ●●○ · 3 minutes*
#
# An explanation misses nothing and names nothing without support. What do you know?
#
# - **a** That it is true of the model.
# - **b** That it names the words that the attribution names; whether these decided is for the model to say, and whether the reasons between them hold is not checked at all.
# - **c** That a person would understand it.
# - **d** That the attribution is faithful.

# %% nbgrader={"grade_id": "answer-passes", "solution": true}
answer_passes = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
answer_passes = "b"
### END SOLUTION

# %% nbgrader={"grade_id": "check-answer-passes", "grade": true, "points": 5}
check.passes(answer_passes)

# %% [markdown]
# ## 5. A report to hand on
#
# What you hand on should open on any machine: one HTML file. Prompts come from people, and people write `<` and `&`. Here is how many reports are made:
#
# ```python
# def table_row(word, score):
#     return f"<tr><td>{word}</td><td>{score:+.2f}</td></tr>"
# ```
#
# The symptom: a review that contains `<b>` turns half of the report bold, and one with a `<script>` runs in the browser of the person who was to judge it.

# %% [markdown]
# ### Exercise 9.11: Find the bug
#
# *5 points · ●○○ · 5 minutes*
#
# Mend it: the row shows the word as it is, whatever characters it has, and the score with its sign and two decimals.
#
# <details><summary>Hint</summary>
#
# `escape` from Python's `html` is imported above. It has to be used once, and only once.
#
# </details>


# %% nbgrader={"grade_id": "table-row", "solution": true}
def table_row(word: str, score: float) -> str:
    """A row of an HTML table with a word and its score."""
    ### BEGIN SOLUTION
    return f"<tr><td>{escape(word)}</td><td>{score:+.2f}</td></tr>"
    ### END SOLUTION


# %% nbgrader={"grade_id": "check-table-row", "grade": true, "points": 5}
check.table_row(table_row)
### BEGIN HIDDEN TESTS
check.table_row(table_row, seed=4711)
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Why the check holds</summary>
#
# A browser that reads the row back gives the same word and no new elements. Escaping twice would show `&amp;lt;` to the reader, and taking characters out would show another word than the one that was scored.
#
# </details>

# %% [markdown]
# `gb.report` escapes all that it is given. The next cell puts everything together: the decision, the methods and how far they agree, the test on the model, the counterfactual, the explanation with the result of its check, and a **model card** that says what the model is and what it is not (Mitchell and others, 2019). It writes `report.html`
# beside this notebook. Open it.

# %%
reviews = [
    s
    for family in ("review_plain", "review_negated", "review_contrasted")
    for s in smallworld.sample(family, 70, seed=3)
]


@torch.no_grad()
def answers_to(texts: list[list[int]]) -> list[str]:
    """The model's answers to many texts, some at once, filled up on the right, where no earlier token can see it."""
    answers = []
    for some in (texts[start : start + 40] for start in range(0, len(texts), 40)):
        filled = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(text) for text in some], batch_first=True
        )
        logits = model(filled).logits
        answers += [
            tokenizer.decode(logits[row, len(text) - 1].argmax()) for row, text in enumerate(some)
        ]
    return answers


review_ids = tokenizer([s.prompt for s in reviews])["input_ids"]
verdicts = [said == s.answer for said, s in zip(answers_to(review_ids), reviews)]
chosen = torch.tensor([place in front_words(lrp.scores[1:]) for place in range(len(words))])
enough, needed = enough_and_needed(with_kept, chosen)
missed, unsupported = held_against(about_the_text, [*in_front, facts.answer])
strip = figures.token_strip(
    list(comparison.attributions[0].values()), title="What five methods put in front"
)
report = gb.report(
    "report.html",
    f"Why the model said {facts.answer!r}",
    {
        "The decision": [f"The model read: {PROMPT}", f"It answered: {facts.answer}"],
        "In words": [
            explanation,
            "Which words count most is what one method says. Below stands what the model said to changed texts.",
            f"Held against the attribution: missed {missed or 'nothing'}, unsupported {unsupported or 'nothing'}.",
        ],
        "What the methods say": [
            gb.Picture(strip, "Five rows of tokens, coloured by the scores of five methods"),
            lrp,
        ],
        "How far they agree (Spearman's ρ)": [comparison.table()],
        "What the model says": [
            {
                "words in front": ", ".join(in_front),
                "enough for the answer": enough,
                "needed for it": needed,
            },
            gb.faithfulness(model, tokenizer, lrp).table().drop(columns="tokens"),
        ],
        "What would have changed the answer": [
            {
                "change": ", ".join(f"{words[p]} -> {w}" for p, w in change.items())
                or "none found",
                "new text": joined(changed),
                "new answer": says_words(changed).strip(),
            }
        ],
        "The model": [
            gb.model_card(
                model,
                purpose="to be explained, in a course; not to sort anybody's reviews",
                data="sentences about a small world, written by a grammar",
                measured=f"{sum(verdicts) / len(verdicts):.2f} of the verdicts on {len(verdicts)} held-out reviews of the same grammar are right",
                limits="knows no word and no sentence from outside its world",
            )
        ],
    },
)
print(f"{report.name}: {report.stat().st_size // 1024} kB")

# %% [markdown]
# ## 6. Not so fast
#
# *Needed* sounds like proof. Put the test itself to the test, on the plain and the negated reviews, where exchanging the evidence turned every verdict. LRP gives you its words in front. **Guess:** which of the two are needed more often, by the definition of section 2?

# %% tags=["quoted"]
front_is_enough, front_is_needed, evidence_is_enough, evidence_is_needed = [], [], [], []
last_in_front, evidence_in_front = [], []
# which words of which review; every text that a test may ask about, and the model's answer
tests, shortened = [], {}
for row, (s, s_ids) in enumerate(zip(gb.progress(reviews, unit="reviews"), review_ids)):
    if s.family == "review_contrasted":
        continue
    evidence = torch.tensor(s.mask(tokenizer, s.evidence))[1:]
    front = torch.zeros_like(evidence)
    front[front_words(gb.explain(model, tokenizer, s.prompt, method="lrp").scores[1:])] = True
    last_in_front.append(float(front[-1]))
    evidence_in_front.append(float((front & evidence).any()))
    tests += [
        (row, front, front_is_enough, front_is_needed),
        (row, evidence, evidence_is_enough, evidence_is_needed),
    ]
    for kept in (torch.ones_like(evidence), front, ~front, evidence, ~evidence):
        shortened[row, tuple(kept.tolist())] = [s_ids[0], *torch.tensor(s_ids[1:])[kept].tolist()]
# asked together, which is several times as fast
answers = dict(zip(shortened, answers_to(list(shortened.values()))))
for row, words_chosen, is_enough, is_needed in tests:
    enough, needed = enough_and_needed(
        lambda kept, row=row: answers[row, tuple(kept.tolist())], words_chosen
    )
    is_enough.append(float(enough))
    is_needed.append(float(needed))
print(f"{len(front_is_needed)} reviews")
for name, found in (
    ("LRP's front words are enough", front_is_enough),
    ("LRP's front words are needed", front_is_needed),
    ("the evidence is enough", evidence_is_enough),
    ("the evidence is needed", evidence_is_needed),
    ("the last word is among LRP's", last_in_front),
    ("so is a word of the evidence", evidence_in_front),
):
    print(f"{name:<30} {interval(found)}")

# %% [markdown] tags=["quotes"]
# LRP's words in front are needed in 1.00 of the reviews. The evidence, the words that decide here, by the grammar and by exchange, in 0.41. The test prefers the wrong explanation, and by far. The reason is the one from the chapter on perturbation: the last word of the text, which belongs to the question, is among LRP's words in 1.00 of the reviews, a word of the evidence in 0.60. Take the last word away and there is no verdict to give, so the answer is another one. Take *brilliant* away
# and the text still asks for a verdict, and the model still gives one, in many cases the same. And nothing is ever enough: alone, the evidence leads to the same answer in 0.00 of the reviews, because the question is gone. Taking words away tests whether the text is still a text. Exchanging words within the same question has much less of this flaw, which is why the counterfactual is what you should send.

# %% [markdown]
# ### Question 9.12: To the director
#
# *10 points · ●●● · 20 minutes*
#
# Write to the director, in six to ten sentences and without jargon, why Jack's review (or the decision that you chose) got its verdict. Say what you tested on the model and what came out, what would have changed the verdict, what you do not know, and what the director should do if the verdict matters to somebody.

# %% [markdown] nbgrader={"grade_id": "written-explanation", "grade": true, "solution": true, "points": 10}
# ### BEGIN SOLUTION
# The verdict on Jack's review is right, but the model got to it by a shortcut. It did not go by *brilliant*: when I put *terrible* in its place, and left the rest as it was, the model still said *positive*. It went by *bad*: when I put *good* or *fine* in its place, it said *negative*. It seems to take what follows *despite* for the opposite of the verdict.
# It does not overlook the film altogether: with *not* instead of *really* it says *negative* too. I did not take this from a picture, I put changed reviews to the model; in most other reviews with *despite* it goes the same way, in reviews without it the verdict follows the word of praise or blame. So do not rely on it for a review that blames two things or praises two. What I do not know is how the model would judge reviews with words or sentences that it has never seen, and one review says little about the others. I also do not know which
# part of the model makes the difference. If a verdict matters to somebody, a person should read the review, and the author should be able to object; the model may sort what nobody disputes.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# **Rubric, 10 points**
#
# - 3: a claim about why, which rests on a test on the model (enough, needed or a counterfactual) and not on a picture alone.
# - 2: the counterfactual, with the changed text and the new answer.
# - 2: what is not known: methods disagree, shortened texts are not normal texts, one decision is not the model.
# - 2: what to do: who can object, who looks again, when the model should not decide.
# - 1: plain words, nothing that the work does not support.

# %% [markdown]
# ## 7. In the wild
#
# In practice this is put together from parts. [captum](https://captum.ai) and [inseq](https://inseq.org) give attributions, TextAttack and [DiCE](https://interpret.ml/DiCE) look for counterfactuals (for texts and for tables), Hugging Face shows a model card with each model. What no library does for you is to decide which words may stand in for which, and
# what answers count.
#
# If you have a real checkpoint in a folder or can reach Hugging Face, name it in the environment variable `GLASSBOX_MODEL` (`gpt2`, for instance) before JupyterLab starts. Two things differ there: a word may be several tokens, and nobody knows which words decide. So a change exchanges tokens, and the answers that count are yours to name.

# %%
import os

if name := os.environ.get("GLASSBOX_MODEL"):
    real_model, real_tokenizer = gb.load(name)
    TEXT = "The film was wonderful from beginning to end. In one word, the film was"
    real_ids = real_tokenizer(TEXT, return_tensors="pt")["input_ids"][0]

    @torch.no_grad()
    def real_logits(text: list[int]) -> torch.Tensor:
        return real_model(torch.tensor([text])).logits[0]

    scores = torch.stack(
        [gb.explain(real_model, real_tokenizer, TEXT, method=method).scores for method in METHODS]
    )
    print(
        "votes:",
        {
            real_tokenizer.decode(real_ids[place]): int(number)
            for place, number in enumerate(votes(scores, 2))
            if number
        },
    )
    likely = real_logits(real_ids.tolist())[:-1].topk(4, dim=-1).indices.tolist()
    real_options = {place + 1: row for place, row in enumerate(likely)}
    # the answers that the model thought of besides
    sure = real_logits(real_ids.tolist())[-1].topk(6).indices.tolist()[1:]
    found = smallest_change(
        lambda text: int(real_logits(text)[-1].argmax()),
        real_ids.tolist(),
        real_options,
        set(sure),
        most=1,
    )
    for place, token in found.items():
        print(f"{real_tokenizer.decode(real_ids[place])!r} -> {real_tokenizer.decode(token)!r}")
    print("no single change turns it" if not found else "turned")
else:
    print("GLASSBOX_MODEL is not set, so there is no other model to run on.")

# %% [markdown]
# ## 8. Take away
#
# - Methods that agree can be wrong together. Ask the model, not the methods.
# - What decides by the rules of the text need not decide for the model: it may be right by a shortcut. Exchange words and see.
# - "Enough" and "needed" are two questions, and each takes one run.
# - A counterfactual is only as good as its question: say which answers count, and put the changed text to the model.
# - Whoever writes the explanation, let a program check which words it names.
# - A report shows its checks, its limits and its model. Without them it is an opinion.
#
# | method | question | cost | trust it for | trap |
# | --- | --- | --- | --- | --- |
# | vote of several methods | do they name the same words? | the sum of theirs | seeing disagreement | methods made alike err alike |
# | enough, needed | does the answer hang on these words? | two forward passes | a claim about this text | shortened texts are not normal texts |
# | counterfactual | what would have changed the answer? | many forward passes | something that anybody can try | the question changes with the words |
# | check of the wording | does the explanation name what the attribution names? | none | catching quoted words without support | right words, wrong reasons |
#
# **Further reading**
#
# - Wachter, Mittelstadt and Russell (2018), *Counterfactual Explanations without Opening the Black Box*: why people who are affected by a decision are served by what would have changed it.
# - Ross, Marasović and Peters (2021), *Explaining NLP Models via Minimal Contrastive Editing (MiCE)*: small changes of texts towards a given answer.
# - Mitchell and others (2019), *Model Cards for Model Reporting*: what to say about a model that others will rely on.
# - Jacovi and Goldberg (2020), *Towards Faithfully Interpretable NLP Systems*: why a convincing explanation and a faithful one are two things.
