"""The first use of a glossary term on a page: which words are found, and what is said of them."""

import pytest
from docutils import nodes
from docutils.utils import new_document
from tests.book.conftest import ROOT
from tests.book.reading import pages

from classroom.publish import terms

GLOSSARY = """# Glossary

:::{glossary}
LRP
  A {term}`rule <epsilon rule>` for `$x$` {cite:p}`bach2015`, on
  two lines.

sink
  A token that takes <b>much</b> & gives "nothing".

  A second paragraph.

attention
  Looking.

attention sink
  Looking at nothing.
:::
"""


def marked(*children: nodes.Node) -> list[terms.term_use]:
    doctree = new_document("page")
    doctree += children
    found = terms.definitions(GLOSSARY)
    terms.mark(doctree, found, dict.fromkeys(found, "../glossary.html#x"))
    return list(doctree.findall(terms.term_use))


def paragraph(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.Text(text))


def test_a_definition_is_its_first_paragraph_without_markup():
    found = terms.definitions(GLOSSARY)
    assert list(found) == ["LRP", "sink", "attention", "attention sink"]
    assert found["LRP"] == "A rule for x, on two lines."
    assert found["sink"] == 'A token that takes <b>much</b> & gives "nothing".'


def test_every_term_of_the_course_has_a_plain_definition():
    found = terms.definitions((ROOT / "book" / "glossary.md").read_text(encoding="utf-8"))
    assert len(found) > 50
    assert {
        term: text for term, text in found.items() if not text.endswith((".", "?", ")")) or set("{}`$") & {*text}
    } == {}


def test_the_first_use_is_marked_and_no_later_one():
    uses = marked(
        paragraph("Sinks are here. A sink"), paragraph("and a SINK, a sinking one, a heat-sink, lrp and LRP.")
    )
    assert [use.astext() for use in uses] == ["Sinks", "LRP"], "whole words, a plural, letters in capitals"


def test_the_longer_of_two_terms_is_meant():
    assert [use.astext() for use in marked(paragraph("An attention sink gets attention."))] == [
        "attention sink",
        "attention",
    ]


def test_titles_links_code_and_mathematics_are_left_alone():
    link = nodes.paragraph(
        "", "", nodes.reference("", "sink", refuri="x"), nodes.Text(" and "), nodes.literal("", "sink")
    )
    section = nodes.section("", nodes.title("", "The sink"), link, nodes.literal_block("", "sink"))
    assert marked(section, nodes.math_block("", "sink"), nodes.raw("", "<b>sink</b>", format="html")) == []


def test_a_title_in_italics_is_left_alone_and_a_word_in_italics_is_not():
    title = nodes.paragraph("", "", nodes.emphasis("", "The sink of all sinks"), nodes.Text(": read it"))
    word = nodes.paragraph("", "", nodes.Text("what "), nodes.emphasis("", "sinks"), nodes.Text(" are"))
    assert [use.astext() for use in marked(title, word)] == ["sinks"]


def test_a_use_in_a_closed_hint_is_not_the_first():
    hint = [nodes.raw("", "<details><summary>Hint</summary>", format="html"), paragraph("A sink.")]
    end = nodes.raw("", "</details>", format="html")
    [use] = marked(*hint, end, paragraph("Two sinks."))
    assert use.astext() == "sinks"


def test_what_a_definition_says_is_text_and_never_markup():
    class Writer:
        body: list[str] = []

    [use] = marked(paragraph("a sink"))
    terms.closed(Writer, use)
    assert "takes &lt;b&gt;much&lt;/b&gt; &amp; gives &quot;nothing&quot;." in Writer.body[0]


@pytest.mark.timeout(1800)
def test_each_chapter_of_the_book_explains_its_terms_once(book):
    for page in (page for page in pages(book) if page.file.parent.name == "chapters"):
        described = [anchor for anchor in page.anchors if anchor.startswith("definition-")]
        assert len(described) >= 5, page.file.name
        assert page.text.count('aria-describedby="definition-') == len(described)
        assert page.text.count('id="definition-') == len(described)
    assert not any("definition-" in page.text for page in pages(book) if page.file.parent == book)
