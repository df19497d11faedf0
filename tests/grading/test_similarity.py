"""Pairs of answers that resemble each other: copies are found however they were dressed up, honest ones are not."""

import random
import time

from classroom.grade.similarity import WINDOW, K, fingerprints, pairs

RELEASED = (
    'def spread(numbers):\n    """How far they lie apart."""\n    # YOUR CODE HERE\n    raise NotImplementedError'
)
SOLUTION = (
    'def spread(numbers):\n    """How far they lie apart."""\n    mean = sum(numbers) / len(numbers)\n'
    "    return (sum((number - mean) ** 2 for number in numbers) / len(numbers)) ** 0.5"
)
OWN_WAY = (
    'def spread(numbers):\n    """How far they lie apart."""\n    total, squares, count = 0.0, 0.0, 0\n'
    "    for value in numbers:\n        total += value\n        squares += value * value\n        count += 1\n"
    "    centre = total / count  # the middle\n    inner = squares / count - centre * centre\n    return inner ** 0.5"
)
RENAMED = OWN_WAY.replace("total", "a").replace("squares", "b").replace("count", "c").replace("value", "item")
RENAMED = RENAMED.replace("centre", "mid").replace("inner", "var").replace("  # the middle", "  # my own thought")
ANOTHER = (
    "def spread(numbers):\n    import statistics\n    points = sorted(numbers)\n    middle = statistics.fmean(points)\n"
    "    gaps = [abs(point - middle) for point in points]\n    result = statistics.fmean([gap * gap for gap in gaps])\n"
    "    return result ** (1 / 2)"
)


def found(**answers: str) -> list[tuple[str, str]]:
    return [(pair.one, pair.other) for pair in pairs({"spread": answers}, {"spread": [RELEASED, SOLUTION]})]


def test_a_copy_is_found_and_honest_answers_are_not():
    assert found(ada=OWN_WAY, ben=OWN_WAY, cem=ANOTHER, dee=SOLUTION, eve=RELEASED) == [("ada", "ben")]


def test_renaming_everything_does_not_hide_a_copy():
    (pair,) = pairs({"spread": {"ada": OWN_WAY, "ben": RENAMED, "cem": ANOTHER}}, {"spread": [RELEASED, SOLUTION]})
    assert (pair.one, pair.other) == ("ada", "ben")
    assert pair.names_alike == 1.0 > pair.as_written


def test_a_copy_among_other_code_is_found():
    more = (
        "\n\ndef helper(x, y, z):\n    while x < y:\n        x = x * 2 + z\n        print(x, y)\n    return x, y, z\n"
    )
    assert found(ada=OWN_WAY, ben=more + OWN_WAY.replace("\n", "  \n")) == [("ada", "ben")]


def test_what_everybody_has_says_nothing():
    assert found(ada=SOLUTION, ben=SOLUTION) == []
    assert found(ada=RELEASED + "\n    pass", ben=RELEASED + "\n    pass") == []


def test_what_a_fifth_of_the_class_wrote_says_nothing():
    lecture = {f"s{number}": OWN_WAY for number in range(6)}
    others = {f"t{number}": f"def spread(x):\n    return x[{number}]" for number in range(14)}
    assert found(**lecture, **others) == []
    assert found(**{"s0": OWN_WAY, "s1": OWN_WAY}, **others) == [("s0", "s1")]


def test_prose_is_compared_too():
    essay = "The median stays where it is, because one rich person more only moves it by half a place to the right."
    other = "I would print the mean, since it is what most readers have in mind when they read about an average income."
    answers = {"choice": {"ada": essay, "ben": "Well: " + essay, "cem": other}}
    (pair,) = pairs(answers, {})
    assert (pair.exercise, pair.one, pair.other) == ("choice", "ada", "ben")


def test_a_shared_passage_as_long_as_the_guarantee_is_always_seen():
    """Winnowing's promise, on random tokens: runs of k + window - 1 tokens in common share a fingerprint."""
    draw = random.Random(3)
    words = [f"w{number}" for number in range(50)]
    for _ in range(300):
        passage = draw.choices(words, k=K + WINDOW - 1)
        texts = [" ".join([*draw.choices(words, k=20), *passage, *draw.choices(words, k=20)]) for _ in range(2)]
        assert fingerprints(texts[0]) & fingerprints(texts[1])


def test_any_text_can_be_compared():
    for text in ("", "#", '"""', "'" * 1000, "\x00\ud800", "(" * 50_000, "def f(:\n\t1 +"):
        fingerprints(text)
        fingerprints(text, alike=True)


def test_a_class_is_compared_in_little_time():
    draw = random.Random(5)
    names = ["a", "b", "c", "total", "row", "x", "sum(x)", "len(row)", "x[0]", "y + 1", "row * 2", "c - a"]

    def answer() -> str:
        return "def f(x):\n" + "\n".join(f"    {draw.choice(names[:6])} = {draw.choice(names)}" for _ in range(15))

    answers = {f"exercise-{number}": {f"s{one}": answer() for one in range(200)} for number in range(12)}
    start = time.perf_counter()
    pairs(answers, {})
    print(f"12 exercises of 200 students compared in {time.perf_counter() - start:.1f} s")
