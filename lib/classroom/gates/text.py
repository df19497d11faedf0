"""Gates on the prose: JupyterLab must show every notebook well, and a reader who can't see must be told the figures."""

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from classroom.source import Chapter, Problem, has_tag, is_solution

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,}).*?^\s*\2`*\s*$", re.MULTILINE | re.DOTALL)
NOT_COMMON = {
    "a directive": re.compile(r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{|^\s*:{3,}", re.MULTILINE),
    "a role": re.compile(r"(?<!`)\{[a-zA-Z][\w:-]*\}`[^`\n]+`"),
    "a label": re.compile(r"^\([\w:-]+\)=\s*$", re.MULTILINE),
    "a labelled equation": re.compile(r"\$\$\s*\([\w:-]+\)\s*$", re.MULTILINE),
    "a footnote": re.compile(r"\[\^[\w-]+\]"),
}


def prose(source: str) -> str:
    """Markdown without its fenced code blocks."""
    return FENCE.sub("", source)


def words_of(source: str) -> str:
    """Markdown without code and mathematics."""
    return re.sub(r"`[^`]*`|\$\$[^$]*\$\$|\$[^$]*\$", "", prose(source))


def written(chapter: Chapter) -> Iterator[NotebookNode]:
    """The markdown cells. Solution markers look like headings, so sample answers are left out."""
    return (cell for cell in chapter.notebook.cells if cell.cell_type == "markdown" and not is_solution(cell))


def headings(chapter: Chapter) -> list[Problem]:
    """One title, in the first cell; no level of headings is jumped over."""
    found, level = [], 0
    first = chapter.notebook.cells[0] if chapter.notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        found.append(chapter.problem(first, "the first cell begins with the title, `# …`"))
    for cell in written(chapter):
        for hashes, words in re.findall(r"^(#{1,6}) (.*)$", prose(cell.source), re.MULTILINE):
            if len(hashes) == 1 and level:
                found.append(chapter.problem(cell, f"`# {words}` is a second title: use `## `"))
            if len(hashes) > level + 1:
                found.append(
                    chapter.problem(cell, f"`{hashes} {words}` jumps over a level: use `{'#' * (level + 1)} `")
                )
            level = len(hashes)
    return found


def alternative_text(chapter: Chapter) -> list[Problem]:
    """Images in markdown say in words what they show (figures drawn by code are looked at once they are drawn)."""
    found = []
    for cell in written(chapter):
        text = prose(cell.source)
        empty = re.findall(r"!\[\s*\][\[(][^\])]*[\])]", text)
        tags = re.findall(r"<img\b[^>]*>", text, re.IGNORECASE)
        empty += [tag for tag in tags if not re.search(r"\balt\s*=\s*(\"[^\"]*\S[^\"]*\"|'[^']*\S[^']*')", tag)]
        found += [chapter.problem(cell, f"the image `{image[:60]}` has no alternative text") for image in empty]
    return found


def common_markdown(chapter: Chapter) -> list[Problem]:
    """Nothing that JupyterLab would show as raw text."""
    found = []
    views = {"a directive": str, "a footnote": words_of}
    for cell in (cell for cell in chapter.notebook.cells if cell.cell_type == "markdown"):
        for what, pattern in NOT_COMMON.items():
            match = pattern.search(views.get(what, prose)(cell.source))
            if match:
                shown = match[0].strip()
                message = f"`{shown}` is {what}, raw text in JupyterLab: use common Markdown, `$…$` and `<details>`"
                found.append(chapter.problem(cell, message))
    return found


def folded_blocks(chapter: Chapter) -> list[Problem]:
    """Markdown inside `<details>` is shown as Markdown only between blank lines; hints stay closed."""
    found = []
    for cell in chapter.notebook.cells:
        if cell.cell_type != "markdown" or has_tag(cell, "rubric"):
            continue
        text = prose(cell.source)
        opened, closed = len(re.findall(r"<details\b", text)), text.count("</details>")
        if opened != closed:
            found.append(chapter.problem(cell, f"{opened} `<details>` and {closed} `</details>`"))
        if re.search(r"<details\s+[^>]*\bopen\b", text):
            found.append(chapter.problem(cell, "`<details open>` gives the hint away: leave out `open`"))
        if len(re.findall(r"<details>\s*<summary>.+</summary>", text)) != opened:
            found.append(chapter.problem(cell, "`<details>` begins with `<summary>…</summary>` on one line"))
        if re.search(r"</summary>(?!\s*?\n\s*?\n)", text) or re.search(r"(?<!\n\n)</details>", text):
            message = "blank lines come after `</summary>` and before `</details>`, or Markdown shows raw"
            found.append(chapter.problem(cell, message))
    return found
