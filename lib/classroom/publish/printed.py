"""The book on paper: all pages of a built site in one file, printed to PDF by Chromium.

The pages' articles are put one behind the other into one document, in the order of the book's contents; their anchors
get the page's name in front, so that links lead to the right place of the PDF. What needs a click stands open, or is
left out where paper has no use for it. The site itself stays as it is.
"""

import posixpath
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import click
import yaml
from bs4 import BeautifulSoup, Tag

NAME = "explaining-transformers.pdf"
SECONDS = 600
# Buttons, boxes that open on a hover, and the scripts of views: the table that a view stands on is what is printed.
NOT_ON_PAPER = "a.download, .definition, a.headerlink, button, script, .headerbtn"
STYLE = """
@page { size: A4; margin: 18mm 16mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
html { font-size: 11px; }
body { background: #fff; display: block; min-height: 0; }
article { break-before: page; }
article:first-of-type { break-before: auto; }
/* Chromium's outline has what is painted of a heading: at the very top of a page it is painted on the page before, too,
   and a space at the end of a line is not. So headings keep off the edge, and keep their spaces. */
h1, h2, h3, h4 { break-after: avoid; padding-top: 0.25em; white-space: pre-wrap; }
img, svg, figure, tr, .gb-view { break-inside: avoid; }
img, svg { max-width: 100% !important; max-height: 230mm; object-fit: contain; }
pre, code { overflow-wrap: anywhere; white-space: pre-wrap !important; }
.pst-scrollable-table-container, .cell_output, .text_html, .output { overflow: visible !important; }
table { max-width: 100%; overflow-wrap: anywhere; }
"""


class Unprinted(click.ClickException):
    """A book that can't be printed, with the reason."""


def print_book(site: Path, contents: Path) -> Path:
    """Print the built `site`, whose order is in `contents` (_toc.yml), to a PDF in it; returns the PDF's path.

    Raises `Unprinted` where there is no Chromium, or if it gives no PDF.
    """
    from classroom.doctor import chromium, chromium_install_line

    program = chromium()
    if program is None:
        raise Unprinted(f"printing the book needs Chromium; this would install it: {chromium_install_line()}")
    pdf = site / NAME
    sheet = site / "print.html"
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile, NAME)
        options = ["--headless", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
        options += ["--no-sandbox", f"--user-data-dir={profile}/chromium", "--virtual-time-budget=120000"]
        try:
            sheet.write_text(one_page(site, pages(contents)), encoding="utf-8")
            ran = subprocess.run(
                [program, *options, f"--print-to-pdf={made}", sheet.as_uri()],
                capture_output=True, text=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as slow:
            raise Unprinted(f"Chromium did not print the book within {SECONDS} seconds") from slow
        finally:
            sheet.unlink(missing_ok=True)
        if ran.returncode or not made.is_file():
            raise Unprinted(f"Chromium did not print the book: {ran.stderr.strip()[-500:]}")
        pdf.write_bytes(made.read_bytes())
    return pdf


def pages(contents: Path) -> list[str]:
    """The pages of the book in order, without their ending."""
    book = yaml.safe_load(contents.read_text(encoding="utf-8"))
    return [book["root"], *(entry["file"] for part in book["parts"] for entry in part["chapters"])]


def one_page(site: Path, names: list[str]) -> str:
    """The document that is printed: the articles of the named pages, in light colours, with the mathematics to draw."""
    read = {name: BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in names}
    articles = [_article(name, soup.find("article", class_="bd-article"), set(names)) for name, soup in read.items()]
    head = read[names[0]].head
    kept = [str(link) for link in head.find_all("link", rel="stylesheet")]
    # Which page asks for mathematics is known to Sphinx; for the print the first that does is enough.
    scripts = (script for soup in read.values() for script in soup.find_all("script"))
    mathematics = {str(script): script for script in scripts if _is_mathematics(script)}
    for script in mathematics.values():
        if script.get("src"):
            script["src"] = re.sub(r"^(\.\./)*", "", script["src"])
    kept += dict.fromkeys(str(script) for script in mathematics.values())
    title = head.title.string if head.title else "The book"
    return (
        f'<!DOCTYPE html>\n<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>{''.join(kept)}<style>{STYLE}</style></head><body>{''.join(articles)}</body></html>"
    )


def _is_mathematics(script: Tag) -> bool:
    return "mathjax" in script.get("src", "") or "window.MathJax" in (script.string or "")


def _article(name: str, article: Tag, known: set[str]) -> str:
    for unwanted in article.select(NOT_ON_PAPER):
        unwanted.decompose()
    for box in article.find_all("details"):
        box["open"] = ""
    folder, key = posixpath.dirname(name), _key(name)
    for element in article.find_all(True):
        if element.get("id"):
            element["id"] = f"{key}--{element['id']}"
        for attribute in ("src", "href"):
            if element.get(attribute):
                element[attribute] = _address(element[attribute], name, folder, known)
    article["id"] = key
    return str(article)


def _address(value: str, name: str, folder: str, known: set[str]) -> str:
    """Where a link or a picture of the page `name` lies, seen from the printed document."""
    parts = urlsplit(value)
    if parts.scheme or parts.netloc:
        return value
    target = posixpath.normpath(posixpath.join(folder, parts.path)) if parts.path else f"{name}.html"
    page = target.removesuffix(".html")
    if page in known:
        return f"#{_key(page)}--{parts.fragment}" if parts.fragment else f"#{_key(page)}"
    return target


def _key(name: str) -> str:
    return name.replace("/", "-")
