"""The gradebook on a PostgreSQL server: the same marks, transactions and backup as in a file."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from tests.grading.handed_in import CHAPTER, engine, fill_class, hand_in

from classroom.grade.class_run import run

pytest.importorskip("psycopg", reason="no driver for PostgreSQL; this would install it: pip install 'psycopg[binary]'")
INSTALL = "sudo apt-get install postgresql"


def program(name: str) -> str | None:
    """Debian keeps the server's programs off the path."""
    found = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))]
    return next((place for place in reversed(found) if place), None)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL server on this machine's loopback, for these tests alone: its URL without the database's name."""
    initdb, postgres = program("initdb"), program("postgres")
    if not (initdb and postgres):
        pytest.skip(f"no PostgreSQL server on this machine; this would install it: {INSTALL}")
    folder = tmp_path_factory.mktemp("postgres")
    as_user = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        import pwd

        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        for place in (folder, *folder.parents):
            if place.stat().st_mode & 0o777 == 0o700 and place.stat().st_uid == 0:
                place.chmod(0o711)
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = folder / "data", open(folder / "log", "w")
    command = [initdb, "-D", str(data), "-U", "course", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log, **as_user)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-p", str(port)]
    running = subprocess.Popen([postgres, "-D", str(data), *options], cwd=folder, stdout=log, stderr=log, **as_user)
    url = f"postgresql+psycopg://course@127.0.0.1:{port}"
    import psycopg

    for _ in range(300):
        try:
            with psycopg.connect(f"postgresql://course@127.0.0.1:{port}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE gradebook")
            break
        except psycopg.OperationalError:
            time.sleep(0.2)
    yield f"{url}/gradebook"
    running.terminate()
    running.wait(60)


def test_marks_are_the_same_on_a_server(toy_course, server, capsys):
    with open(toy_course / "nbgrader_config.py", "a") as file:
        file.write(f"\nc.CourseDirectory.db_url = {server!r}\n")
    marks = fill_class(toy_course)
    assert {row.student: row.score for row in run(toy_course, CHAPTER, engine=engine)} == marks
    assert not (toy_course / "gradebook.db").exists()
    with Gradebook(server) as book:
        assert book.find_submission(CHAPTER, "dee").score == marks["dee"]
        grade = book.find_grade("written-choice", CHAPTER, CHAPTER, "dee")
        grade.manual_score, grade.needs_manual_grade = 4, False
        book.db.commit()
    hand_in(toy_course, "cem", b"torn")
    rows = {row.student: row for row in run(toy_course, CHAPTER, engine=engine)}
    assert rows["dee"].score == marks["dee"] + 4 and rows["dee"].waiting == ()
    assert rows["cem"].score is None
    (backup,) = (toy_course / "grades" / "backup").iterdir()
    tables = json.loads(backup.read_text())
    assert {row["manual_score"] for row in tables["grade"]} == {None, 4.0}
    assert sum(row["auto_score"] or 0 for row in tables["grade"]) == sum(marks.values())
    run(toy_course, CHAPTER, engine=engine)
    run(toy_course, CHAPTER, engine=engine)
    assert len(list((toy_course / "grades" / "backup").iterdir())) == 2, "one for each gradebook that was another"
