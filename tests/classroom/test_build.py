"""Two notebooks from one source: the same bytes each time, and nothing at all when a gate refuses."""

import shutil
import subprocess
import sys

import nbformat
import pytest
from click import ClickException
from nbformat.v4 import new_code_cell, new_notebook

from classroom.build import build, build_all, instructor, student, to_json
from classroom.execute import executed, run, write
from classroom.source import Refused, load


@pytest.fixture
def root(course, tmp_path):
    """A course of its own, which shares the toy chapter's run."""
    executed(load(course / "solutions" / "01_averages.py"))
    (tmp_path / "solutions").mkdir()
    shutil.copy(course / "solutions" / "01_averages.py", tmp_path / "solutions")
    shutil.copytree(course / ".cache", tmp_path / ".cache")
    return tmp_path


def test_building_twice_gives_the_same_bytes_and_says_so(root, capsys):
    build_all(root)
    files = sorted(root.glob("*/01_averages/*"))
    assert [str(path.relative_to(root)) for path in files] == [
        "chapters/01_averages/01_averages.ipynb",
        "solutions/01_averages/01_averages.ipynb",
    ]
    before = [path.read_bytes() for path in files]
    assert capsys.readouterr().out.count("written") == 2
    build_all(root)
    assert [path.read_bytes() for path in files] == before
    assert capsys.readouterr().out.count("unchanged") == 2


def test_running_it_anew_gives_the_same_bytes(root):
    chapter = load(root / "solutions" / "01_averages.py")
    kept = build(chapter)
    shutil.rmtree(root / ".cache")
    assert build(chapter) == kept


def test_a_file_is_tidy(toy):
    for notebook in (student(toy), instructor(toy, executed(toy))):
        text = to_json(notebook)
        assert text.endswith("}\n") and not text.endswith("\n\n")
        assert notebook.metadata.kernelspec.name == "python3"
        assert "version" not in notebook.metadata.language_info
        assert all(cell.execution_count is None for cell in notebook.cells if cell.get("outputs") == [])
        assert all("execution" not in cell.metadata for cell in notebook.cells)
        assert nbformat.reads(text, as_version=4) == notebook


def test_the_instructors_outputs_are_the_quoted_numbers_alone(toy):
    notebook = instructor(toy, executed(toy))
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.get("outputs")}
    assert list(outputs) == ["01-averages-011"]
    assert outputs["01-averages-011"][0].text == "mean 10.0, below it 90%\n"
    assert any("rubric" in cell.metadata.get("tags", []) for cell in notebook.cells)


def test_ids_are_the_grade_ids_or_the_places(toy):
    ids = [cell.id for cell in toy.notebook.cells]
    assert ids[:5] == ["01-averages-000", "01-averages-001", "01-averages-002", "mean", "check-mean"]
    assert len(set(ids)) == len(ids)


def test_a_refusal_writes_nothing_and_keeps_what_was_there(root, toy_text, capsys):
    build_all(root)
    files = sorted(root.glob("*/01_averages/*"))
    before = [path.read_bytes() for path in files]
    (root / "solutions" / "01_averages.py").write_text(toy_text.replace("points: 20", "points: 21"))
    shutil.copy(root / "solutions" / "01_averages.py", root / "solutions" / "02_more.py")
    with pytest.raises(Refused) as caught:
        build_all(root)
    assert [path.read_bytes() for path in files] == before
    assert not (root / "chapters" / "02_more").exists()
    assert "01_averages: refused, nothing written" in capsys.readouterr().out
    assert len(caught.value.problems) == 2, "each chapter says its own"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import sys\nprint('careful', file=sys.stderr)",
            "wrote to stderr, for which nbgrader gives no marks: care",
        ),
        ("import warnings\nwarnings.warn('careful')", "wrote to stderr"),
        ("1 / 0", "stopped with ZeroDivisionError: division by zero"),
        ("import os\nos._exit(1)", "the kernel died"),
    ],
)
def test_a_cell_that_fails_is_named(code, words):
    notebook = new_notebook(cells=[new_code_cell("x = 1", id="fine"), new_code_cell(code, id="guilty")])
    with pytest.raises(ValueError, match="guilty") as caught:
        run(notebook, lambda cell, message: ValueError(f"{cell.id}: {message}"))
    assert words in str(caught.value)


def test_a_cell_that_fails_is_named_with_its_line(toy_text, tmp_path):
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    path.write_text(toy_text.replace("incomes = [1.0] * 9", "incomes = [] / 2"))
    line = next(n for n, text in enumerate(toy_text.split("\n"), start=1) if 'tags=["quoted"]' in text)
    with pytest.raises(Refused) as caught:
        executed(load(path))
    assert f"solutions/01_averages.py:{line}, cell 01-averages-011: stopped with TypeError" in str(caught.value)
    assert not (tmp_path / ".cache").exists()


def test_an_unknown_chapter_is_named(root):
    with pytest.raises(ClickException) as caught:
        build_all(root, ("07_none",))
    assert caught.value.message == "no chapter is named 07_none; there are: 01_averages"


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nbval_sees_a_number_that_changed(toy, tmp_path):
    """The comparison that holds the prose to the notebooks really compares."""
    text = to_json(instructor(toy, executed(toy)))
    (tmp_path / "same.ipynb").write_text(text)
    (tmp_path / "other.ipynb").write_text(text.replace("mean 10.0, below it 90%\\n", "mean 10.1, below it 90%\\n"))
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)], cwd=tmp_path, capture_output=True, text=True
    )
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1 and "other.ipynb" in failed[0], result.stdout
