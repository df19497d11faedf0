"""What a built site holds, read without a browser."""

import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

BINARY = {".woff", ".woff2", ".ttf", ".eot", ".png", ".jpg", ".mo"}
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}


@dataclass
class Page(HTMLParser):
    """The links, anchors and loaded files of one page, and its pictures without a text."""

    file: Path
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    silent_pictures: list[str] = field(default_factory=list)
    open_boxes: int = 0
    boxes: int = 0

    def __post_init__(self):
        super().__init__()
        self.text = self.file.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if (
            tag == "link"
            and given.get("href")
            and given.get("rel") not in ("canonical", "next", "prev", "index", "search")
        ):
            self.loads.append(given["href"])
        if given.get(LOADED.get(tag, "")):
            self.loads.append(given[LOADED[tag]])
        if tag == "img" and not (given.get("alt") or "").strip():
            self.silent_pictures.append(given.get("src", "?"))
        if tag == "details":
            self.boxes += 1
            self.open_boxes += "open" in given


def pages(site: Path) -> list[Page]:
    return [Page(file) for file in sorted(site.rglob("*.html")) if "_static" not in file.relative_to(site).parts]


def texts(site: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the site as text, without markup and white space, so that a line is found however it is printed."""
    for file in sorted(path for path in site.rglob("*") if path.is_file()):
        if file.suffix in BINARY:
            continue
        data = file.read_bytes()
        if file.name == "objects.inv":
            head, _, packed = data.partition(b"zlib.\n")
            data = head + zlib.decompress(packed)
        text = data.decode("utf-8")
        if file.suffix == ".html":
            text = html.unescape(re.sub(r"<[^>]*>", "", text)) + text
        if file.suffix == ".ipynb":
            text = text.replace('\\"', '"').replace("\\\\", "\\") + text
        yield file, re.sub(r"\s+", "", text)
