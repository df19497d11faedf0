"""Judge one submission: run its cells in the sandbox, and the checks here.

A verdict is reached in this process alone. A graded cell is the course's own, with its hidden tests; where it hands a
name to a check, the check gets what stands under that name in the student's process: a value as plain data, or a
function whose calls go there. No object of the student's ever comes here, and what decides about points never goes
there. The hidden tests draw their inputs from a seed of the student's own.
"""

import ast
import builtins
import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from classroom.calling import Failure
from classroom.checks import Mistake, Raised
from classroom.checks._tables import without_numbers
from classroom.grade.job import Cell, Job
from classroom.grade.needed import left_out
from classroom.grade.notices import notices
from classroom.grade.result import CHARACTERS_A_MESSAGE, Result, Score, Status, bounded
from classroom.grade.sandbox import Child, Died, Sandbox
from classroom.grade.stage import EMPTY
from classroom.grade.subjects import Functions, model_node, put_on, tokenizer_node
from classroom.grade.wire import STUDENT, Reader, WireError, Writer

RESTARTS = 3  # after a cell that ended the process: the others still get their marks
NOT_WRITTEN = "Nothing was written here."
NOT_RUN = "[This cell shows something and decides about no mark: it is not run while a class is graded.]"


class CannotCross(BaseException):
    """A check hands over something that can't go into the sandbox: that is the course's fault, and nobody's 0."""


def judge(job: Job, sandbox: Sandbox) -> Result:
    """The result of a submission. Raises `SandboxFailed` if our side failed."""
    return _Judgement(job, sandbox).result()


@dataclass
class _Step:
    """A cell that runs in the student's process, or one that is judged."""

    key: str
    source: str
    cell: Cell | None = None
    is_theirs: bool = True

    @property
    def is_test(self) -> bool:
        return self.cell is not None and self.cell.kind == "test"


@dataclass
class _Judgement:
    job: Job
    sandbox: Sandbox
    scores: dict[str, Score] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    late: bool = False
    died: bool = False

    def result(self) -> Result:
        began = time.monotonic()
        self.deadline = began + self.job.limits.total_seconds
        self.tests = {cell.id: cell for cell in self.job.paper.cells if cell.kind == "test"}
        self.steps = self._without_experiments(list(self._steps()))
        for _ in range(1 + RESTARTS):
            if self._attempt() or time.monotonic() > self.deadline:
                break
        for cell in self.job.paper.cells:
            if cell.kind == "test" and cell.id not in self.scores:
                self.scores[cell.id] = Score(0, cell.points, "Not judged: the code before it did not come to an end.")
            elif cell.kind == "written":
                self.scores[cell.id] = self._written(cell)
        status: Status = "timed_out" if self.late else "failed" if self.died else "graded"
        submission = self.job.submission
        theirs = {step.key: step.source for step in self.steps if step.is_theirs}
        return Result(
            submission.student,
            submission.chapter,
            submission.digest,
            status,
            scores={cell.id: self.scores[cell.id] for cell in self.job.paper.cells if cell.id in self.scores},
            outputs={name: _plain(text) for name, text in self.outputs.items()},
            notes=tuple(_plain(note) for note in (*self.notes, *notices(theirs))),
            seconds=round(time.monotonic() - began, 3),
        )

    def _steps(self) -> Iterator[_Step]:
        """The cells in order, up to the last one that is judged: what comes behind it can change no mark."""
        answers, extras = self.job.submission.answers, self.job.submission.extras
        cells = self.job.paper.cells
        behind = {cell.id: [] for cell in cells} | {"": []}
        for number, extra in enumerate(extras):
            behind.get(extra.after, behind[""]).append(_Step(f"extra-{number}", extra.source))
        last = max((place for place, cell in enumerate(cells) if cell.id in self.tests), default=-1)
        yield from behind[""]
        for cell in cells[: last + 1]:
            if cell.kind == "test":
                yield _Step(cell.id, cell.source, cell, False)
            elif cell.kind != "written" or cell.is_code:
                yield _Step(cell.id, answers.get(cell.id, cell.released), None, cell.id in answers)
            yield from behind[cell.id]

    def _without_experiments(self, steps: list[_Step]) -> list[_Step]:
        """The steps without the course's own cells that no mark can depend on."""
        ours = {cell.id for cell in self.job.paper.cells if cell.kind == "code"}
        out = left_out([(step.key, step.source, step.key in ours and not step.is_theirs) for step in steps])
        self.outputs |= dict.fromkeys(out, NOT_RUN)
        return [step for step in steps if step.key not in out]

    def _written(self, cell: Cell) -> Score:
        answer = self.job.submission.answers.get(cell.id, cell.released)
        if answer.split() == cell.released.split() or not answer.strip():
            return Score(0, cell.points, NOT_WRITTEN)
        return Score(None, cell.points)

    def _attempt(self) -> bool:
        """Run all cells but those that ended the process before, and judge what was not judged yet."""
        child, copies, ended, last = self.sandbox.open(), {}, "", ""
        try:
            for step in self.steps:
                if step.is_test:
                    if step.key not in self.scores:
                        ended = self._copy(child, step, copies, last)
                elif step.key not in self.skipped:
                    ended = self._run(child, step)
                    last = step.key if step.is_theirs else last
                if ended:
                    break
            if ended:
                self.died = True
                self.skipped.add(ended)
            tests = {key: _Test(self, self.tests[key], copy) for key, copy in copies.items()}
            for test in tests.values():
                test.visible()
            for key, test in tests.items():  # from here on, no word of theirs reaches anybody
                self.scores[key] = test.hidden()
                test.copy.close()
        finally:
            child.close()
            reason = self.sandbox.close_child()
        if reason:
            self.notes.append(f"{ended or 'A call'}: the process was ended because {reason}.")
        return not ended

    def _copy(self, child: Child, step: _Step, copies: dict[str, Child], last: str) -> str:
        """Copy the process as it is before a test. If it can't be, `last`, the last cell of theirs, is to blame."""
        try:
            copies[step.key] = child.copy()
        except Died as died:
            self.late |= died.late
            self.notes.append(f"{step.key}: the process could not be copied, {died}. {last} was left out.")
            if not last:
                self.scores[step.key] = Score(0, step.cell.points, "Not judged: the process had ended before.")
            return last or step.key
        return ""

    def _run(self, child: Child, step: _Step) -> str:
        """Run one cell; its key if the process did not survive it."""
        seconds = min(self.job.limits.cell_seconds, self.deadline - time.monotonic())
        if seconds <= 0:
            self.late = True
            self.notes.append(f"{step.key}: not run any more, the time for the whole submission was up.")
            return step.key
        try:
            output, failed = child.run(step.source, seconds)
        except Died as died:
            self.late |= died.late
            self.notes.append(f"{step.key}: {died}. The other cells were run again without it.")
            self.outputs.setdefault(step.key, f"[This cell was stopped, and left out: {died}.]")
            return step.key
        if failed == "Timeout":
            self.late = True
            output += f"\n[This cell was interrupted after {seconds:g} seconds.]"
            self.notes.append(f"{step.key}: interrupted after {seconds:g} seconds.")
        if not step.is_theirs and failed == "NotImplementedError" and EMPTY in output:
            output = NOT_RUN
        self.outputs.setdefault(step.key, output)
        return ""


class _Test:
    """One graded cell, judged on what a copy of the student's process answers."""

    def __init__(self, judgement: _Judgement, cell: Cell, copy: Child):
        self.judgement, self.cell, self.copy = judgement, cell, copy
        self.limits = judgement.job.limits
        self.deadline = 0.0
        self.names: dict[str, Any] = {}
        self.said = io.StringIO()
        self.score: Score | None = None

    def visible(self) -> None:
        """Judge by what the student's own copy of the cell asks, too."""
        self._judge(self._begin)

    def hidden(self) -> Score:
        """All points or none, and what the check says, after the hidden tests.

        Copies could pass on to each other what they are asked, so this comes after the visible tests of all cells, and
        says nothing about numbers.
        """
        with without_numbers():
            self._judge(self._finish)
        line = self.said.getvalue().strip().splitlines()
        return self.score or self._score(self.cell.points, line[0].removeprefix("✓ ") if line else "")

    def _judge(self, part: Callable[[], None]) -> None:
        if self.score is not None:
            return
        self.deadline = min(time.monotonic() + 2 * self.limits.call_seconds, self.judgement.deadline)
        try:
            with contextlib.redirect_stdout(self.said), contextlib.redirect_stderr(self.said):
                part()
        except Mistake as mistake:
            self.score = self._score(0, str(mistake))
        except Died as died:
            self.note(str(died), died)
            self.score = self._score(0, f"What the check needs could not be had: {died}.")
        except CannotCross as error:
            self.note(f"it can't be judged outside, and waits for a person: {error}")
            self.score = Score(None, self.cell.points, "A person will look at this one.")
        except WireError as error:
            self.note(f"it sent {error}")
            self.score = self._score(0, "What came back is no value that can be judged.")
        except (Exception, SystemExit) as error:
            self.note(f"the check stopped with {type(error).__name__}: {error}")
            self.score = self._score(0, f"The check could not make sense of what it got ({type(error).__name__}).")

    def _score(self, points: float, message: str) -> Score:
        return Score(points, self.cell.points, bounded(_plain(message), CHARACTERS_A_MESSAGE))

    def note(self, words: str, died: Died | None = None) -> None:
        """Tell the instructor."""
        self.judgement.notes.append(f"{self.cell.id}: {words}.")
        self.judgement.late |= died is not None and died.late
        self.judgement.died |= died is not None

    def _begin(self) -> None:
        tree = ast.parse(self.cell.source)
        loaded = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        ours = {name: line for name, line in self.judgement.job.paper.imports.items() if name in loaded}
        for line in ours.values():
            exec(line, self.names)  # the course's own imports
        self.names |= self._look(sorted(loaded - stored - ours.keys() - set(dir(builtins))))
        self._run(until_hidden=True)

    def _finish(self) -> None:
        self._run(until_hidden=False)

    def _run(self, until_hidden: bool) -> None:
        """Run the cell's statements up to the first hidden one, or those from there on."""
        hidden = _hidden_lines(self.cell.source)
        first = min(hidden, default=10**9)
        for statement in ast.parse(self.cell.source).body:
            if (statement.lineno < first) != until_hidden:
                continue
            if statement.lineno in hidden:
                statement = _Seeds(self.judgement.job.seeds[self.cell.id]).visit(statement)
            code = compile(ast.fix_missing_locations(ast.Module([statement], [])), self.cell.id, "exec")
            exec(code, self.names)  # the course's own test

    def _look(self, names: list[str]) -> dict[str, Any]:
        """What stands under `names` in the student's process."""
        answer, raw = self.ask({"do": "look", "names": names}, [])
        found = answer.get("found")
        if not isinstance(found, dict):
            raise WireError("an answer without values")
        missing = [name for name in names if name not in found]
        if missing:
            raise Mistake(f"`{missing[0]}` is not there: the cell that should make it is missing, or stopped before.")
        reader = Reader(raw, STUDENT, lambda kind, content, reader: self.special(kind, content))
        return {name: reader.value(node) for name, node in found.items() if name in names}

    def special(self, kind: str, content: Any, name: str = "") -> Any:
        """A function of the student's."""
        if kind != "function" or not isinstance(content, list) or len(content) != 2 or type(content[0]) is not int:
            raise WireError("a kind of value that is not allowed here")
        name = content[1] if isinstance(content[1], str) and content[1].isidentifier() else name
        return Remote(self, content[0], name[:60])

    def ask(
        self, order: dict[str, Any], raw: list[bytes], questions: Callable | None = None
    ) -> tuple[dict[str, Any], memoryview]:
        """Send `order` to the student's process, and return its answer. Raises `Mistake` if the time is up."""
        left = min(self.limits.call_seconds, self.deadline - time.monotonic())
        if left <= 0:
            raise Mistake("The time for this check was up before all calls were made.")
        answer, pieces, late = self.copy.ask(order, raw, seconds=left, questions=questions)
        if late:
            self.judgement.late = True
            self.note(f"a call was interrupted after {left:.0f} seconds")
            raise Mistake(f"It was stopped after {left:.0f} seconds. Is there a loop that never ends?")
        return answer, pieces


class Remote:
    """A function of the student's, which runs in the sandbox."""

    def __init__(self, test: _Test, key: int, name: str):
        self.test, self.key, self.__name__ = test, key, name
        self.changed_its_arguments = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there. Raises `Raised` with what it raised, or the check's own error if that came through it."""
        functions = Functions()
        models = [value.func for value in (*args, *kwargs.values()) if _runs_a_model(value)]
        writer = Writer(lambda value, writer: self._special(value, writer, functions, models))
        try:
            order = {
                "do": "call",
                "key": self.key,
                "models": [model_node(model, writer, functions.add) for model in models],
                "args": writer.node(args),
                "kwargs": writer.node(kwargs),
            }
        except (TypeError, WireError) as error:
            raise CannotCross(str(error)) from error
        try:
            answer, raw = self.test.ask(order, writer.raw, functions.answer)
            return self._outcome(answer, raw, functions, models)
        except Died as died:
            self.test.note(str(died), died)
            raise Mistake(f"The process ended while {self.__name__ or 'your function'} ran: {died}.") from died
        except WireError as error:
            self.test.note(f"it sent {error}")
            raise Mistake("What came back is no value that can be judged.") from error

    def _outcome(self, answer: dict[str, Any], raw: memoryview, functions: Functions, models: list[Any]) -> Any:
        """The value that came back, with what was left on the models put on ours."""
        self.changed_its_arguments = answer.get("unchanged") is not True
        if "too large" in answer:
            raise Mistake(f"{self.__name__ or 'Your function'} returned more than can be judged.")
        reader = Reader(raw, STUDENT, lambda kind, content, reader: self.test.special(kind, content))
        value = reader.value(answer["value"]) if "value" in answer else None
        left = answer.get("left")
        if not isinstance(left, list) or len(left) != len(models):
            raise WireError("an answer that does not say what was left on the models")
        for model, what in zip(models, left, strict=True):
            put_on(model, what, reader)
        if "value" not in answer:
            asked = answer.get("asked")
            if type(asked) is int and 0 <= asked < len(functions.errors):
                raise functions.errors[asked]
            raise Raised(_failure(answer.get("failure")))
        return value

    def _special(self, value: Any, writer: Writer, functions: Functions, models: list[Any]) -> dict[str, Any] | None:
        """How a check's argument that is no plain data crosses."""
        if isinstance(value, Remote):
            return {"theirs": value.key}
        if _runs_a_model(value):
            return {"run": [models.index(value.func), writer.node(value.args), writer.node(value.keywords)]}
        if isinstance(value, nn.Module):
            known = ([place, name] for place, whole in enumerate(models) for name, part in whole.named_modules()
                     if part is value)  # fmt: skip
            if place := next(known, None):
                return {"part": place}
            models.append(value)
            return {"model": model_node(value, writer, functions.add)}
        if hasattr(value, "backend_tokenizer"):
            return {"tokenizer": tokenizer_node(value)}
        if callable(value):
            return {"function": [functions.add(value), getattr(value, "__name__", "f")]}
        raise TypeError(f"a {type(value).__name__} can't be handed to a student's function")


def _runs_a_model(value: Any) -> bool:
    """Whether `value` is a model with its inputs, to be run there: with what was done to the model there."""
    return isinstance(value, partial) and isinstance(value.func, nn.Module)


def _failure(content: Any) -> Failure:
    """The failure that the sandbox tells of, whatever it says."""
    kinds = {"kind": str, "words": str, "line": int, "code": str, "inner": str, "unwritten": bool}
    if not isinstance(content, dict) or content.keys() != kinds.keys():
        raise WireError("an error that is none")
    if not all(type(content[name]) is kind for name, kind in kinds.items()):
        raise WireError("an error that is none")
    return Failure(**{name: _plain(part)[:1000] if isinstance(part, str) else part for name, part in content.items()})


class _Seeds(ast.NodeTransformer):
    """The student's own seed in the place of each one that a hidden test names."""

    def __init__(self, seed: int):
        self.seed = seed

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        if node.arg == "seed" and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(self.seed)
        return node


def _hidden_lines(source: str) -> set[int]:
    """The lines of a test cell that the student's copy does not have."""
    hidden, inside = set(), False
    for number, line in enumerate(source.split("\n"), start=1):
        inside = (inside or line.strip() == "### BEGIN HIDDEN TESTS") and line.strip() != "### END HIDDEN TESTS"
        if inside:
            hidden.add(number)
    return hidden


def _plain(text: str) -> str:
    """Text that any file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
