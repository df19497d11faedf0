"""Uploads as they come, honest and hostile: which answers are found, what a person is told, and nothing is touched."""

import io
import json
import os
import socket
import stat
import time
import zipfile
from pathlib import Path

import pytest
from tests.grading.handed_in import ANSWERS, CHAPTER, as_bytes, cell, find, hand_in, notebook, zipped

from classroom.grade.intake import Intake, Unreadable, released, take_in
from classroom.grade.submission import CHARACTERS_A_CELL, Submission
from classroom.grade.uploads import BYTES_A_NOTEBOOK, name_for


def take(course: Path, place: str | Path = "submitted", **options) -> Intake:
    return take_in(course / place, CHAPTER, released(course, CHAPTER), {CHAPTER, "02_other"}, **options)


def only(intake: Intake) -> Submission:
    (received,) = intake.received
    assert not intake.unreadable
    return received.submission


def read(course: Path, document) -> Submission:
    hand_in(course, "ada", document)
    return only(take(course))


def reason(course: Path, data: bytes) -> str:
    hand_in(course, "ada", data)
    intake = take(course)
    assert not intake.received
    return intake.unreadable[0].reason


def layouts(course: Path) -> dict[str, tuple[str, dict[str, bytes]]]:
    """The student's name in the gradebook, and the files that were handed in, for each way of handing in."""
    data, path = as_bytes(notebook(course)), f"{CHAPTER}.ipynb"
    other = as_bytes({"cells": [cell("x = 1")]})
    return {
        "nbgrader": ("ada", {f"ada/{CHAPTER}/{path}": data, "ada/02_other/02_other.ipynb": other}),
        "renamed": ("ada", {f"ada/{CHAPTER}/Kopie von final (2).ipynb": data}),
        "nested": ("ada", {f"ada/my things/homework/{path}": data}),
        "flat": ("ada", {"ada.ipynb": data}),
        "flat with the chapter": ("ada", {f"ada_{path}": data}),
        "zip": ("ada", {"ada.zip": zipped({f"deep/er/{path}": data, "notes.txt": b"hello"})}),
        "zip in a folder": ("ada", {f"ada/{CHAPTER}/all.zip": zipped({path: data, f"__MACOSX/._{path}": b"\0\5"})}),
        "zip in a zip": ("ada", {"ada.zip": zipped({"inner.zip": zipped({path: data})})}),
        "moodle folder": ("Ada-Lovelace", {f"Ada Lovelace_1234_assignsubmission_file_/{path}": data}),
        "moodle file": ("Ada-Lovelace", {f"Ada Lovelace_1234_assignsubmission_file_{path}": data}),
        "moodle with a text": (
            "Ada-Lovelace",
            {
                f"Ada Lovelace_12_assignsubmission_file/{path}": data,
                "Ada Lovelace_12_assignsubmission_onlinetext/onlinetext.html": b"<p>see file</p>",
            },
        ),
        "canvas": ("lovelaceada_4711", {f"lovelaceada_4711_99_{path}": data}),
        "canvas late": ("lovelaceada_4711", {f"lovelaceada_LATE_4711_99_{CHAPTER}-1.ipynb": data}),
        "inbox": (
            "ada",
            {
                f"ada+{CHAPTER}+2026-11-20 10:00:00 UTC+x/{path}": as_bytes(notebook(course, {})),
                f"ada+{CHAPTER}+2026-11-21 10:00:00 UTC+y/{path}": data,
                "ada+02_other+2026-11-22 10:00:00 UTC+z/02_other.ipynb": other,
            },
        ),
        "chapter first": ("ada", {f"{CHAPTER}/ada/{path}": data}),
        "letters of the world": ("Çelik-Øster", {f"Çelik Øster_7_assignsubmission_file_/{path}": data}),
        "odd": ("x", {f"[x]/{CHAPTER}/{path}": data}),
        "hidden": ("ada", {f".ada/{path}": data}),
        "up": ("etc-passwd", {f"..etc passwd/{path}": data}),
        "with checkpoints": ("ada", {f"ada/.ipynb_checkpoints/{path}": other, f"ada/{path}": data}),
    }


NAMES = [
    "nbgrader", "renamed", "nested", "flat", "flat with the chapter", "zip", "zip in a folder", "zip in a zip",
    "moodle folder", "moodle file", "moodle with a text", "canvas", "canvas late", "inbox", "chapter first",
    "letters of the world", "odd", "hidden", "up", "with checkpoints",
]  # fmt: skip


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize("layout", NAMES)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "one zip"])
def test_every_way_of_handing_in_is_understood(layout, packed, toy_course):
    student, files = layouts(toy_course)[layout]
    if packed:
        (toy_course / "export.zip").write_bytes(zipped(files))
    else:
        put(toy_course / "submitted", files)
    submission = only(take(toy_course, "export.zip" if packed else "submitted"))
    assert (submission.student, submission.answers) == (student, ANSWERS)
    assert submission.extras == ()


def test_no_layout_is_left_out(toy_course):
    assert set(layouts(toy_course)) == set(NAMES)


def test_namesakes_are_told_apart_and_clashes_are_given_to_a_person(toy_course):
    data = as_bytes(notebook(toy_course))
    put(
        toy_course / "submitted",
        {
            "Ada Lovelace_1_assignsubmission_file_/a.ipynb": data,
            "Ada Lovelace_2_assignsubmission_file_/a.ipynb": data,
            "b c/a.ipynb": data,
            "b-c/a.ipynb": data,
            "???/a.ipynb": data,
            "grades.csv": b"a,b",
        },
    )
    intake = take(toy_course)
    assert [item.submission.student for item in intake.received] == ["Ada-Lovelace-1", "Ada-Lovelace-2"]
    assert "told apart by the number 1" in intake.received[0].submission.notes[0]
    assert intake.unreadable[0].reason == "several uploads go by the name b-c: b c, b-c. Rename all but one"
    assert sorted(intake.ignored) == ["??? (no letter or digit that a name could begin with)", "grades.csv"]


def test_one_student_can_be_asked_for(toy_course):
    for name in ("ada", "ben"):
        hand_in(toy_course, name, notebook(toy_course))
    assert only(take(toy_course, students={"ben"})).student == "ben"


def test_only_the_words_in_the_cells_are_taken_over(toy_course):
    def hostile(cells):
        for one in cells:
            one["metadata"]["tags"] = ["skip-execution", "secret-tag"]
            one["metadata"].setdefault("nbgrader", {})["points"] = 1000
            if one["cell_type"] == "code":
                one["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "secret-output"}]
        find(cells, "written-choice")["attachments"] = {"secret.png": {"image/png": "secret-attachment"}}

    submission = read(toy_course, notebook(toy_course, change=hostile) | {"metadata": {"secret": "secret-metadata"}})
    assert "secret" not in submission.to_json()
    assert submission.answers == ANSWERS
    assert submission.notes == ("written-choice: a picture was pasted into the answer, and is in the upload only",)


def test_extra_and_changed_cells_run_behind_the_cell_that_they_stand_behind(toy_course):
    def change(cells):
        setup = next(one for one in cells if one["cell_type"] == "code")
        setup["source"] += "\nimport numpy as np"
        cells.insert(0, cell("first = 1"))
        cells.insert(cells.index(find(cells, "check-mean")) + 1, cell("mean([1, 2])"))
        cells.append(cell("", "markdown"))
        cells.append(cell("   "))

    submission = read(toy_course, notebook(toy_course, change=change))
    setup = released(toy_course, CHAPTER).cells[1]
    assert [(extra.after, extra.source) for extra in submission.extras] == [
        ("", "first = 1"),
        (setup.id, setup.source + "\nimport numpy as np"),
        ("check-mean", "mean([1, 2])"),
    ]
    assert submission.notes == ("1 of the chapter's own code cells were changed: both versions were run",)


def test_a_changed_or_missing_check_is_the_chapters_again(toy_course):
    def change(cells):
        find(cells, "check-mean")["source"] = "pass"
        cells.remove(find(cells, "check-median"))

    submission = read(toy_course, notebook(toy_course, change=change))
    assert submission.answers == ANSWERS and submission.extras == ()
    assert submission.notes == ("the text of a check was changed; the chapter's own was used: check-mean",)


def test_of_two_versions_of_an_answer_the_last_one_counts_and_runs_last(toy_course):
    def change(cells):
        place = cells.index(find(cells, "mean"))
        older = json.loads(json.dumps(cells[place])) | {"id": "copy", "source": "def mean(numbers): return 0"}
        unwritten = json.loads(json.dumps(notebook(toy_course, {})["cells"][place])) | {"id": "copy2"}
        cells.insert(place, older)
        cells.insert(place + 2, unwritten)

    submission = read(toy_course, notebook(toy_course, change=change))
    assert submission.answers == ANSWERS
    code = [cell.id for cell in released(toy_course, CHAPTER).cells if cell.cell_type == "code"]
    before = code[code.index("mean") - 1]
    assert [(extra.after, extra.source) for extra in submission.extras] == [(before, "def mean(numbers): return 0")]
    assert submission.notes == ("mean is there 3 times: took the last one that was written in",)


def test_answers_without_marks_are_found_by_what_they_define_or_where_they_stand(toy_course):
    def change(cells):
        for one in cells:
            one["metadata"] = {}
            one.pop("id")
        next(one for one in cells if one["source"] == ANSWERS["written-choice"])["cell_type"] = "raw"

    submission = read(toy_course, notebook(toy_course, change=change))
    assert submission.answers == ANSWERS
    assert submission.extras == ()
    assert any("mean had lost its mark: found it in cell" in note for note in submission.notes)


def test_what_is_not_there_is_said(toy_course):
    submission = read(toy_course, notebook(toy_course, change=lambda cells: cells.remove(find(cells, "mean"))))
    assert submission.answers == {name: text for name, text in ANSWERS.items() if name != "mean"}
    assert submission.notes == ("not found: mean",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_unicode_is_read(encoding, toy_course):
    answers = ANSWERS | {"written-choice": "Der Median – weil 中位数 🙂"}
    document = json.dumps(notebook(toy_course, answers), ensure_ascii=False).encode(encoding)
    assert read(toy_course, document).answers == answers


def test_a_lone_surrogate_and_broken_bytes_do_not_stop_the_rest(toy_course):
    answers = ANSWERS | {"mean": ANSWERS["mean"] + "  # \ud800"}
    submission = read(toy_course, notebook(toy_course, answers))
    assert submission.answers["mean"] == ANSWERS["mean"] + "  # ?"
    assert "no valid text" in submission.notes[0]
    broken = as_bytes(notebook(toy_course)).replace(b"one person", b"one \xff person")
    assert "one \ufffd person" in read(toy_course, broken).answers["written-choice"]


def test_older_and_newer_formats_are_read(toy_course):
    document = notebook(toy_course)
    assert read(toy_course, document | {"nbformat": 5, "nbformat_minor": 99}).answers == ANSWERS
    for one in document["cells"]:
        if one["cell_type"] == "code":
            one["input"] = one.pop("source")
    document["worksheets"] = [{"cells": document.pop("cells")}]
    assert read(toy_course, document | {"nbformat": 3}).answers == ANSWERS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        (b'{"cells": [', "not a notebook, or one that was cut off"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"\x89PNG", "not a notebook"),
        (b"[]", "a file without cells"),
        (b'{"cells": {"a": 1}}', "a file without cells"),
        (b'{"cells": [1, null, {"source": 5}]}', "none of its cells is an answer of 01_averages"),
        (b'{"cells": [' + b"{}," * 1_000_001 + b"{}]}", "parts, which no notebook has"),
        (b" " * (BYTES_A_NOTEBOOK + 1), "larger than 32 MB"),
    ],
    ids=["empty", "torn", "deep", "picture", "list", "object", "odd cells", "parts", "large"],
)
def test_what_is_no_notebook_is_named(data, words, toy_course):
    assert words in reason(toy_course, data)


def test_an_endless_number_and_odd_metadata_are_no_reason_to_read_nothing(toy_course):
    document = notebook(toy_course)
    document["cells"][0]["metadata"] = ["odd"]
    document["cells"][1]["metadata"] = {"nbgrader": {"grade_id": {"a": 1}}}
    document["cells"][2]["id"] = 7
    data = as_bytes(document).replace(b'"id": 7', b'"id": ' + b"9" * 10_000)
    assert read(toy_course, data).answers == ANSWERS


def test_a_damaged_or_hostile_zip_is_named(toy_course):
    good = zipped({f"{CHAPTER}.ipynb": as_bytes(notebook(toy_course))})
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as archive:
        info = zipfile.ZipInfo("a.ipynb")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("../../b.ipynb", "{}")
        archive.writestr("/c.ipynb", "{}")
    secret = bytearray(good)
    for header, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        secret[secret.index(header) + flag] |= 1
    many = zipped({f"{number}.txt": b"" for number in range(5_001)})
    three = zipped({"1.zip": zipped({"2.zip": zipped({"3.zip": good})})})
    zeros = zipped({"bomb.ipynb": bytes(BYTES_A_NOTEBOOK + 1)})
    uploads = {"torn": good[:-30], "link": link.getvalue(), "secret": bytes(secret), "many": many, "three": three}
    put(toy_course / "submitted", {f"{name}.zip": data for name, data in (uploads | {"zeros": zeros}).items()})
    (toy_course / "submitted" / "rar.rar").write_bytes(b"Rar!")
    intake = take(toy_course)
    reasons = {item.student: item.reason for item in intake.unreadable}
    assert not intake.received
    assert "damaged zip" in reasons["torn"]
    assert "a link, not followed" in reasons["link"]
    assert reasons["link"].count("a place outside of its zip") == 2
    assert "password" in reasons["secret"]
    assert "more than 5000 files" in reasons["many"]
    assert "a zip in a zip in a zip" in reasons["three"]
    assert "larger than 32 MB" in reasons["zeros"]
    assert "not read here" in reasons["rar"]


def test_links_pipes_and_sockets_are_not_followed(toy_course):
    target = hand_in(toy_course, "honest", notebook(toy_course))
    submitted = toy_course / "submitted"
    (submitted / "folder-link").symlink_to(target.parents[1])
    (submitted / "inner" / CHAPTER).mkdir(parents=True)
    (submitted / "inner" / CHAPTER / "a.ipynb").symlink_to(target)
    (submitted / "chapter-link").mkdir()
    (submitted / "chapter-link" / CHAPTER).symlink_to(target.parent)
    (submitted / "pipe").mkdir()
    os.mkfifo(submitted / "pipe" / "a.ipynb")
    (submitted / "socket").mkdir()
    here = os.getcwd()
    os.chdir(submitted / "socket")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("a.ipynb")
        os.chdir(here)
        intake = take(toy_course)
    assert [item.submission.student for item in intake.received] == ["honest"]
    reasons = {item.student: item.reason for item in intake.unreadable}
    assert set(reasons) == {"folder-link", "inner", "chapter-link", "pipe", "socket"}
    assert all("not followed" in text for text in reasons.values()), reasons


def test_deep_and_wide_folders_end(toy_course):
    deep = toy_course / "submitted" / "deep" / "/".join("d" * 40)
    deep.mkdir(parents=True)
    (deep / "a.ipynb").write_bytes(as_bytes(notebook(toy_course)))
    wide = toy_course / "submitted" / "wide"
    wide.mkdir()
    for number in range(5_100):
        (wide / f"{number}.txt").touch()
    reasons = {item.student: item.reason for item in take(toy_course).unreadable}
    assert "nested too deeply" in reasons["deep"]
    assert "more than 5000 files" in reasons["wide"]


def test_large_cells_are_left_out_and_named(toy_course):
    long = "x = 1\n" * CHARACTERS_A_CELL
    answers = ANSWERS | {"mean": "#" * (CHARACTERS_A_CELL + 1)}
    submission = read(
        toy_course, notebook(toy_course, answers, lambda cells: cells.extend([cell(long), *[cell("y")] * 1500]))
    )
    submission.check()
    assert "mean" not in submission.answers and submission.answers["median"] == ANSWERS["median"]
    assert f"mean: left out, as it has {CHARACTERS_A_CELL + 1} characters" in submission.notes
    assert len(submission.notes) <= 100


def test_of_several_notebooks_the_one_with_most_of_the_chapter_is_taken(toy_course):
    files = {
        "ada/draft.ipynb": as_bytes(notebook(toy_course, {"mean": ANSWERS["mean"]})),
        "ada/final.ipynb": as_bytes(notebook(toy_course)),
        "ada/scratch.ipynb": as_bytes({"cells": [cell("x = 1")]}),
    }
    put(toy_course / "submitted", files)
    submission = only(take(toy_course))
    assert submission.answers == ANSWERS
    assert "several notebooks of this chapter: took final.ipynb, not draft.ipynb" in submission.notes


def test_an_empty_folder_is_nothing_handed_in(toy_course):
    (toy_course / "submitted" / "late").mkdir(parents=True)
    (toy_course / "submitted" / "other" / "02_other").mkdir(parents=True)
    hand_in(toy_course, "other", b"").rename(toy_course / "submitted" / "other" / "02_other" / "02_other.ipynb")
    (toy_course / "submitted" / "other" / CHAPTER).rmdir()
    assert take(toy_course).unreadable == [
        Unreadable("late", "nothing handed in"),
        Unreadable("other", "nothing handed in"),
    ]


def test_nothing_of_an_upload_is_changed(toy_course):
    student, files = layouts(toy_course)["zip in a zip"]
    put(toy_course / "submitted", files)
    hand_in(toy_course, "ben", notebook(toy_course))
    everything = sorted((toy_course / "submitted").rglob("*"))
    before = [(path, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in everything]
    take(toy_course)
    after = sorted((toy_course / "submitted").rglob("*"))
    assert before == [(path, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in after]


def test_the_same_answers_have_the_same_digest_and_others_another(toy_course):
    first = read(toy_course, notebook(toy_course))
    again = read(toy_course, notebook(toy_course, change=lambda cells: cells.append(cell("", "markdown"))))
    other = read(toy_course, notebook(toy_course, ANSWERS | {"robust": 'answer_robust = "b"'}))
    assert first.digest == again.digest != other.digest
    assert Submission.from_json(first.to_json()) == first
    with pytest.raises(ValueError, match="its digest"):
        Submission.from_json(first.to_json().replace("sum(numbers)", "max(numbers)"))


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("ada", "ada"),
        ("../../etc/passwd", "etc-passwd"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
        ("-rf", "rf"),
        (".", ""),
        ("a\x00b\nc", "a-b-c"),
        ("\udcff", ""),
        ("ada@example.org", "ada@example.org"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_name_becomes_one_that_every_place_can_hold(name, becomes):
    assert name_for(name) == becomes


def test_a_class_is_read_in_little_time(toy_course):
    data = as_bytes(notebook(toy_course))
    for number in range(200):
        hand_in(toy_course, f"s{number}", data)
    start = time.perf_counter()
    assert len(take(toy_course).received) == 200
    print(f"200 uploads read in {time.perf_counter() - start:.2f} s")
