"""A course of one small chapter, and notebooks handed in for it."""

import shutil
from pathlib import Path

import pytest

from classroom.build import student, to_json
from classroom.execute import write
from classroom.source import load

COURSE = Path(__file__).resolve().parents[2]
TOY = COURSE / "tests" / "classroom" / "data" / "solutions" / "01_averages.py"


@pytest.fixture(scope="session")
def built_toy(tmp_path_factory) -> Path:
    """The toy chapter as a course folder holds it after a build, without having run it."""
    root = tmp_path_factory.mktemp("built")
    (root / "solutions").mkdir()
    shutil.copy(TOY, root / "solutions")
    shutil.copy(COURSE / "nbgrader_config.py", root)
    chapter = load(root / "solutions" / TOY.name)
    file = f"{chapter.name}/{chapter.name}.ipynb"
    write(root / "solutions" / file, to_json(chapter.notebook))
    write(root / "chapters" / file, to_json(student(chapter)))
    return root


@pytest.fixture
def toy_course(built_toy, tmp_path) -> Path:
    """A course folder of one's own."""
    return Path(shutil.copytree(built_toy, tmp_path / "course"))
