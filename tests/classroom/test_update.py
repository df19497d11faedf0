"""`classroom update` on a student's notebook in every awkward state: the newest chapter comes, and no answer goes."""

import copy
import json
import os

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.utils import compute_checksum

from classroom import cli, study
from classroom.update import update

NAME = "01_first"


def exercise(name: str, source: str, make=new_code_cell, **kind):
    marks = {"grade_id": name, "solution": True, "grade": False, "locked": False, "task": False, "schema_version": 3}
    cell = make(source, id=name, metadata={"nbgrader": marks | kind})
    cell.metadata.nbgrader.checksum = compute_checksum(cell)
    return cell


def chapter(
    version: str, *, twice="def twice(x):\n    raise NotImplementedError()", names=("twice", "why"), text="Two"
):
    makers = {
        "twice": lambda: exercise("twice", twice),
        "thrice": lambda: exercise("thrice", "def thrice(x):\n    raise NotImplementedError()"),
        "why": lambda: exercise("why", "YOUR ANSWER HERE", new_markdown_cell, grade=True, points=5),
    }
    cells = [new_markdown_cell(f"# {text}", id="01-first-000"), new_code_cell("import math", id="01-first-001")]
    cells += [makers[name]() for name in names]
    cells.append(new_markdown_cell("The end.", id=f"01-first-{len(cells):03d}"))
    return new_notebook(
        cells=cells, metadata={"chapter": {"name": NAME, "title": text, "points": 5, "version": version}}
    )


OLD = chapter("one")
NEW = chapter("two", text="Two, and more", names=("thrice", "twice", "why"))


@pytest.fixture
def course(tmp_path):
    (tmp_path / "lib" / "classroom").mkdir(parents=True)
    (tmp_path / "lib" / "classroom" / "cli.py").touch()
    release(tmp_path, NEW)
    return tmp_path


def release(root, notebook):
    path = root / "chapters" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def own(root, notebook) -> os.PathLike:
    """The student's copy, in which `notebook` (or this text, or these bytes) stands."""
    path = root / "work" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(notebook, bytes):
        path.write_bytes(notebook)
    else:
        path.write_text(notebook if isinstance(notebook, str) else nbformat.writes(notebook), encoding="utf-8")
    return path


def answered(**sources):
    notebook = copy.deepcopy(OLD)
    for cell in notebook.cells:
        cell.source = sources.get(cell.id, cell.source)
    return notebook


def sources(path) -> dict[str, str]:
    return {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}


SOLVED = answered(twice="def twice(x):\n    return 2 * x", why="Because.")


def test_the_new_chapter_comes_with_the_answers_and_the_old_file_stays(course):
    path = own(course, SOLVED)
    before = path.read_bytes()
    (done,) = update(course)
    assert (done.status, done.notes) == ("updated", [])
    assert done.kept.read_bytes() == before
    found = sources(path)
    assert list(found) == [cell.id for cell in NEW.cells]
    assert (found["twice"], found["why"]) == ("def twice(x):\n    return 2 * x", "Because.")
    assert found["01-first-000"] == "# Two, and more" and "NotImplementedError" in found["thrice"]
    nbformat.validate(nbformat.read(path, as_version=4))


def test_once_is_enough(course):
    path = own(course, SOLVED)
    update(course)
    after = path.read_bytes()
    assert [done.status for done in update(course)] == ["newest"]
    assert path.read_bytes() == after
    assert sorted(file.name for file in path.parent.iterdir()) == [f"{NAME}.before-update-1.ipynb", f"{NAME}.ipynb"]


def test_answers_survive_two_updates_and_both_old_files_stay(course):
    path = own(course, SOLVED)
    update(course)
    release(course, chapter("three", text="Three"))
    (done,) = update(course)
    assert (
        done.kept.name == f"{NAME}.before-update-2.ipynb" and path.with_name(f"{NAME}.before-update-1.ipynb").exists()
    )
    assert sources(path)["twice"] == "def twice(x):\n    return 2 * x"


def test_an_untouched_exercise_takes_the_new_text(course):
    release(course, chapter("two", twice="def twice(x: int) -> int:\n    raise NotImplementedError()"))
    path = own(course, OLD)
    (done,) = update(course)
    assert sources(path)["twice"].startswith("def twice(x: int)") and done.notes == []


def test_an_exercise_that_changed_keeps_the_answer_and_says_so(course):
    release(course, chapter("two", twice="def twice(x: int) -> int:\n    raise NotImplementedError()"))
    path = own(course, SOLVED)
    (done,) = update(course)
    assert sources(path)["twice"] == "def twice(x):\n    return 2 * x"
    assert done.notes == ["twice: the exercise has changed; look whether your answer still fits"]


def test_an_exercise_that_is_gone_keeps_its_answer(course):
    release(course, chapter("two", names=("why",)))
    path = own(course, SOLVED)
    (done,) = update(course)
    cells = nbformat.read(path, as_version=4).cells
    places = [cell.source for cell in cells]
    assert places.index("def twice(x):\n    return 2 * x") == places.index("import math") + 1
    assert not any("nbgrader" in cell.metadata for cell in cells if "return 2 * x" in cell.source)
    assert done.notes == ["no longer in the chapter, and kept below the place where it was: twice"]


def test_cells_of_the_students_own_stay_where_they_were(course):
    notebook = copy.deepcopy(SOLVED)
    notebook.cells.insert(3, new_code_cell("print(twice(4))", id="mine-1"))
    notebook.cells.insert(0, new_markdown_cell("My notes", id="mine-2"))
    notebook.cells.append(new_code_cell("   ", id="empty"))
    path = own(course, notebook)
    update(course)
    ids = list(sources(path))
    assert ids.index("mine-1") == ids.index("twice") + 1 and ids.index("mine-2") == 1 and "empty" not in ids


def test_an_exercise_that_was_copied_keeps_both_versions(course):
    notebook = copy.deepcopy(SOLVED)
    second = copy.deepcopy(notebook.cells[2])
    second.source, second.id = "def twice(x):\n    return x + x", "another"
    notebook.cells.insert(3, second)
    path = own(course, notebook)
    update(course)
    found = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    assert found.count("def twice(x):\n    return x + x") == 1 and found.count("def twice(x):\n    return 2 * x") == 1
    exercises = [cell for cell in nbformat.read(path, as_version=4).cells if cell.metadata.get("nbgrader")]
    assert [cell.metadata.nbgrader.grade_id for cell in exercises] == ["thrice", "twice", "why"]


def test_an_exercise_that_was_deleted_comes_back(course):
    notebook = copy.deepcopy(SOLVED)
    del notebook.cells[2]
    path = own(course, notebook)
    update(course)
    assert "NotImplementedError" in sources(path)["twice"] and sources(path)["why"] == "Because."


def test_an_older_format_without_ids(course):
    notebook = json.loads(nbformat.writes(SOLVED))
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]
    path = own(course, json.dumps(notebook))
    update(course)
    assert sources(path)["twice"] == "def twice(x):\n    return 2 * x"


def test_a_copy_from_before_versions_were_noted(course):
    notebook = copy.deepcopy(SOLVED)
    del notebook.metadata["chapter"]
    path = own(course, notebook)
    (done,) = update(course)
    assert done.status == "updated" and sources(path)["why"] == "Because."
    assert list(sources(path)) == [cell.id for cell in NEW.cells], "and none of the course's own cells twice"


def test_outputs_are_of_the_old_version_and_go(course):
    notebook = copy.deepcopy(SOLVED)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="old")]
    path = own(course, notebook)
    update(course)
    assert all(not cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)


CONFLICT = "<<<<<<< HEAD\n" + nbformat.writes(SOLVED)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", "{", CONFLICT, "[]", '{"cells": 3}', nbformat.writes(SOLVED)[:200], "my answers"],
    ids=["empty", "bytes", "brace", "conflict", "list", "no cells", "cut off", "text"],
)
def test_what_can_not_be_read_is_left_as_it_is(course, content):
    path = own(course, content)
    before = path.read_bytes()
    (done,) = update(course)
    assert done.status == "left as it is" and done.kept is None
    assert "can't be read as a notebook" in done.notes[0]
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_a_link_and_a_folder_are_left_as_they_are(course, tmp_path):
    path = own(course, SOLVED)
    elsewhere = path.rename(tmp_path / "elsewhere.ipynb")
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert [done.status for done in update(course)] == ["left as it is"]
    assert elsewhere.read_bytes() == before
    path.unlink()
    path.mkdir()
    assert [done.status for done in update(course)] == ["left as it is"]


@pytest.mark.parametrize("step", ["copy2", "replace", "chmod"])
def test_when_it_breaks_off_the_answers_are_where_they_were(course, monkeypatch, step):
    path = own(course, SOLVED)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(f"classroom.update.{'shutil' if step == 'copy2' else 'os'}.{step}", full)
    with pytest.raises(OSError, match="No space left"):
        update(course)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not [file for file in path.parent.iterdir() if file.name.startswith(".")], "nothing half-written stays"
    (done,) = update(course)
    assert done.status == "updated" and sources(path)["why"] == "Because."


def test_chapters_that_were_not_started_are_not(course):
    assert update(course) == [] and not (course / "work").exists()


def test_the_command(course, monkeypatch):
    monkeypatch.chdir(course)
    own(course, SOLVED)
    done = CliRunner().invoke(cli.main, ["update"])
    assert done.exit_code == 0
    assert done.output == f"work/{NAME}/{NAME}.ipynb  updated; before: {NAME}.before-update-1.ipynb\n"
    assert CliRunner().invoke(cli.main, ["update"]).output == f"work/{NAME}/{NAME}.ipynb  newest\n"
    unknown = CliRunner().invoke(cli.main, ["update", "99_none"])
    assert unknown.exit_code == 1 and "no chapter is named 99_none; there are: 01_first" in unknown.output


def test_a_fresh_copy_is_the_newest(course):
    study.start(course)
    assert [done.status for done in update(course)] == ["newest"]
