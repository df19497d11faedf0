"""What of a chapter's own cells runs while a class is graded."""

import pytest

from classroom.grade.needed import left_out, makes, uses

SETUP = ("setup", "import torch\nfrom classroom.checks import rollout as check\nmodel = load()", True)
ANSWER = ("answer", "def share(x):\n    return x / x.sum()", False)
TEST = ("test", "check.share(share)", False)


def kept(*cells: tuple[str, str, bool]) -> list[str]:
    out = left_out([SETUP, *cells])
    return [key for key, *_ in (SETUP, *cells) if key not in out]


def test_an_experiment_is_left_out_and_what_makes_a_name_runs():
    experiment = ("experiment", "rates = [share(torch.ones(n)) for n in range(9)]\nprint(rates)", True)
    assert kept(experiment, ANSWER, TEST) == ["setup", "answer", "test"]
    assert kept(experiment, ("answer", "def share(x):\n    return rates", False), TEST) == [
        "setup", "experiment", "answer", "test",
    ]  # fmt: skip


def test_what_a_cell_that_runs_needs_runs_too():
    chain = [("words", "words = ['a', 'b']", True), ("pairs", "pairs = [(w, w) for w in words]", True)]
    assert kept(*chain, ("test", "check.share(share, pairs)", False)) == ["setup", "words", "pairs", "test"]
    assert kept(*chain, TEST) == ["setup", "test"]


@pytest.mark.parametrize(
    "change",
    [
        "words.append('c')", "words[0] = 'c'", "words[0][1].x = 3", "del words[0]", "words += ['c']",
        "words: list = []",
        "for words in [1]: pass", "with open('x') as words: pass", "import words", "from a import b as words",
        "def words(): pass", "class words: pass", "def f():\n    global words\n    words = 3", "(words := 3)",
        "from a import *", "%run something", "if True:\n    words.pop()",
    ],
)  # fmt: skip
def test_whatever_changes_a_name_counts_as_making_it(change):
    assert kept(("words", "words = ['a']", True), ("change", change, True), ("test", "check.share(words)", False)) == [
        "setup", "words", "change", "test",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    ["lambda: words", "def f(x=words): pass", "eval('words')", "globals()['words']", "f'{words}'", "!echo {words}",
     "__import__('sys').modules['__main__'].words", "class A:\n    b = words", "[x for x in [] if words]"],
)  # fmt: skip
def test_every_way_to_use_a_name_counts(source):
    assert "words" in uses(source)
    assert kept(("words", "words = ['a']", True), ("answer", source, False)) == ["words", "answer"]


def test_a_name_that_belongs_to_a_function_is_another_one():
    assert "words" not in uses("def f(words):\n    return [words for word in words]")
    assert makes("def f():\n    words = 3\n    return [word for word in words]") == {"f"}


def test_the_cells_of_students_always_run():
    assert kept(("own", "x = 3", False), ("answer", "", False)) == ["own", "answer"]
