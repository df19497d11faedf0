"""The book on paper: one PDF with every page in order, in the light, and with nothing that only a click would show."""

import shutil
import unicodedata

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader
from tests.book.conftest import ROOT
from tests.conftest import needs

from classroom import doctor
from classroom.publish import printed
from classroom.source import chapters, load

pytestmark = pytest.mark.timeout(1800)  # the first to ask for the book waits while all chapters run
CONTENTS = ROOT / "book" / "_toc.yml"


@pytest.fixture(scope="module")
def paper(book, tmp_path_factory):
    """The PDF of the course's own book, printed from a copy of its site."""
    needs("Chromium", doctor.chromium() is not None, doctor.chromium_install_line())
    site = shutil.copytree(book, tmp_path_factory.mktemp("paper") / "site")
    before = set(site.rglob("*"))
    pdf = printed.print_book(site, CONTENTS)
    assert set(site.rglob("*")) - before == {pdf}, "nothing else is left in the site"
    return PdfReader(pdf)


def test_the_pdf_holds_every_chapter_from_the_first_to_the_last(paper):
    """The outline says where each page of the book begins; the words are looked for there."""
    tops = [entry for entry in paper.outline if not isinstance(entry, list)]
    begins = [paper.get_destination_page_number(entry) for entry in tops]
    assert begins == sorted(begins) and len(begins) == len(printed.pages(CONTENTS))
    names = printed.pages(CONTENTS)
    for path in chapters(ROOT):
        title, *_ = load(path).notebook.cells[0].source.splitlines()
        begin = begins[names.index(f"chapters/{path.stem}")]
        assert squeezed(title.lstrip("# ")) in squeezed(paper.pages[begin].extract_text())
    end = begins[names.index(f"chapters/{path.stem}") + 1]
    last = load(path).notebook.cells[-1].source.split("\n\n")[-1].replace("*", "").split("`")[0].lstrip("- ")
    assert squeezed(last)[:40] in squeezed("".join(page.extract_text() for page in paper.pages[end - 2 : end]))
    assert 100 < len(paper.pages) < 400


def test_the_outline_has_each_title_once_and_as_it_is_written(paper, book):
    """Whole titles, with the spaces at which they break; nothing is said twice, wherever on a page it stands."""

    def titles(outline):
        for entry in outline:
            yield from titles(entry) if isinstance(entry, list) else [" ".join(entry.title.split())]

    printed_page = BeautifulSoup(printed.one_page(book, printed.pages(CONTENTS)), "html.parser")
    written = [" ".join(title.get_text().split()) for title in printed_page.select("h1, h2, h3, h4, h5, h6")]
    assert len(written) > 200 and list(titles(paper.outline)) == written


def squeezed(text: str) -> str:
    """Without white space, and with plain letters: the PDF has ligatures."""
    return "".join(unicodedata.normalize("NFKC", text).split()).replace("’", "'")


def test_links_lead_into_the_paper_and_nothing_waits_for_a_click(book):
    paper = BeautifulSoup(printed.one_page(book, printed.pages(CONTENTS)), "html.parser")
    ids = {element["id"] for element in paper.find_all(id=True)}
    links = [link["href"] for link in paper.find_all("a", href=True)]
    assert len([link for link in links if link.startswith("#")]) > 200
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
    assert all((book / image["src"]).is_file() for image in paper.find_all("img") if ":" not in image["src"])
    assert all("open" in box.attrs for box in paper.find_all("details"))
    assert not paper.select(".definition, a.download, article script, button")
    assert paper.html["data-theme"] == "light"


def test_without_chromium_it_says_how_to_get_one(book, monkeypatch):
    monkeypatch.setattr(doctor, "chromium", lambda: None)
    with pytest.raises(printed.Unprinted, match="printing the book needs Chromium; this would install it: "):
        printed.print_book(book, CONTENTS)
