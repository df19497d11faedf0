"""The student's copies, and JupyterLab as `classroom study` serves it."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from classroom import study

LIBRARY = Path(study.__file__).parents[1]


def notebook(*sources: str) -> str:
    exercise = {"grade_id": "twice", "solution": True, "grade": False, "locked": False, "task": False}
    check = {"grade_id": "check-twice", "solution": False, "grade": True, "locked": True, "points": 5, "task": False}
    cells = [new_markdown_cell("# Twice")]
    for source, metadata in zip(sources, (exercise, check), strict=True):
        cells.append(new_code_cell(source, metadata={"nbgrader": {**metadata, "schema_version": 3}}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return nbformat.writes(new_notebook(cells=cells, metadata=kernel))


UNTOUCHED = notebook("def twice(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()", "assert twice(2) == 4")
SOLVED = notebook("def twice(x):\n    return 2 * x", "assert twice(2) == 4")


def make_course(root: Path) -> Path:
    """A checkout with two small chapters, in a folder whose name has a space."""
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "classroom").symlink_to(LIBRARY / "classroom")
    for name in ("01_first", "02_second"):
        (root / "chapters" / name).mkdir(parents=True)
        (root / "chapters" / name / f"{name}.ipynb").write_text(UNTOUCHED)
    (root / "chapters" / "03_empty").mkdir()
    return root


@pytest.fixture
def course(tmp_path):
    return make_course(tmp_path / "the course")


def test_every_chapter_is_copied_and_a_students_work_is_never_touched(course):
    copies = study.start(course)
    assert [copy.name for copy in copies] == ["01_first.ipynb", "02_second.ipynb"]
    assert all(copies.values())
    first, second = copies
    assert first.read_bytes() == (course / "chapters" / "01_first" / "01_first.ipynb").read_bytes()
    first.write_text("my answers")
    assert study.start(course) == {first: False, second: False}
    assert first.read_text() == "my answers"


def test_one_chapter_by_name(course):
    assert list(study.start(course, ["02"])) == [course / "work" / "02_second" / "02_second.ipynb"]
    assert list(study.start(course, ["02_second"])) == [course / "work" / "02_second" / "02_second.ipynb"]
    assert not (course / "work" / "01_first").exists()


def test_an_unknown_chapter_is_named_with_those_that_there_are(course):
    with pytest.raises(ValueError, match=r"no chapter is named 09_later; there are: 01_first, 02_second"):
        study.start(course, ["01_first", "09_later"])
    assert not (course / "work").exists()


def test_a_copy_that_breaks_off_leaves_nothing_behind(course, monkeypatch):
    def disk_full(source, target):
        Path(target).write_text("ha")
        raise OSError("no space left")

    monkeypatch.setattr(study.shutil, "copyfile", disk_full)
    with pytest.raises(OSError, match="no space left"):
        study.start(course, ["01_first"])
    assert list((course / "work" / "01_first").iterdir()) == []


@pytest.mark.parametrize(
    ("platform", "environment", "seen"),
    [
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 22"}, False),
        ("darwin", {}, True),
        ("darwin", {"SSH_TTY": "/dev/ttys001"}, False),
        ("win32", {}, True),
    ],
)
def test_a_browser_opens_where_somebody_sees_it(platform, environment, seen):
    assert study.has_screen(environment, platform) is seen


def test_root_is_let_in_only_when_it_is_root(course, monkeypatch):
    first = course / "work" / "01_first" / "01_first.ipynb"
    monkeypatch.setattr(study.os, "geteuid", lambda: 1000, raising=False)
    assert "--allow-root" not in study.jupyter_command(course, first)
    monkeypatch.setattr(study.os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in study.jupyter_command(course, first)


def test_the_students_own_jupyter_settings_stay_behind_the_courses():
    assert study.jupyter_environment({"JUPYTER_CONFIG_PATH": "/mine", "LANG": "C"}) == {
        "JUPYTER_CONFIG_PATH": os.pathsep.join([str(study.SETTINGS), "/mine"]),
        "LANG": "C",
    }


class Lab:
    """A running JupyterLab, spoken to as a page would."""

    def __init__(self, work: Path, log: Path):
        self.work = work
        self.address = self._printed_address(log)
        self.host, self.token = re.fullmatch(r"(http://[^/]+)/.*token=(\w+)", self.address).groups()

    @staticmethod
    def _printed_address(log: Path, patience: float = 120) -> str:
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S+(?=\n)", log.read_text()):
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"JupyterLab printed no address within {patience} s:\n{log.read_text()}")

    def ask(self, path: str, /, **form: str) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        headers = {"Authorization": f"token {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.host + path, data, headers), timeout=120) as answer:
            return answer.read().decode()

    def validate(self, name: str) -> dict:
        return json.loads(self.ask("/assignments/validate", path=name))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """`classroom study` as somebody without a screen starts it, with an empty home and no standard input."""
    course, home = make_course(tmp_path_factory.mktemp("lab") / "the course"), tmp_path_factory.mktemp("home")
    log = course / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "classroom.cli", "study"],
            cwd=course,
            env={"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(LIBRARY)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Lab(course / "work", log)
    finally:
        server.terminate()
        server.wait(60)
    settings = {path.relative_to(home).as_posix() for path in home.rglob("*config*")}
    assert not settings, "the course's settings stay out of the student's home"


def test_jupyterlab_opens_on_the_first_chapter_and_shows_the_students_copies_only(lab):
    assert "/lab/tree/01_first/01_first.ipynb" in lab.address
    shown = json.loads(lab.ask("/api/contents/"))["content"]
    assert {entry["name"] for entry in shown} == {"01_first", "02_second"}


def test_teachers_panels_and_news_are_off(lab):
    page = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', lab.ask("/lab"), re.S)[1])
    for panel in ("formgrader", "course-list", "create-assignment"):
        assert f"@jupyter/nbgrader:{panel}" in page["disabledExtensions"]
    assert not [name for name in page["disabledExtensions"] if "validate" in name]
    assert "@jupyter/nbgrader" in [extension["name"] for extension in page["federated_extensions"]]
    assert page["news"] == {"disabled": True}
    assert page["extensionManager"]["can_install"] is False
    settings = json.loads(lab.ask("/lab/api/settings/@jupyterlab/apputils-extension:notification"))
    defaults = {name: entry["default"] for name, entry in settings["schema"]["properties"].items()}
    assert (defaults["fetchNews"], defaults["checkForUpdates"]) == ("false", False)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        lab.ask("/formgrader")


def test_validate_judges_an_untouched_and_a_solved_notebook(lab):
    untouched = lab.validate("02_second/02_second.ipynb")
    assert untouched["success"] and "NotImplementedError" in untouched["value"]["failed"][0]["error"]
    (lab.work / "02_second" / "02_second.ipynb").write_text(SOLVED)
    assert lab.validate("02_second/02_second.ipynb") == {"success": True, "value": {}}


def test_the_page_has_the_validate_button_and_asks_nobody_outside(lab, chromium):
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(lab.address)
    page.get_by_text("Validate", exact=True).wait_for(timeout=120_000)
    page.get_by_role("heading", name="Twice").first.wait_for()
    assert page.get_by_text("Formgrader").count() == 0
    assert asked and not [url for url in asked if not url.startswith((lab.host, "data:", "blob:"))]
    page.close()
