"""A test that takes `chapter` runs for each chapter that there is."""

import pytest
from tests.chapters import COURSE, SOURCES

from classroom.source import load


def pytest_collection_modifyitems():
    """Without this, a course whose sources were not found would pass every test."""
    if not SOURCES:
        pytest.exit(f"no chapter's source was found in {COURSE / 'solutions'}", returncode=1)


@pytest.fixture(scope="session", params=SOURCES, ids=lambda path: path.stem)
def chapter(request):
    return load(request.param)
