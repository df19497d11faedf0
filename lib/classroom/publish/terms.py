"""The first use of each glossary term on a chapter's page is a link to the glossary that shows the definition.

A Sphinx extension, named in `book/_config.yml`. A reader points at the word, or moves the keyboard's focus to it, and
reads the definition beside it; a tap on a telephone follows the link. `book/_static/terms.js` places the box, no more:
without scripts it opens at the foot of the window.
"""

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

CHAPTERS = "chapters/"
GLOSSARY = "glossary"
# Where a link would be in the way, or what stands there is no prose.
NOT_IN = (nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
ROLE = re.compile(r"\{term\}`([^`<]+?)(?: <[^`]*>)?`")
PLAIN = str.maketrans("", "", "`*$")
CITATION = re.compile(r"\s*\{cite:\w+\}`[^`]*`")


class term_use(nodes.inline):  # noqa: N801, docutils names its nodes in small letters
    """A word of the text with its definition, which the search does not index again on every page."""


def definitions(glossary: str) -> dict[str, str]:
    """The terms of the glossary's Markdown -> the first paragraph of each definition, as plain text."""
    found = {}
    for entry in re.split(r"\n\s*\n", glossary.partition(":::{glossary}\n")[2].rpartition("\n:::")[0]):
        term, _, text = entry.strip("\n").partition("\n")
        if text.startswith("  "):  # further paragraphs stand indented, under no term
            found[term] = " ".join(CITATION.sub("", ROLE.sub(r"\1", text)).translate(PLAIN).split())
    return found


def pattern(terms: list[str]) -> re.Pattern[str]:
    """Finds a term as a whole word, in the plural too; of two that begin alike, the longer one."""
    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})s?(?![\w-])", re.IGNORECASE)


def mark(doctree: nodes.document, terms: dict[str, str], address: dict[str, str]) -> list[str]:
    """Make the first use of each of `terms` in the text a `term_use`; returns the terms that were found."""
    named = {term.lower(): term for term in terms}
    words, used, folded = pattern(list(terms)), [], 0
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, nodes.raw):
            folded += text.count("<details") - text.count("</details>")
        if folded or _is_inside(text, NOT_IN):  # a hint is read after the text around it, if at all
            continue
        if isinstance(text.parent, nodes.emphasis) and not words.fullmatch(text):  # the title of a paper, or an example
            continue
        pieces, end = [], 0
        for match in words.finditer(text):
            term = named[match[1].lower()]
            # Letters that are an abbreviation in capitals may be a word without.
            if term in used or (term.isupper() and match[1] != term):
                continue
            used.append(term)
            use = term_use("", match[0], definition=terms[term], address=address[term], key=_key(term))
            pieces += [nodes.Text(text[end : match.start()]), use]
            end = match.end()
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[end:])])
    return used


def on_page(app: Sphinx, doctree: nodes.document, page: str) -> None:
    if page.startswith(CHAPTERS):
        terms = definitions(Path(app.srcdir, f"{GLOSSARY}.md").read_text(encoding="utf-8"))
        places = app.env.get_domain("std").objects
        home = app.builder.get_relative_uri(page, GLOSSARY)
        mark(doctree, terms, {term: f"{home}#{places['term', term][1]}" for term in terms})


def opened(self: Any, node: term_use) -> None:
    self.body.append(
        f'<span class="term-use"><a class="term" href="{html.escape(node["address"])}" '
        f'aria-describedby="definition-{node["key"]}">'
    )


def closed(self: Any, node: term_use) -> None:
    self.body.append(
        f'</a><span class="definition" role="tooltip" id="definition-{node["key"]}">'
        f"{html.escape(node['definition'])}</span></span>"
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(term_use, html=(opened, closed))
    app.connect("doctree-resolved", on_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _key(term: str) -> str:
    return re.sub(r"\W+", "-", term.lower())


def _is_inside(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    while node is not None:
        if isinstance(node, kinds):
            return True
        node = node.parent
    return False
