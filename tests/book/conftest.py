"""Built books: of one small chapter with every kind of cell, and of the course itself."""

import re
import shutil
from pathlib import Path

import pytest

from classroom.publish import publish

ROOT = Path(__file__).parents[2]
SMALL = Path(__file__).parent / "small_course"


@pytest.fixture(scope="session")
def make_course(tmp_path_factory):
    """Makes a course that has this book's own pages, and the small chapter in place of the real ones."""

    def make() -> Path:
        root = tmp_path_factory.mktemp("small") / "course"
        shutil.copytree(SMALL, root)
        shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("_build"))
        shutil.copy(ROOT / "CHANGELOG.md", root)
        for page in (root / "book").glob("*.md"):
            text = re.sub(r"chapters/\d\d_\w+\.ipynb", "chapters/01_small.ipynb", page.read_text(encoding="utf-8"))
            page.write_text(text, encoding="utf-8")
        contents = root / "book" / "_toc.yml"
        lines = contents.read_text(encoding="utf-8").replace("02_rollout", "01_small").splitlines()
        lines = [line for line in lines if "file: chapters/" not in line or "01_small" in line]
        contents.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return root

    return make


@pytest.fixture(scope="session")
def course(make_course) -> Path:
    return make_course()


@pytest.fixture(scope="session")
def small_shown(course) -> Path:
    return publish(course, "shown", course.parent / "shown").parent


@pytest.fixture(scope="session")
def small_hidden(course) -> Path:
    return publish(course, "hidden", course.parent / "hidden").parent


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """The course's own book, with its solutions hidden."""
    return publish(ROOT, "hidden", tmp_path_factory.mktemp("book") / "site").parent
