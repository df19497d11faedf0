"""Chapter 09: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import html
import re
from itertools import chain, combinations, permutations, product

import torch
from tests.answers import Exercise

from classroom.checks import capstone as check

# --- front_words ------------------------------------------------------------------------------------------------------


def front(scores, share=0.5):
    shares = scores.abs() / scores.abs().sum()
    values, order = shares.sort(descending=True)
    return order[: int((values.cumsum(0) < share - 1e-6).sum()) + 1].tolist()


def front_by_loop(scores, share=0.5):
    places, goal, total, found = list(range(len(scores))), share * sum(map(abs, scores.tolist())), 0.0, []
    while total < goal:
        best = max((place for place in places if place not in found), key=lambda place: abs(float(scores[place])))
        found.append(best)
        total += abs(float(scores[best]))
    return found


def summed_until(scores, goal, order, enough=lambda held, goal: held >= goal):
    held, found = 0.0, []
    for place in order:
        if enough(held, goal):
            break
        found.append(place)
        held += abs(float(scores[place]))
    return found


def falling(scores):
    return scores.abs().argsort(descending=True).tolist()


def with_signs(scores, share=0.5):
    held, found = 0.0, []
    for place in scores.argsort(descending=True).tolist():
        if held >= share * float(scores.sum()):
            break
        found.append(place)
        held += float(scores[place])
    return found


FRONT_WORDS = Exercise(
    check=check.front_words,
    right=[front, front_by_loop],
    wrong=[
        (
            "positive only",
            lambda s, share=0.5: front(s.clamp(min=0), share),
            "Words with negative scores were left out",
        ),
        ("signs in the sum", with_signs, "and cancel"),
        ("one short", lambda s, share=0.5: front(s, share)[:-1], "one word too few"),
        (
            "one more",
            lambda s, share=0.5: summed_until(s, share * float(s.abs().sum()), falling(s), lambda h, g: h > g),
            "one word too many",
        ),
        (
            "near the largest",
            lambda s, share=0.5: [p for p in falling(s) if abs(float(s[p])) >= share * float(s.abs().max())],
            "not of the largest score",
        ),
        (
            "smallest first",
            lambda s, share=0.5: summed_until(s, share * float(s.abs().sum()), falling(s)[::-1]),
            "The smallest scores came first",
        ),
        ("order of the text", lambda s, share=0.5: sorted(front(s, share)), "in the order of the text"),
        ("number of words", lambda s, share=0.5: falling(s)[: round(share * len(s))], "share of the number of words"),
    ],
)

# --- votes ------------------------------------------------------------------------------------------------------------


def count(scores, k=1):
    ballot = torch.zeros_like(scores).scatter(1, scores.abs().topk(k, dim=1).indices, 1.0)
    return ballot.sum(0)


def count_by_loop(scores, k=1):
    found = [0] * scores.shape[1]
    for row in scores.tolist():
        for place in sorted(range(len(row)), key=lambda place: -abs(row[place]))[:k]:
            found[place] += 1
    return found


VOTES = Exercise(
    check=check.votes,
    right=[count, count_by_loop],
    wrong=[
        (
            "with signs",
            lambda s, k=1: torch.zeros_like(s).scatter(1, s.topk(k, dim=1).indices, 1.0).sum(0),
            "Words with negative scores get no vote",
        ),
        (
            "smallest",
            lambda s, k=1: torch.zeros_like(s).scatter(1, s.abs().topk(k, dim=1, largest=False).indices, 1.0).sum(0),
            "votes for the smallest",
        ),
        ("one vote", lambda s, k=1: count(s, 1), "`k` is not used"),
        ("shares", lambda s, k=1: count(s, k) / len(s), "these are shares"),
        ("sums", lambda s, k=1: s.abs().sum(0), "Scores were added"),
        ("any", lambda s, k=1: (count(s, k) > 0).float(), "Only whether a word has any vote"),
        (
            "across",
            lambda s, k=1: torch.bincount(s.abs().topk(min(k, len(s)), dim=0).indices.flatten(), minlength=s.shape[1]),
            "among the methods",
        ),
    ],
)

# --- enough_and_needed ------------------------------------------------------------------------------------------------


def test_words(says, chosen):
    whole = says(torch.full_like(chosen, True))
    return bool(says(chosen) == whole), bool(says(chosen.logical_not()) != whole)


def test_words_as_list(says, chosen):
    everybody, others = torch.ones(len(chosen), dtype=torch.bool), torch.tensor([not each for each in chosen])
    return [says(chosen) == says(everybody), not says(others) == says(everybody)]


def whole(says, chosen):
    return says(torch.ones_like(chosen))


ENOUGH_AND_NEEDED = Exercise(
    check=check.enough_and_needed,
    right=[test_words, test_words_as_list],
    wrong=[
        ("swapped", lambda f, c: test_words(f, c)[::-1], "The two are the wrong way round"),
        ("needed turned", lambda f, c: (f(c) == whole(f, c), f(~c) == whole(f, c)), "Needed is turned"),
        ("both alone", lambda f, c: (f(c) == whole(f, c), f(c) != whole(f, c)), "both come from keeping the words"),
        ("both without", lambda f, c: (f(~c) == whole(f, c), f(~c) != whole(f, c)), "asked of the text without"),
        ("against alone", lambda f, c: (f(c) == whole(f, c), f(~c) != f(c)), "to the words alone"),
        (
            "against nothing",
            lambda f, c: (f(c) == f(torch.zeros_like(c)), f(~c) != f(torch.zeros_like(c))),
            "no words at all",
        ),
        ("enough turned", lambda f, c: (f(c) != whole(f, c), f(~c) != whole(f, c)), "Enough is turned"),
        ("one value", lambda f, c: test_words(f, c)[0], "Return two truth values"),
    ],
)

# --- exchanges --------------------------------------------------------------------------------------------------------


def changes(options, size):
    found = [{}]
    for place, words in options.items():
        found += [old | {place: word} for old in found for word in words]
    return [change for change in found if len(change) == size]


def changes_by_pairs(options, size):
    pairs = [(place, word) for place, words in options.items() for word in words]
    return [dict(each) for each in combinations(pairs, size) if len({place for place, _ in each}) == size]


def changes_of(choose):
    return lambda options, size: [
        dict(zip(places, words, strict=True))
        for places in choose(options, size)
        for words in product(*(options[place] for place in places))
    ]


EXCHANGES = Exercise(
    check=check.exchanges,
    right=[changes, changes_by_pairs],
    wrong=[
        (
            "up to",
            lambda options, size: list(chain(*(changes(options, smaller) for smaller in range(1, size + 1)))),
            "Smaller changes are among them",
        ),
        ("permutations", changes_of(permutations), "more than once"),
        (
            "same place twice",
            lambda options, size: [
                dict(each) for each in combinations([(p, w) for p in options for w in options[p]], size)
            ],
            "Two words were put into the same place",
        ),
        (
            "first words",
            lambda options, size: [{p: options[p][0] for p in places} for places in combinations(options, size)],
            "Only the first word",
        ),
        (
            "in step",
            lambda options, size: [
                dict(zip(places, words, strict=True))
                for places in combinations(options, size)
                for words in zip(*(options[place] for place in places), strict=False)
            ],
            "go in step",
        ),
        (
            "neighbours",
            changes_of(lambda options, size: [list(options)[i : i + size] for i in range(len(options) - size + 1)]),
            "Only neighbouring places",
        ),
        ("strings", lambda options, size: [str(change) for change in changes(options, size)], "a list of dicts"),
    ],
)

# --- turned -----------------------------------------------------------------------------------------------------------


def turn(logits, answer, wanted=None):
    said = logits.argmax(-1).tolist()
    return torch.tensor([one != answer and (wanted is None or one in wanted) for one in said])


def turn_by_mask(logits, answer, wanted=None):
    goal = torch.zeros(logits.shape[1], dtype=torch.bool)
    goal[list(range(logits.shape[1])) if wanted is None else wanted] = True
    goal[answer] = False
    return goal[logits.max(-1).indices]


def beats(logits, answer, wanted=None):
    rivals = [n for n in (range(logits.shape[1]) if wanted is None else wanted) if n != answer]
    if not rivals:
        return torch.zeros(len(logits), dtype=torch.bool)
    return logits[:, rivals].amax(-1) > logits[:, answer]


TURNED = Exercise(
    check=check.turned,
    right=[turn, turn_by_mask],
    wrong=[
        ("a list", lambda x, a, wanted=None: turn(x, a, wanted).tolist(), "Return a tensor"),
        ("empty is anything", lambda x, a, wanted=None: turn(x, a, wanted or None), "none counts"),
        ("half", lambda x, a, wanted=None: x.softmax(-1)[:, a] < 0.5, "The bug is still there"),
        ("not wanted", lambda x, a, wanted=None: x.argmax(-1) != a, "has to be a wanted one"),
        (
            "old counts",
            lambda x, a, wanted=None: (
                x.argmax(-1) != a if wanted is None else torch.isin(x.argmax(-1), torch.tensor(wanted))
            ),
            "The old answer counts",
        ),
        ("ahead of the old", beats, "a third may lead"),
        ("the others", lambda x, a, wanted=None: ~turn(x, a, wanted), "were not turned"),
        ("nothing without wanted", lambda x, a, wanted=None: turn(x, a, wanted or []), "any other answer counts"),
        ("least", lambda x, a, wanted=None: turn(-x, a, wanted), "least probable"),
        (
            "first wanted",
            lambda x, a, wanted=None: turn(x, a, wanted and [n for n in wanted if n != a][:1]),
            "Only the first of the wanted",
        ),
    ],
)

# --- smallest_change --------------------------------------------------------------------------------------------------


def put(words, change):
    text = list(words)
    for place, word in change.items():
        text[place] = word
    return text


def search(says, words, options, wanted, most=2):
    goals = set(wanted) - {says(words)}
    found = (change for size in range(1, most + 1) for change in changes(options, size))
    return next((change for change in found if says(put(words, change)) in goals), {})


def search_all(says, words, options, wanted, most=2):
    old = says(words)
    turning = [change for size in range(1, most + 1) for change in changes(options, size)
               if says(put(words, change)) in wanted and says(put(words, change)) != old]  # fmt: skip
    return min(turning, key=len, default={})


def largest_first(says, words, options, wanted, most=2):
    for size in range(most, 0, -1):
        for change in changes(options, size):
            if says(put(words, change)) in set(wanted) - {says(words)}:
                return change
    return {}


def anything_goes(says, words, options, wanted, most=2):
    found = (change for size in range(1, most + 1) for change in changes(options, size))
    return next((change for change in found if says(put(words, change)) != says(words)), {})


def old_counts(says, words, options, wanted, most=2):
    found = (change for size in range(1, most + 1) for change in changes(options, size))
    return next((change for change in found if says(put(words, change)) in wanted), {})


def changed_text(says, words, options, wanted, most=2):
    return put(words, search(says, words, options, wanted, most))


def in_place(says, words, options, wanted, most=2):
    old = says(words)
    for size in range(1, most + 1):
        for places in combinations(options, size):
            for chosen in product(*(options[place] for place in places)):
                for place, word in zip(places, chosen, strict=True):
                    words[place] = word
                if says(words) != old and says(words) in wanted:
                    return dict(zip(places, chosen, strict=True))
    return {}


SMALLEST_CHANGE = Exercise(
    check=check.smallest_change,
    right=[search, search_all],
    wrong=[
        ("largest first", largest_first, "a smaller one"),
        ("in place", in_place, "changed the data"),
        ("anything", anything_goes, "not a wanted one"),
        ("old counts", old_counts, "Nothing was turned"),
        ("one word", lambda f, w, o, goal, most=2: search(f, w, o, goal, 1), "nothing was found"),
        ("ignores most", lambda f, w, o, goal, most=2: search(f, w, o, goal, 3), "`most` allows"),
        ("text", changed_text, "Return the change"),
        (
            "own words",
            lambda f, w, o, goal, most=2: {place: word.upper() for place, word in search(f, w, o, goal, most).items()},
            "does not allow it",
        ),
    ],
)

# --- held_against -----------------------------------------------------------------------------------------------------


def hold(explanation, important):
    named = set(re.findall(r"\w+", " ".join(re.findall(r'"([^"]*)"', explanation)).lower()))
    front = set(map(str.lower, important))
    return sorted(front - named), sorted(named - front)


def hold_by_letters(explanation, important):
    inside, word, named = False, "", []
    for letter in explanation.lower() + " ":
        if letter.isalnum():
            word += letter
            continue
        if inside and word and word not in named:
            named.append(word)
        word, inside = "", inside ^ (letter == '"')
    front = sorted({each.lower() for each in important})
    return [each for each in front if each not in named], sorted(each for each in named if each not in front)


def hold_by(words_of, fold=str.lower):
    def held(explanation, important):
        named, front = set(words_of(explanation)), set(map(fold, important))
        return sorted(front - named), sorted(named - front)

    return held


def quotes(explanation):
    return re.findall(r'"([^"]*)"', explanation)


def named_in_part(explanation, important):
    inside = " ".join(quotes(explanation)).lower()
    return sorted(word.lower() for word in important if word.lower() not in inside), hold(explanation, important)[1]


def with_repeats(explanation, important):
    named = re.findall(r"\w+", " ".join(quotes(explanation)).lower())
    front = [word.lower() for word in important]
    return sorted(set(front) - set(named)), sorted(word for word in named if word not in front)


def as_they_come(explanation, important):
    named = re.findall(r"\w+", " ".join(quotes(explanation)).lower())
    front = [word.lower() for word in important]
    return [word for word in front if word not in named], list(dict.fromkeys(w for w in named if w not in front))


HELD_AGAINST = Exercise(
    check=check.held_against,
    right=[hold, hold_by_letters],
    wrong=[
        ("swapped", lambda e, i: hold(e, i)[::-1], "The two lists are the wrong way round"),
        ("capitals", hold_by(lambda e: re.findall(r"\w+", " ".join(quotes(e))), str), "told apart"),
        ("everywhere", hold_by(lambda e: re.findall(r"\w+", e.lower())), "Words outside the quotation marks"),
        ("whole quotes", hold_by(lambda e: [piece.lower() for piece in quotes(e)]), "taken as one word"),
        ("one word a quote", hold_by(lambda e: re.findall(r'"(\w+)"', e.lower())), "Only quotes of one word"),
        ("punctuation", hold_by(lambda e: " ".join(quotes(e)).lower().split()), "punctuation inside the quotes"),
        ("parts of words", named_in_part, "Compare whole words"),
        ("repeats", with_repeats, "in the list twice"),
        ("unsorted", as_they_come, "not sorted"),
        ("missed only", lambda e, i: (hold(e, i)[0], []), "are not reported"),
        ("one list", lambda e, i: hold(e, i)[0] + ["and", "more"], "Return two lists"),
    ],
)

# --- table_row --------------------------------------------------------------------------------------------------------


def row(word, score):
    return f"<tr><td>{html.escape(word)}</td><td>{score:+.2f}</td></tr>"


def row_by_replacing(word, score):
    for letter, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        word = word.replace(letter, name)
    return "<tr>\n  <td>" + word + "</td>\n  <td>" + format(score, "+.2f") + "</td>\n</tr>"


def row_of(change):
    return lambda word, score: f"<tr><td>{change(word)}</td><td>{score:+.2f}</td></tr>"


TABLE_ROW = Exercise(
    check=check.table_row,
    right=[row, row_by_replacing],
    wrong=[
        ("as it was", row_of(str), "The bug is still there"),
        ("twice", row_of(lambda word: html.escape(html.escape(word))), "escaped twice"),
        ("no ampersand", row_of(lambda w: w.replace("<", "&lt;").replace(">", "&gt;")), "an ampersand has a meaning"),
        ("thrown away", row_of(lambda word: re.sub("[<>&]", "", word)), "thrown away"),
        ("no sign", lambda w, s: f"<tr><td>{html.escape(w)}</td><td>{s:.2f}</td></tr>", "sign, two decimals"),
        ("all escaped", lambda w, s: html.escape(row(w, s)), "A row is one `tr`"),
        ("pair", lambda w, s: (html.escape(w), s), "Return a string"),
    ],
)

EXERCISES = {
    "front_words": FRONT_WORDS,
    "votes": VOTES,
    "enough_and_needed": ENOUGH_AND_NEEDED,
    "exchanges": EXCHANGES,
    "turned": TURNED,
    "smallest_change": SMALLEST_CHANGE,
    "held_against": HELD_AGAINST,
    "table_row": TABLE_ROW,
}
