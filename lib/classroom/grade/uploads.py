"""Find what each student handed in, in a folder or a zip as it comes: nothing is run, changed, unpacked or followed.

Read are: `STUDENT/CHAPTER/any.ipynb` (nbgrader), `STUDENT/...`, `STUDENT.ipynb`, `STUDENT.zip`, the folders and flat
files of a Moodle export (`Ada Lovelace_12_assignsubmission_file_...`), the files of a Canvas export
(`lovelaceada_LATE_12_345_any.ipynb`) and nbgrader's inbox (`STUDENT+CHAPTER+TIME`); in each of them zips, also in zips.
"""

import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

BYTES_A_NOTEBOOK = 32_000_000
BYTES_A_ZIP = 64_000_000
BYTES_A_STUDENT = 256_000_000  # read in all, after unpacking
ENTRIES, DEPTH, ZIPS_IN_ZIPS = 5_000, 12, 2
NOT_THEIRS = {"__MACOSX", ".ipynb_checkpoints", ".git", ".DS_Store", "__pycache__", "Thumbs.db", "desktop.ini"}
OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")

INBOX = re.compile(
    r"(?P<who>[^+]+)\+(?P<chapter>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d[ T_]\d\d[:_]\d\d[:_]\d\d[^+]*)(\+.*)?", re.S
)
MOODLE = re.compile(r"(?P<who>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)", re.S)
CANVAS = re.compile(r"(?P<who>[^_]+)(_late)?_(?P<number>\d+)_\d+_(?P<rest>.+)", re.S | re.I)


@dataclass
class File:
    """One notebook of an upload: where it was in it, its bytes, and when it was last changed, as far as is known."""

    place: tuple[str, ...]
    data: bytes
    modified: float


@dataclass
class Upload:
    """All that one student handed in: `sources` are folders, files or members of `zips`, still unread."""

    student: str
    name: str  # as it stood in the folder
    sources: list[tuple[tuple[str, ...], object]] = field(default_factory=list)
    time: str = ""  # what a timestamp.txt or the name says
    notes: list[str] = field(default_factory=list)


def find(place: Path, chapter: str) -> tuple[list[Upload], list[str]]:
    """The uploads in `place` by student, and what was found there that belongs to nobody."""
    tree = _zip_tree(open(place, "rb"), 100 * ENTRIES) if place.is_file() else _Folder(place)
    uploads: dict[tuple[str, str], Upload] = {}
    ignored = []
    entries = list(tree.entries())
    for wrapper in (place.stem, chapter, "submitted", "inbound"):
        inside = [node for name, node in entries if name == wrapper and isinstance(node, (_Folder, _ZipFolder))]
        if inside and (len(entries) == 1 or wrapper == chapter):
            entries = list(inside[0].entries())
    for name, node in sorted(entries, key=lambda entry: entry[0]):
        if name in NOT_THEIRS:
            continue
        who = _whose(name, node, chapter)
        if who is None:
            ignored.append(printable(name))
            continue
        label, number, time = who
        upload = uploads.setdefault((label, number), Upload("", label))
        if time and upload.sources and time < upload.time:
            continue  # of the attempts in nbgrader's inbox, the last one counts
        if time:
            upload.sources.clear()
        upload.sources.append(((name,), node))
        upload.time = time
    return _named(uploads, ignored), ignored


def notebooks(upload: Upload, chapter: str, chapters: set[str]) -> Iterator[File]:
    """The notebooks of an upload one after the other; what could not be read is added to `upload.notes`.

    Folders and notebooks that bear the name of another of the `chapters` are not looked into.
    """
    reader = _Reader(upload, chapters - {chapter})
    for place, node in upload.sources:
        own = dict(node.entries()).get(chapter) if isinstance(node, (_Folder, _ZipFolder)) else None
        if own is not None:
            place, node = (*place, chapter), own  # nbgrader's layout: nothing but this folder is meant
        yield from reader.read(place, node)


def printable(text: str) -> str:
    """`text` in one line, without what a terminal or a file could stumble over."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= 200 else text[:199] + "…"


def name_for(text: str) -> str:
    """A student's name as the gradebook, a folder and a web address can hold it; "" if nothing of it can be."""
    text = re.sub(r"[^\w.@+-]+", "-", unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()))
    return re.sub(r"^\W+", "", text).rstrip("-.")[:100]


def _whose(name: str, node: object, chapter: str) -> tuple[str, str, str] | None:
    """Who handed in the entry `name`: what they are called, a number that tells namesakes apart, the time if known."""
    if found := INBOX.fullmatch(name):
        return (found["who"], "", found["time"]) if found["chapter"] == chapter else None
    if found := MOODLE.fullmatch(name):
        return found["who"], found["number"], ""
    is_folder = isinstance(node, (_Folder, _ZipFolder))
    if not is_folder and (found := CANVAS.fullmatch(name)):
        return f"{found['who']}_{found['number']}", "", ""
    if is_folder or isinstance(node, str):
        return name, "", ""
    stem, dot, kind = name.rpartition(".")
    if (
        not dot
        or kind.lower() not in ("ipynb", "zip", "py", "pdf", "html")
        and f".{kind.lower()}" not in OTHER_ARCHIVES
    ):
        return None
    short = re.sub(rf"^{re.escape(chapter)}[-_ .]+|[-_ .]+{re.escape(chapter)}$", "", stem)
    return (short or stem), "", ""


def _named(uploads: dict[tuple[str, str], Upload], ignored: list[str]) -> list[Upload]:
    """Give each upload the name that the gradebook will know; those whose names can't be told apart say so."""
    labels = [label for label, _ in uploads]
    by_student: dict[str, list[Upload]] = {}
    for (label, number), upload in uploads.items():
        namesakes = labels.count(label) > 1
        upload.student = name_for(f"{label}-{number}" if namesakes and number else label)
        if namesakes and number:
            upload.notes.append(f"several people are called {printable(label)}: told apart by the number {number}")
        if not upload.student:
            ignored.append(f"{printable(upload.name)} (no letter or digit that a name could begin with)")
            continue
        if upload.student != upload.name and not number:
            upload.notes.append(f"handed in as {printable(upload.name)!r}: filed as {upload.student}")
        by_student.setdefault(upload.student, []).append(upload)
    for student, several in by_student.items():
        if len(several) > 1:
            names = ", ".join(printable(upload.name) for upload in several)
            several[0].sources = []
            several[0].notes = [f"several uploads go by the name {student}: {names}. Rename all but one"]
    return [several[0] for _, several in sorted(by_student.items())]


class _Folder:
    """A folder on the disk. Its entries are folders, files, or a word that says what else they are."""

    def __init__(self, path: Path, depth: int = 0):
        self.path, self.depth = path, depth

    def entries(self) -> Iterator[tuple[str, object]]:
        try:
            with os.scandir(self.path) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield "", f"a folder that can't be read ({error.strerror})"
            return
        for entry in entries:
            if entry.is_symlink():
                yield entry.name, "a link"
            elif entry.is_dir(follow_symlinks=False):
                yield entry.name, _Folder(Path(entry.path), self.depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield entry.name, _DiskFile(entry.path)
            else:
                yield entry.name, "a device or a pipe"


class _DiskFile:
    def __init__(self, path: str):
        self.path = path

    def modified(self) -> float:
        return os.lstat(self.path).st_mtime

    def read(self, most: int) -> bytes:
        # It may have become a link or a pipe since it was listed.
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(self.path, os.O_RDONLY | flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("a device or a pipe")
            return _within(file.read(most + 1), most)


class _ZipFolder:
    """A folder in a zip, which is read where it is and never unpacked to the disk."""

    def __init__(self, depth: int = 0):
        self.inside: dict[str, object] = {}
        self.depth = depth

    def entries(self) -> Iterator[tuple[str, object]]:
        yield from sorted(self.inside.items())


class _ZipMember:
    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo):
        self.archive, self.info = archive, info

    def modified(self) -> float:
        try:
            return datetime(*self.info.date_time).timestamp()
        except (ValueError, OverflowError, OSError):
            return 0.0

    def read(self, most: int) -> bytes:
        with self.archive.open(self.info) as file:
            return _within(file.read(most + 1), most)


def _within(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise ValueError(f"larger than {most // 1_000_000} MB")
    return data


def _zip_tree(file: BinaryIO, most: int = ENTRIES) -> _ZipFolder:
    """The folders and files of a zip of at most so many files. Raises an exception for what is none."""
    archive = zipfile.ZipFile(file)
    root = _ZipFolder()
    if len(archive.infolist()) > most:
        raise ValueError(f"a zip of more than {most} files")
    for info in archive.infolist():
        parts = [part for part in re.split(r"[/\\]", info.filename) if part not in ("", ".")]
        if info.is_dir() or not parts:
            continue
        # No part is ever used as a path; `..` would only hide whose file it is.
        odd = ".." in parts or info.filename.startswith(("/", "\\")) or len(parts) > DEPTH
        folder = root
        for part in parts[:-1]:
            below = folder.inside.setdefault(part, _ZipFolder(folder.depth + 1))
            if not isinstance(below, _ZipFolder):
                odd = True
                break
            folder = below
        kind = stat.S_IFMT(info.external_attr >> 16)
        if odd:
            folder.inside[parts[-1]] = "a file that names a place outside of its zip"
        elif kind and kind != stat.S_IFREG:
            folder.inside[parts[-1]] = "a link" if kind == stat.S_IFLNK else "a device or a pipe"
        else:
            folder.inside[parts[-1]] = _ZipMember(archive, info)
    return root


class _Reader:
    """Reads one student's files, within bounds for all of them together."""

    def __init__(self, upload: Upload, skipped: set[str]):
        self.notes, self.upload, self.skipped = upload.notes, upload, skipped
        self.bytes_left, self.entries_left = BYTES_A_STUDENT, ENTRIES

    def read(self, place: tuple[str, ...], node: object, zips: int = 0) -> Iterator[File]:
        """The notebooks at `place`; nothing for other files but a note where a person might look."""
        name = printable("/".join(place[1:]) or place[0])
        if isinstance(node, str):
            self.notes.append(f"{name}: {node}, not followed")
        elif isinstance(node, (_Folder, _ZipFolder)):
            yield from self._folder(place, node, zips)
        else:
            yield from self._file(place, name, node, zips)

    def _folder(self, place: tuple[str, ...], folder: object, zips: int) -> Iterator[File]:
        if len(place) > DEPTH:
            self.notes.append(f"{printable('/'.join(place[1:4]))}/…: nested too deeply to be read")
            return
        for name, node in folder.entries():
            self.entries_left -= 1
            if self.entries_left == 0:
                self.notes.append(f"more than {ENTRIES} files: the rest was not looked at")
            if self.entries_left <= 0:
                return
            ours = name not in NOT_THEIRS and not name.startswith("._")
            if ours and name.removesuffix(".ipynb") not in self.skipped:
                yield from self.read((*place, name), node, zips)

    def _file(self, place: tuple[str, ...], name: str, node: object, zips: int) -> Iterator[File]:
        kind = os.path.splitext(place[-1])[1].lower()
        if kind in OTHER_ARCHIVES:
            self.notes.append(f"{name}: an archive that is not read here. Unpack it beside the others")
        if place[-1] == "timestamp.txt" and not self.upload.time:
            try:
                self.upload.time = printable(node.read(200).decode("utf-8", "replace").strip())
            except Exception:  # as below: a broken date stops nobody
                self.notes.append(f"{name}: can't be read")
        if kind not in (".ipynb", ".zip"):
            return
        try:
            data = node.read(min(BYTES_A_NOTEBOOK if kind == ".ipynb" else BYTES_A_ZIP, self.bytes_left))
            self.bytes_left -= len(data)
            if kind == ".ipynb":
                yield File(place, data, node.modified())
                return
            if zips == ZIPS_IN_ZIPS:
                raise ValueError("a zip in a zip in a zip")
            if data.count(b"PK\x01\x02") > ENTRIES:  # `zipfile` reads the whole list before it says how long it is
                raise ValueError(f"a zip of more than {ENTRIES} files")
            tree = _zip_tree(io.BytesIO(data))
        except Exception as error:  # whatever a file brings about is said of that file and stops nobody else's
            self.notes.append(f"{name}: can't be read: {_why(error)}")
            return
        yield from self._folder(place, tree, zips + 1)


def _why(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return "a damaged zip"
    if isinstance(error, RuntimeError) and "encrypted" in str(error):
        return "it has a password"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(words or type(error).__name__)
