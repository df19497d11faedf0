"""A file of finished results, for work that may be interrupted: each is in it whole or not at all.

One line of JSON for each result, added when it is finished. The first line says what the results were made from. What
the interruption left of a last line is dropped; a file made from anything else is refused, since its numbers would mix
in silence with others.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassbox.errors import InputError


class ResultsFile:
    """Results by key, kept in memory and, with a path, in a file.

    made_from:  {what: its fingerprint}; a file in which any of them is another is refused with an InputError.
    """

    def __init__(self, path: str | os.PathLike | None, made_from: Mapping[str, str]) -> None:
        self._path = None if path is None else Path(path)
        self._results: dict[tuple[str, ...], dict[str, Any]] = {}
        if self._path is None:
            return
        if not self._path.exists():
            self._create(dict(made_from))
        else:
            self._read(dict(made_from))

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._results

    def __getitem__(self, key: tuple[str, ...]) -> dict[str, Any]:
        return self._results[key]

    def add(self, key: tuple[str, ...], result: dict[str, Any]) -> None:
        """Keep a finished result."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "result": result}) + "\n")
        self._results[key] = result

    def _create(self, made_from: dict[str, str]) -> None:
        """Written beside its place and then moved there, so that a file without its first line is never ours."""
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self._path.parent, prefix=f".{self._path.name}.", delete=False
        ) as file:
            file.write(json.dumps({"made from": made_from}) + "\n")
        os.replace(file.name, self._path)

    def _read(self, made_from: dict[str, str]) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        first, *lines = whole.splitlines() or [b""]
        try:
            before = json.loads(first)["made from"]
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{str(self._path)!r} is no file of results; name a new file, or one of this kind"
            ) from None
        if before != made_from:
            changed = [what for what in made_from if before.get(what) != made_from[what]] or sorted(before)
            raise InputError(
                f"{str(self._path)!r} holds results of another {' and another '.join(changed)}; "
                "name a new file, or go on with what the results were made from"
            )
        for number, line in enumerate(lines, start=2):
            try:
                entry = json.loads(line)
                self._results[tuple(entry["key"])] = entry["result"]
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"line {number} of {str(self._path)!r} is damaged; delete the line, or name a new file"
                ) from None
        if whole != content:
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
