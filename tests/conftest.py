"""What tests of any part may ask for."""

import os

import pytest

from classroom.doctor import chromium as chromium_on_this_machine
from classroom.doctor import chromium_install_line

# Nothing in the course may need the network or draw to a screen, so neither may the tests.
os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "MPLBACKEND": "agg"})


def needs(what: str, present: bool, install_line: str) -> None:
    """Skip a test for want of a program on a person's machine; where CI=true, fail it."""
    if not present:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"no {what} on this machine; this would install it: {install_line}")


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window, driven by playwright. For a module, as its event loop would be in others' way."""
    place = chromium_on_this_machine()
    needs("Chromium", place is not None, chromium_install_line())
    from playwright.sync_api import sync_playwright

    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"] if as_root else [])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def sandboxes():
    """A machine on which students' code can be shut in."""
    from classroom.grade.sandbox import INSTALL, usable_modes

    modes, reasons = usable_modes()
    needs(f"sandbox ({'; '.join(reasons)})", bool(modes), INSTALL)


def pytest_terminal_summary(terminalreporter):
    from tests.glassbox import agreement

    if agreement.ROWS:
        terminalreporter.section("agreement: method, architecture, reference, largest relative difference, bound")
        for line in agreement.table():
            terminalreporter.write_line(line)
