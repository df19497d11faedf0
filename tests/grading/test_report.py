"""What students and instructors read: complete, escaped, bounded, and to the student nothing that is not theirs."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.grading.handed_in import ANSWERS, CHAPTER, cell, engine, fill_class, hand_in, judged, notebook
from tests.grading.test_gradebook import give

from classroom.grade.class_run import run
from classroom.grade.result import CHARACTERS_A_MESSAGE, CHARACTERS_AN_OUTPUT, Result, Score, bounded

BAD = "</pre></textarea><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202eevil\x00"


class Tags(HTMLParser):
    """The elements of a page, their attributes, and whether every one that is opened is closed."""

    EMPTY = {"meta", "link", "br"}

    def __init__(self, page: str):
        super().__init__()
        self.open, self.found, self.attributes = [], set(), set()
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def feedback(course: Path, student: str) -> str:
    return (course / "feedback" / student / CHAPTER / f"{CHAPTER}.html").read_text(encoding="utf-8")


def report(course: Path) -> str:
    return (course / "grades" / CHAPTER / "report.html").read_text(encoding="utf-8")


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.fixture
def graded(toy_course) -> Path:
    fill_class(toy_course)
    hand_in(toy_course, "torn", b"{")
    run(toy_course, CHAPTER, engine=engine, protections=["no network: on"])
    return toy_course


def test_feedback_has_ones_own_answers_messages_and_marks(graded):
    page = words(feedback(graded, "dee"))
    assert "dee: 11 of 20 points . Some answers still wait to be read; their points are not in it." in page
    assert "return sum(numbers) / len(numbers)" in page
    assert "7 of 7 points mean holds" in page
    assert "0 of 3 points robust is not right yet" in page
    assert "to be read of 6 points" in page
    assert "Not answered." in words(feedback(graded, "ben"))


def test_feedback_shows_a_persons_marks_and_comments_after_the_next_run(graded):
    give(graded, "ada", 5, comment="Good, <but> short.")
    run(graded, CHAPTER, engine=engine)
    page = feedback(graded, "ada")
    assert "ada: 19 of 20 points ." in words(page)
    assert "Good, &lt;but&gt; short." in page


def test_feedback_holds_nothing_of_anybody_elses_nor_of_ours(graded):
    """No hidden test, rubric, solution, path, digest, or other student."""
    for student in ("ada", "ben", "cem", "dee"):
        page = feedback(graded, student)
        for secret in ("1024", "HIDDEN", "Three points for the median", "total_of_all", str(graded), "submitted/"):
            assert secret not in page
        for other in {"ada", "ben", "cem", "dee", "torn"} - {student}:
            assert not re.search(rf"\b{other}\b", page)
        assert not re.search(r"[0-9a-f]{40}", page)
    assert not (graded / "feedback" / "torn").joinpath(CHAPTER).exists()


def test_folders_of_ours_that_code_printed_are_left_out(toy_course):
    hand_in(toy_course, "ada", notebook(toy_course, ANSWERS | {"mean": ANSWERS["mean"] + "\nprint('x')"}))

    def by(submissions):
        for one in submissions:
            yield replace(judged(one), outputs={"mean": f"File {toy_course}/solutions/x, {Path.home()}/.ssh/id"})

    run(toy_course, CHAPTER, engine=by)
    page = feedback(toy_course, "ada")
    assert str(toy_course) not in page
    assert "File …/solutions/x" in page
    assert len(str(Path.home())) < 4 or str(Path.home()) not in page


def test_pages_are_whole_escaped_and_fetch_nothing(toy_course):
    answers = {name: text + BAD for name, text in ANSWERS.items()}
    hand_in(toy_course, "<b>bo", notebook(toy_course, answers, lambda cells: cells.append(cell(BAD))))
    hand_in(toy_course, "</h1>", BAD.encode())

    def by(submissions):
        for one in submissions:
            scores = {name: Score(0, score.max, BAD) for name, score in judged(one).scores.items()}
            outputs = {"mean": BAD, "extra-0": BAD}
            yield replace(judged(one), status="failed", scores=scores, outputs=outputs, notes=(BAD,))

    run(toy_course, CHAPTER, engine=by, protections=[BAD])
    for page in (report(toy_course), feedback(toy_course, "b-bo")):
        tags = Tags(page)
        assert not tags.found & {"script", "img", "iframe", "object", "svg", "link", "form"}
        assert not any(name.startswith("on") or name in ("src", "srcset", "style") for name in tags.attributes)
        assert "default-src 'none'" in page
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page), "nothing that can't be seen"
        assert "&lt;script&gt;" in page


def test_pages_stay_small_whatever_was_printed_or_written(toy_course):
    answers = ANSWERS | {"mean": "x = 1  # " + "é" * 190_000, "written-choice": "w " * 90_000}
    hand_in(toy_course, "ada", notebook(toy_course, answers))

    def by(submissions):
        for one in submissions:
            result = judged(one)
            scores = {name: replace(score, message="m" * CHARACTERS_A_MESSAGE) for name, score in result.scores.items()}
            yield replace(result, scores=scores, outputs={"mean": "o" * 10_000_000}, notes=("n" * 10_000,) * 1000)

    run(toy_course, CHAPTER, engine=by)
    assert len(feedback(toy_course, "ada")) < 150_000
    assert len(report(toy_course)) < 150_000
    result = Result.read(toy_course / "grades" / CHAPTER / "results" / "ada.json")
    assert len(result.outputs["mean"]) == CHARACTERS_AN_OUTPUT
    assert result.outputs["mean"].endswith("(shortened)")


def test_the_report_lists_every_submission_and_what_to_look_at(graded):
    page = words(report(graded))
    assert "5 submissions: 4 graded, 1 not graded. 1 have something that a person should look at, 2 have" in page
    assert "torn: not graded" in page and "not a notebook, or one that was cut off" in page
    for student, points in (("ada", 14), ("ben", 0), ("cem", 7), ("dee", 11)):
        assert f"{student} {points} 20 graded" in page
    assert "Exercise 1.1: The mean 7 5.25 75% 1 × mean is not right yet" in page
    assert "classroom grade 01_averages --again --student NAME" in page
    assert "no network: on" in page
    assert Result.read(graded / "grades" / CHAPTER / "results" / "ada.json").digest in page


def test_the_report_shows_pairs_to_read(toy_course):
    own = "def mean(numbers):\n    total = 0\n    for one in numbers:\n        total = total + one\n"
    own += "    many = len(numbers)\n    result = total / many\n"
    own += "    # as in the lecture, divided by how many there are\n    return result"
    for student in ("ada", "ben"):
        hand_in(toy_course, student, notebook(toy_course, ANSWERS | {"mean": own, "written-choice": student * 3}))
    hand_in(toy_course, "cem", notebook(toy_course, ANSWERS | {"written-choice": "something else"}))
    run(toy_course, CHAPTER, engine=engine)
    page = words(report(toy_course))
    assert "ada and ben" in page and "Pairs to read, not verdicts" in page
    assert "cem and" not in page and "and cem" not in page


def test_results_out_of_bounds_are_refused():
    good = {"points": 3, "max": 7, "message": "m"}
    make = lambda **score: Result("a", "c", "d", "graded", {"x": Score(**good | score)})  # noqa: E731
    make()
    for wrong in ({"points": 8}, {"points": -1}, {"points": float("nan")}, {"points": True}, {"points": "7"}):
        with pytest.raises(ValueError, match="points is not possible"):
            make(**wrong)
    for wrong in ({"max": float("inf")}, {"max": -1}):
        with pytest.raises(ValueError):
            make(**wrong)
    with pytest.raises(ValueError, match="has no scores"):
        Result("a", "c", "d", "not_graded", {"x": Score(1, 1)})
    with pytest.raises(ValueError, match="no such status"):
        Result("a", "c", "d", "great")


def test_a_result_is_read_back_as_it_was_and_nothing_else_is(tmp_path):
    result = Result("é\ud800", "c", "d", "failed", {"x": Score(None, 2.5, "\ud800")}, {"x": "\x00"}, ("n",), 1.5, "k")
    path = tmp_path / "r.json"
    result.write(path)
    assert Result.read(path) == result
    text = path.read_text()
    for wrong in (
        "", "[]", "{}", text[:-2], text.replace("2.5", "NaN"), text.replace("2.5", "1e999"),
        text.replace('"n"', "5"),
        text.replace("null", '"0"'), text.replace('"failed"', '"paid"'), "[" * 100_000,
        text.replace('"seconds"', '"s"'),
        text.replace("null", "2.6"), text.replace('"k"', "{}"),
    ):  # fmt: skip
        path.write_text(wrong)
        with pytest.raises(ValueError):
            Result.read(path)


def test_what_is_cut_says_so():
    assert bounded("x" * 30, 30) == "x" * 30
    assert bounded("x" * 31, 30) == "x" * 17 + "… (shortened)"
