"""The cell that installs the course where it is missing, run in a Python of its own with a stand-in for pip."""

import json
import subprocess
import sys

import pytest

from classroom import anywhere
from classroom.build import build, instructor, student
from classroom.check import run as check
from classroom.execute import executed
from classroom.publish.page import page

# What `python -m pip` finds: it notes what it was asked, and does as the test says.
PIP = """\
import json, pathlib, sys
here = pathlib.Path(__file__).parent
here.joinpath("asked").write_text(json.dumps(sys.argv[1:]))
{then}
"""


def run_where(folder, *, has_course: bool, then: str = "") -> tuple[subprocess.CompletedProcess, list[str] | None]:
    """Run the cell where the course is or isn't; what it said, and what pip was asked."""
    (folder / "pip.py").write_text(PIP.format(then=then))
    if has_course:
        (folder / "glassbox.py").touch()
    source = anywhere.cell("01_averages").source
    # -I and -S: nothing of this machine's packages is found, and neither is its pip.
    begin = f"import os, sys; sys.path.insert(0, {str(folder)!r}); os.environ['PYTHONPATH'] = {str(folder)!r}\n"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", begin + source], capture_output=True, text=True)
    asked = folder / "asked"
    return ran, json.loads(asked.read_text()) if asked.exists() else None


def test_where_the_course_is_the_cell_does_and_says_nothing(tmp_path):
    ran, asked = run_where(tmp_path, has_course=True)
    assert (ran.returncode, ran.stdout, ran.stderr, asked) == (0, "", "", None)


def test_where_it_is_missing_pip_installs_it_from_the_repository(tmp_path):
    ran, asked = run_where(tmp_path, has_course=False, then="here.joinpath('glassbox.py').touch()")
    assert asked == ["install", "--quiet", f"git+{anywhere.repository()}"]
    assert ran.returncode == 0, ran.stderr
    first, last = ran.stdout.splitlines()
    assert first.startswith("The course is not installed here, so pip installs it from https://")
    assert last.startswith("Installed.")


@pytest.mark.parametrize("then", ["sys.exit('no such host')", "print('no such host')"], ids=["fails", "in vain"])
def test_where_pip_cannot_the_cell_fails_and_says_what_to_do(tmp_path, then):
    ran, asked = run_where(tmp_path, has_course=False, then=then)
    assert asked is not None and ran.returncode != 0
    assert "no such host" in ran.stdout
    assert "pip could not install the course" in ran.stderr and "`make study`" in ran.stderr


def test_it_stands_before_the_first_code_in_both_notebooks_and_not_in_the_book(toy):
    for notebook in (student(toy), instructor(toy, executed(toy))):
        first, *others = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert first.id == "01-averages-anywhere" and first.outputs == []
        assert first.metadata.pop("jupyter") == {"source_hidden": True}, "a student meets the chapter first"
        assert first.metadata == {"editable": False, "deletable": False, "cellView": "form"}, (
            "no marks, not to be edited"
        )
        assert "anywhere" not in "".join(cell.id for cell in others)
    shown = page(toy, student(toy), executed(toy), show_solutions=True)
    assert not any("find_spec" in cell.source or "anywhere" in cell.id for cell in shown.cells)


def test_the_built_notebook_still_runs_from_top_to_bottom(toy, tmp_path, capsys):
    (path, text), *_ = sorted(build(toy).items())
    (tmp_path / path.name).write_text(text, encoding="utf-8")
    assert check(tmp_path / path.name) == 1, "nothing is answered"
    assert "not written yet" in capsys.readouterr().out


def test_a_fork_changes_one_line(tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text('[project.urls]\nRepository = "https://example.org/fork/"\n')
    assert anywhere.repository(project) == "https://example.org/fork"
    assert anywhere.launches("01_x", project) == {}, "Colab and Binder would look for it on GitHub"
    project.write_text('[project.urls]\nRepository = "https://github.com/ada/fork"\n')
    assert anywhere.launches("01_x", project) == {
        "Colab": "https://colab.research.google.com/github/ada/fork/blob/main/chapters/01_x/01_x.ipynb",
        "Binder": "https://mybinder.org/v2/gh/ada/fork/main?urlpath=lab/tree/work/01_x/01_x.ipynb",
    }
    project.write_text("[project]\n")
    with pytest.raises(ValueError, match="Repository"):
        anywhere.repository(project)
