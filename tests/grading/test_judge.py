"""Judging outside: every answer of tests/answers gets through the sandbox what it gets beside the check."""

import contextlib
import io
import re

import pytest
from tests.chapters import COURSE
from tests.chapters.test_answers import ANSWERS, answers_to

from classroom.checks import Mistake
from classroom.grade import job, station
from classroom.grade.job import Cell, Job, Paper
from classroom.grade.submission import Submission

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("sandboxes")]
AT_ONCE = 40
CHAPTERS = sorted(path.stem for path in ANSWERS.glob("[0-9]*.py"))


def source_of(chapter: str) -> str:
    """The file of answers, line by line, as a cell that needs none of the tests."""
    text = (ANSWERS / f"{chapter}.py").read_text(encoding="utf-8")
    return text.replace("from tests.answers import Exercise", 'Exercise = __import__("types").SimpleNamespace')


def jobs(chapter: str) -> list[tuple[Job, dict]]:
    """Jobs in which each answer stands before its check, and what is known of each answer by the cell's id."""
    known = {}
    for name, exercise in answers_to(chapter).items():
        for place, answer in enumerate(exercise.right):
            known[f"{name}-right-{place}"] = (exercise, f"EXERCISES[{name!r}].right[{place}]", answer, None)
        for place, (_, answer, words) in enumerate(exercise.wrong):
            known[f"{name}-wrong-{place}"] = (exercise, f"EXERCISES[{name!r}].wrong[{place}][1]", answer, words)
    imports = {"check": f"from classroom.checks import {chapter.partition('_')[2]} as check"}
    teaches = job.paper(COURSE, chapter).teaches
    made = []
    for first in range(0, len(known), AT_ONCE):
        part = dict(list(known.items())[first : first + AT_ONCE])
        cells = [Cell("answers", "code", True, "", source_of(chapter))]
        for key, (exercise, expression, _, words) in part.items():
            name = exercise.check.__name__
            test = f"check.{name}(answer)"
            if words is None:
                test += f"\n### BEGIN HIDDEN TESTS\ncheck.{name}(answer, seed=4711)\n### END HIDDEN TESTS"
            cells.append(Cell(f"take-{key}", "code", True, "", f"answer = {expression}"))
            cells.append(Cell(key, "test", True, test, "", 10))
        paper = Paper(chapter, tuple(cells), tuple(teaches), imports)
        seeds = {key: 1000 + place for place, key in enumerate(part)}
        made.append((Job(paper, Submission("somebody", chapter, {}), seeds), part))
    return made


def beside(exercise, answer) -> str:
    """What the check says to the answer where both run in one process."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exercise.check(answer)
    except Mistake as mistake:
        return str(mistake)
    return "right"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_answer_gets_outside_what_it_gets_beside_the_check(chapter):
    right = wrong = 0
    for work, part in jobs(chapter):
        result = station.run(work)
        assert result.status == "graded", result.notes
        for key, (exercise, _, answer, words) in part.items():
            score = result.scores[key]
            if words is None:
                assert score.points == 10, f"{key}: {score.message}"
                right += 1
            else:
                assert score.points == 0, key
                assert words in score.message, key
                assert without_names(score.message) == without_names(beside(exercise, answer)), key
                wrong += 1
    print(f"\n{chapter}: {right} right answers earn their points, {wrong} wrong ones get their message")


def without_names(message: str) -> str:
    """Two lambdas have one name here and another there; so have the lines that they stand on."""
    return re.sub(r"\n  on line .*", "", message)
