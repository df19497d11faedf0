"""A course of one small chapter, on which building, checking and grading are tried."""

import shutil
from pathlib import Path

import pytest

from classroom.source import Chapter, load

COURSE = Path(__file__).resolve().parents[2]
TOY = Path(__file__).parent / "data" / "solutions" / "01_averages.py"


@pytest.fixture
def toy_text() -> str:
    return TOY.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def course(tmp_path_factory) -> Path:
    """A course folder with the toy chapter's source and the configuration of nbgrader."""
    root = tmp_path_factory.mktemp("course")
    (root / "solutions").mkdir()
    shutil.copy(TOY, root / "solutions")
    shutil.copy(COURSE / "nbgrader_config.py", root)
    return root


@pytest.fixture(scope="session")
def toy(course) -> Chapter:
    return load(course / "solutions" / "01_averages.py")
