"""What the pages for students and instructors share: text that is escaped and bounded, and one look."""

from html import escape

from classroom.grade.result import bounded

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem } h3 { font-size: 1rem }
pre { background: #f5f5f2; padding: .7rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; white-space: nowrap } .full { color: #006838 } .part { color: #8a4b00 } .none { color: #a3120a }
.waits { color: #0a4f8f } .small { font-size: .85rem; color: #555 } details { margin: .3rem 0 }
""".strip()  # noqa: E501
CHARACTERS_SHOWN = 20_000


def page(title: str, body: str) -> str:
    """A page that is complete by itself and fetches nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>{text(title)}</title>\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def text(words: object, most: int = CHARACTERS_SHOWN) -> str:
    """Any text as text of a page. Signs that would turn the reading direction or can't be seen are shown as �."""
    shown = bounded(str(words), most)
    clean = "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in shown)
    return escape(clean)


def pre(words: str) -> str:
    return f"<pre>{text(words)}</pre>" if words.strip() else ""


def table(head: list[str], rows: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    """A table of cells that are HTML already; the columns `numbers` are set to the right."""

    def line(cells: list[str], tag: str) -> str:
        parts = (
            f'<{tag} class="number">{cell}</{tag}>' if place in numbers else f"<{tag}>{cell}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(parts)}</tr>"

    lines = [line(row, "td") for row in rows]
    return (
        "<table>\n<thead>" + line([text(word) for word in head], "th") + "</thead>\n" + "\n".join(lines) + "\n</table>"
    )
