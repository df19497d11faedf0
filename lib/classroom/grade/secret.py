"""The course's secret, from which each student gets inputs of their own: the same ones each time, and no one else's."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

NAME = "secret"


def secret(root: Path) -> bytes:
    """The secret in `grades/secret`, which only its owner can read and git ignores; made on first use."""
    path = root / "grades" / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(unfinished, path)  # fails if somebody else was first: then theirs is the secret
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    text = path.read_text(encoding="ascii").strip()
    if len(text) != 64:
        raise ValueError(
            f"{path} is no secret: 64 hexadecimal digits were expected. Without it no mark can be repeated"
        )
    return bytes.fromhex(text)


def seed(key: bytes, student: str, chapter: str, grade_id: str) -> int:
    """The seed of a student's inputs in one graded cell."""
    text = "\0".join((student, chapter, grade_id)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hmac.new(key, text, hashlib.sha256).digest()[:4], "big") >> 1
