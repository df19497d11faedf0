"""Each exercise of each chapter: right answers pass however they are written, wrong ones are told their mistake."""

import ast
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.answers import Exercise

from classroom.checks import Mistake
from classroom.source import Chapter, is_graded, is_solution, marks

ANSWERS = Path(__file__).parents[1] / "answers"
SEEDS = (0, 4711)


def answers_to(name: str) -> dict[str, Exercise]:
    spec = importlib.util.spec_from_file_location(f"answers_{name}", ANSWERS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXERCISES


EXERCISES = {(path.stem, name): exercise for path in sorted(ANSWERS.glob("[0-9]*.py"))
             for name, exercise in answers_to(path.stem).items()}  # fmt: skip
RIGHT = [(*key, number) for key, exercise in EXERCISES.items() for number in range(len(exercise.right))]
WRONG = [(*key, number) for key, exercise in EXERCISES.items() for number in range(len(exercise.wrong))]


def checks_of(chapter: Chapter) -> ModuleType:
    return importlib.import_module(f"classroom.checks.{chapter.name.split('_', 1)[1]}")


def called_checks(chapter: Chapter) -> dict[str, bool]:
    """The check that each solution cell is given to -> whether the solution is a function."""
    cells = {marks(cell)["grade_id"]: cell for cell in chapter.notebook.cells if marks(cell)}
    called = {}
    for grade_id, cell in cells.items():
        if is_solution(cell) and not is_graded(cell):
            tree = ast.parse(cells[f"check-{grade_id}"].source)
            names = [node.func.attr for node in ast.walk(tree)
                     if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]  # fmt: skip
            is_function = any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(cell.source)))
            called.update(dict.fromkeys(names, is_function))
    return called


def message_of(check: Callable, answer, seed: int = 0) -> str:
    with pytest.raises(Mistake) as caught:
        check(answer, seed=seed)
    return str(caught.value)


@pytest.mark.parametrize(("chapter_name", "name", "number"), RIGHT)
def test_a_right_answer_passes(chapter_name, name, number, capfd):
    exercise = EXERCISES[chapter_name, name]
    for seed in SEEDS:
        assert exercise.check(exercise.right[number], seed=seed) is None, "nbgrader may take a value for the marks"
    shown = capfd.readouterr()
    assert shown.out.count("✓") >= len(SEEDS)
    assert shown.err == "", "nbgrader gives no marks to a cell that writes to stderr"


@pytest.mark.parametrize(("chapter_name", "name", "number"), WRONG)
def test_a_wrong_answer_is_told_its_mistake(chapter_name, name, number, capfd):
    exercise = EXERCISES[chapter_name, name]
    label, answer, words = exercise.wrong[number]
    for seed in SEEDS:
        assert words in message_of(exercise.check, answer, seed), f"{label}, seed {seed}"
    shown = capfd.readouterr()
    assert shown.err == ""


def unwritten(*args, **kwargs):
    raise NotImplementedError()


def test_there_are_enough_answers_and_each_message_is_its_own(capsys):
    table = [f"\n{'exercise':<40} wrong answers  caught  messages  right answers"]
    for (chapter_name, name), exercise in EXERCISES.items():
        assert exercise.check.__name__ == name
        messages = [message_of(exercise.check, answer).splitlines()[0] for _, answer, _ in exercise.wrong]
        wrong, own, right = len(exercise.wrong), len(set(messages)), len(exercise.right)
        table.append(f"{chapter_name + ' ' + name:<40} {wrong:>13} {len(messages):>7} {own:>9} {right:>14}")
        assert wrong >= 5 and right >= 2, f"{name}: {wrong} wrong and {right} right answers; 5 and 2 are the least"
        twice = {message for message in messages if messages.count(message) > 1}
        assert not twice, f"{name}: several wrong answers are told {twice}"
        assert "not written yet" in message_of(exercise.check, unwritten)
        for call in (..., None, 3, lambda *args, **kwargs: None, lambda: None):
            message_of(exercise.check, call)
    with capsys.disabled():
        print("\n".join(table))


def test_every_coding_exercise_has_answers(chapter):
    coding = {name for name, is_function in called_checks(chapter).items() if is_function}
    assert coding == {name for chapter_name, name in EXERCISES if chapter_name == chapter.name}


def verdict_on(check: Callable, answer) -> str:
    try:
        check(answer)
    except Mistake as mistake:
        return str(mistake)
    return "right"


def test_every_question_gives_a_reason_for_each_wrong_choice(chapter):
    questions = [name for name, is_function in called_checks(chapter).items() if not is_function]
    assert len(questions) >= 3, "a chapter asks at least three questions that are marked at once"
    for name in questions:
        check = getattr(checks_of(chapter), name)
        assert verdict_on(check, ...) == "Not answered yet."
        verdicts = {letter: verdict_on(check, letter) for letter in "abcdef"}
        reasons = [verdict for letter, verdict in verdicts.items() if verdict.startswith(f"Not {letter}: ")]
        assert list(verdicts.values()).count("right") == 1, name
        assert len(reasons) >= 2 and len(set(reasons)) == len(reasons), name
        assert all(len(reason) > 25 for reason in reasons), name
