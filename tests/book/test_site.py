"""The built site: it keeps its secrets, loads nothing from elsewhere, and leads nowhere that is not there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from tests.book.reading import pages, texts

from classroom import anywhere, build
from classroom.gates.leaks import solution_lines
from classroom.publish import Unpublished, publish, write_source
from classroom.source import chapters, load

pytestmark = pytest.mark.timeout(1800)  # the first to ask for the book waits while all chapters run
ROOT = Path(__file__).parents[2]

SITES = ("book", "small_hidden", "small_shown")
SOLUTIONS = ("marmalade_sum", "quince_reason", "elderberry_argument")
VERDICTS = ("zero and zero are zero",)
FOR_GRADERS = ("number=4711", "gooseberry_criterion")


@pytest.fixture(params=SITES)
def site(request) -> Path:
    return request.getfixturevalue(request.param)


def test_no_line_of_a_solution_is_anywhere_in_the_book(book):
    sources = chapters(ROOT)
    assert sources, "there is no chapter whose solutions could leak"
    for path in sources:
        lines = solution_lines(load(path))
        assert lines
        found = [(str(file.relative_to(book)), line) for file, text in texts(book) for line in lines if line in text]
        assert found == []


def test_not_a_word_of_a_hidden_solution_is_in_any_file(small_hidden):
    secrets = SOLUTIONS + VERDICTS + FOR_GRADERS
    files = [file for file in small_hidden.rglob("*") if file.is_file()]
    assert [(file.name, word) for file in files for word in secrets if word.encode() in file.read_bytes()] == []
    assert [(file.name, word) for file, text in texts(small_hidden) for word in SOLUTIONS if word in text] == []


def test_shown_solutions_are_on_the_page_in_closed_boxes(small_shown):
    (page,) = [page for page in pages(small_shown) if page.file.name == "01_small.html"]
    assert all(word in page.text for word in SOLUTIONS + VERDICTS)
    assert (page.boxes, page.open_boxes) == (2 + 3, 0), "two hints and three solutions, all closed"
    assert not any(word in page.text for word in FOR_GRADERS)


def test_the_download_is_the_students_notebook_byte_for_byte(small_shown, course, book):
    chapter = load(course / "solutions" / "01_small.py")
    offered = (small_shown / "notebooks" / "01_small.ipynb").read_bytes()
    assert offered == build.to_json(build.student(chapter)).encode()
    for path in chapters(ROOT):
        committed = ROOT / "chapters" / path.stem / f"{path.stem}.ipynb"
        assert (book / "notebooks" / committed.name).read_bytes() == committed.read_bytes()


def test_every_chapter_has_a_page_with_a_button_for_its_notebook(book):
    for path in chapters(ROOT):
        (page,) = [page for page in pages(book) if page.file.name == f"{path.stem}.html"]
        assert f"../notebooks/{path.stem}.ipynb" in page.links
        assert set(anywhere.launches(path.stem).values()) <= set(page.links) - set(page.loads), "links, and no badges"


def test_pages_load_nothing_from_another_host(site):
    found = [(page.file.name, place) for page in pages(site) for place in page.loads if urlsplit(place).netloc]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        places = re.findall(r"url\(\s*[\"']?([^\"')]+)", text) + re.findall(r"@import\s+[\"']([^\"']+)", text)
        found += [(sheet.name, place) for place in places if urlsplit(place).netloc]
    assert found == []


def test_every_link_and_every_loaded_file_is_there(site):
    known = {page.file.resolve(): page for page in pages(site)}
    dead, followed = [], 0
    for page in known.values():
        for place in {*page.links, *page.loads}:
            parts = urlsplit(place)
            if parts.scheme:
                continue
            followed += 1
            target = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
            if not target.is_file():
                dead.append((page.file.name, place, "no such file"))
            elif parts.fragment and target in known and unquote(parts.fragment) not in known[target].anchors:
                dead.append((page.file.name, place, "no such anchor"))
    print(f"{followed} links and files of {len(known)} pages followed")
    assert followed > 100 and dead == []


def test_every_picture_says_what_it_shows(site):
    assert [(page.file.name, picture) for page in pages(site) for picture in page.silent_pictures] == []


def test_pages_and_site_are_small_enough_to_carry(book):
    assert max(page.file.stat().st_size for page in pages(book)) < 1.5e6
    assert sum(file.stat().st_size for file in book.rglob("*") if file.is_file()) < 40e6


@pytest.fixture(scope="module")
def broken(make_course):
    """What publishing says about a page with three broken references, and what is left of the old book."""
    root = make_course()
    page = root / "book" / "how_to_use.md"
    extra = "\n\nSee [that page](nowhere.md), {term}`zeugma` and {cite:t}`nobody1900`.\n"
    page.write_text(page.read_text(encoding="utf-8") + extra, encoding="utf-8")
    old = root.parent / "site" / "searchindex.js"
    old.parent.mkdir()
    old.write_text("the old book")
    with pytest.raises(Unpublished) as refusal:
        publish(root, out=old.parent)
    return str(refusal.value.message), old.read_text()


@pytest.mark.parametrize("reference", ["nowhere.md", "zeugma", "nobody1900"])
def test_a_broken_reference_is_an_error_and_the_old_book_stays(broken, reference):
    message, old_book = broken
    assert reference in message
    assert old_book == "the old book"


def test_plain_sphinx_builds_the_same_pages(course, small_hidden, tmp_path):
    written = tmp_path / "source"
    write_source(course, written, "hidden")
    jupyter_book = "from jupyter_book.cli.main import main; main()"
    run = {"check": True, "capture_output": True, "text": True, "timeout": 120, "env": os.environ | {"NO_COLOR": "1"}}
    subprocess.run([sys.executable, "-c", jupyter_book, "config", "sphinx", written], **run)
    made = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "sphinx", "-b", "html", "-W", "-n", "--keep-going", written, made], **run)
    assert {page.file.relative_to(made) for page in pages(made)} >= {
        page.file.relative_to(small_hidden) for page in pages(small_hidden)
    }
    assert (made / "notebooks" / "01_small.ipynb").read_bytes() == (
        small_hidden / "notebooks" / "01_small.ipynb"
    ).read_bytes()


def test_every_reference_comes_with_a_reason_to_read_it():
    references = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    page = (ROOT / "book" / "bibliography.md").read_text(encoding="utf-8")
    reasons = dict(re.findall(r"^- \{cite:t\}`(\w+)`(.+?)(?=^- |^#)", page, re.MULTILINE | re.DOTALL))
    assert reasons.keys() == set(re.findall(r"^@\w+\{(\w+),", references, re.MULTILINE))
    assert all(len(reason.split()) >= 8 for reason in reasons.values())
