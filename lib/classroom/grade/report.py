"""The instructor's page: each submission, its mark and what a person should see; the exercises; who resembles whom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from nbformat import NotebookNode

from classroom.gates.marks import tasks_of
from classroom.grade.gradebook import Mark
from classroom.grade.page import page, pre, table, text
from classroom.grade.result import Result
from classroom.grade.similarity import PAIRS_SHOWN, Pair
from classroom.grade.submission import Submission
from classroom.source import is_graded, marks

CHARACTERS_A_MESSAGE, MESSAGES_SHOWN, NOTES_SHOWN = 2_000, 5, 20
STATUS = {
    "graded": "graded",
    "failed": "the code stopped",
    "timed_out": "ran out of time",
    "not_graded": "not graded",
}


@dataclass(frozen=True)
class Line:
    """One student: what was handed in (if it could be read), what came of it, and the marks (if there are any)."""

    student: str
    place: str
    result: Result
    submission: Submission | None = None
    mark: Mark | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def all_notes(self) -> tuple[str, ...]:
        own = self.submission.notes if self.submission else ()
        return tuple(dict.fromkeys((*self.notes, *self.result.notes, *own)))


def report(chapter: NotebookNode, lines: list[Line], pairs: list[Pair], protections: Iterable[str], when: str) -> str:
    """The page's HTML; `chapter` is the released one, `protections` what kept the students' code from the rest."""
    name = chapter.metadata.get("chapter", {}).get("name", "")
    title = chapter.metadata.get("chapter", {}).get("title", name)
    titles = {
        marks(cell)["grade_id"]: task.title for task in tasks_of(chapter) for cell in task.cells if is_graded(cell)
    }
    counts = Counter(line.result.status for line in lines)
    summary = ", ".join(f"{number} {STATUS[status]}" for status, number in sorted(counts.items()))
    to_look_at = [line for line in lines if line.all_notes or line.result.status != "graded"]
    waiting = [line for line in lines if line.mark and line.mark.waiting]
    body = [
        f"<h1>{text(title)}: report</h1>",
        f"<p>{text(when)}: {len(lines)} submissions: {text(summary)}. {len(to_look_at)} have something that a "
        f"person should look at, {len(waiting)} have answers that wait for a person (in formgrader).</p>",
        "<h2>To look at</h2>",
        "".join(_notes(line) for line in to_look_at) or "<p>Nothing.</p>",
        "<h2>All submissions</h2>",
        table(["student", "mark", "of", "what came of it", "waits", "s"], [_row(line) for line in lines], (1, 2, 5)),
        "<h2>Exercises</h2>",
        table(
            ["exercise", "points", "mean", "full marks", "what most were told"], _exercises(titles, lines), (1, 2, 3)
        ),
        "<h2>Answers that resemble each other</h2>",
        _pairs(pairs, {line.student: line.submission for line in lines if line.submission}),
        "<h2>How these marks can be made again</h2>",
        f"<p><code>classroom grade {text(name)} --again --student NAME</code> grades one submission again, on the same "
        "inputs: they come from the course's secret, the student's name, the chapter and the exercise. A submission is "
        "known by its digest:</p>",
        _digests(lines),
        "<h2>What stood between the students' code and the rest</h2>",
        "<ul>" + "".join(f"<li>{text(line)}</li>" for line in protections) + "</ul>",
    ]
    return page(f"{title}: report", "\n".join(body))


def _row(line: Line) -> list[str]:
    mark = line.mark
    return [
        f'<a href="#{text(line.student)}">{text(line.student)}</a>' if line.all_notes else text(line.student),
        f"{mark.score:g}" if mark else "",
        f"{mark.max:g}" if mark else "",
        text(STATUS[line.result.status]),
        text(", ".join(mark.waiting) if mark else ""),
        f"{line.result.seconds:.1f}",
    ]


def _notes(line: Line) -> str:
    notes = "".join(f"<li>{text(note, CHARACTERS_A_MESSAGE)}</li>" for note in line.all_notes[:NOTES_SHOWN])
    more = len(line.all_notes) - NOTES_SHOWN
    notes += f"<li>and {more} more</li>" if more > 0 else ""
    return (
        f'<h3 id="{text(line.student)}">{text(line.student)}: {text(STATUS[line.result.status])}</h3>'
        f'<p class="small">{text(line.place)}</p><ul>{notes}</ul>'
    )


def _exercises(titles: dict[str, str], lines: list[Line]) -> list[list[str]]:
    rows = []
    for name, title in titles.items():
        cells = [line.mark.cells[name] for line in lines if line.mark and name in line.mark.cells]
        if not cells:
            continue
        full = sum(cell.points >= cell.max for cell in cells)
        scores = [line.result.scores[name] for line in lines if name in line.result.scores]
        told = Counter(score.message for score in scores if score.message and (score.points or 0) < score.max)
        messages = "".join(
            f"<details><summary>{number} × {text(_first_line(message), 120)}</summary>"
            f"{pre(message[:CHARACTERS_A_MESSAGE])}</details>"
            for message, number in told.most_common(MESSAGES_SHOWN)
        )
        mean = sum(cell.points for cell in cells) / len(cells)
        rows.append([text(title or name), f"{cells[0].max:g}", f"{mean:.2f}", f"{full / len(cells):.0%}", messages])
    return rows


def _pairs(pairs: list[Pair], submissions: dict[str, Submission]) -> str:
    if not pairs:
        return "<p>No two answers share more than the exercise explains.</p>"
    rows = []
    for pair in pairs[:PAIRS_SHOWN]:
        answers = "".join(
            f"<p>{text(student)}</p>{pre(submissions[student].answers.get(pair.exercise, '')[:CHARACTERS_A_MESSAGE])}"
            for student in (pair.one, pair.other)
        )
        shown = f"<details><summary>{text(pair.one)} and {text(pair.other)}</summary>{answers}</details>"
        rows.append([shown, text(pair.exercise), f"{pair.as_written:.0%}", f"{pair.names_alike:.0%}", str(pair.shared)])
    more = f" The first {PAIRS_SHOWN} of {len(pairs)} are shown." if len(pairs) > PAIRS_SHOWN else ""
    return (
        "<p>Pairs to read, not verdicts: short exercises have few good answers. What stands in the released chapter or "
        f"in the solution, and what many wrote, is left out.{more}</p>"
        + table(["pair", "exercise", "as written", "names alike", "passages"], rows, (2, 3, 4))
    )


def _digests(lines: list[Line]) -> str:
    rows = [
        [
            text(line.student),
            f"<code>{text(line.result.digest)}</code>",
            f"<code>{text(line.result.course[:16])}</code>",
        ]
        for line in lines
        if line.result.digest
    ]
    return "<details><summary>digests</summary>" + table(["student", "submission", "judged by"], rows) + "</details>"


def _first_line(message: str) -> str:
    return message.strip().split("\n")[0] if message.strip() else ""
