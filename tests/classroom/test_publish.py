"""A chapter's page shows what it should and no more, and a book that can't be built leaves the old one alone."""

import shutil
from pathlib import Path

import nbformat
import pytest

from classroom import anywhere, build, execute
from classroom.publish import Unpublished, at_a_glance, publish, rubrics, write_source
from classroom.publish.page import is_prose, page
from classroom.source import Refused, chapters, load

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "book" / "small_course"
SOLUTIONS = {"double": "marmalade_sum", "zero": "quince_reason", "written-why": "elderberry_argument"}
FOR_GRADERS = ("4711", "gooseberry_criterion", "SOLUTION", "HIDDEN TESTS")


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    shutil.copytree(SMALL, root, dirs_exist_ok=True)
    return load(root / "solutions" / "01_small.py")


@pytest.fixture(scope="module")
def executed(chapter):
    return execute.executed(chapter)


@pytest.fixture(scope="module")
def make_page(chapter, executed):
    return lambda show: page(chapter, build.student(chapter), executed, show_solutions=show)


@pytest.mark.parametrize("show", [True, False])
def test_the_page_is_valid_and_keeps_the_students_order(chapter, make_page, show):
    made = make_page(show)
    nbformat.validate(made)
    ids = [cell.id for cell in made.cells if not cell.id.endswith("-solution")]
    assert ids == [cell.id for cell in build.student(chapter).cells if cell.id != anywhere.place(chapter.name)]


def test_each_solution_follows_its_exercise_in_a_closed_box(make_page):
    cells = make_page(True).cells
    boxes = {cells[at - 1].id: cell.source for at, cell in enumerate(cells) if cell.id.endswith("-solution")}
    assert boxes.keys() == SOLUTIONS.keys()
    for exercise, text in SOLUTIONS.items():
        first, *inner, last = boxes[exercise].split("\n")
        fence = first[: first.index("{")]
        assert first == fence + ("{dropdown} Sample answer" if exercise == "written-why" else "{dropdown} Solution")
        assert last == fence and set(fence) == {"`"}
        assert not any(line.startswith(fence) for line in inner), "the box would end too early"
        assert ":open:" not in inner
        assert text in "\n".join(inner)


def test_the_solution_is_the_whole_cell_so_that_it_can_be_copied(make_page):
    (box,) = [cell.source for cell in make_page(True).cells if cell.id == "double-solution"]
    code = box[box.index("def double") : box.index("return marmalade_sum") + len("return marmalade_sum")]
    space = {}
    exec(code, space)
    assert space["double"](21) == 42


def test_what_is_printed_wraps_where_it_is_prose(make_page):
    code = [cell for cell in make_page(True).cells if cell.cell_type == "code"]
    prose = [cell for cell in code if cell.metadata.get("tags") == ["prose"]]
    assert len(code) > 6 and ["goes on and on" in str(cell.outputs) for cell in prose] == [True]


def test_a_table_is_no_prose_however_long_the_line_above_it_is():
    line = "a line of words " * 9
    assert is_prose(line) and is_prose(f"{line}\nand a short one")
    assert not is_prose("a short one") and not is_prose(f"{line}\nplain    0.52  0.94\n")


def test_hidden_solutions_are_nowhere_on_the_page(make_page):
    text = nbformat.writes(make_page(False))
    assert [secret for secret in SOLUTIONS.values() if secret in text] == []


def test_with_hidden_solutions_no_verdict_gives_an_answer_away(make_page):
    shown, hidden = ({cell.id: cell for cell in make_page(show).cells} for show in (True, False))
    assert "zero and zero are zero" in shown["check-zero"].outputs[0].text
    assert [name for name in ("double", "check-double", "zero", "check-zero") if hidden[name].outputs] == []
    assert "the numbers: [1, 2, 3]" in nbformat.writes(make_page(False)), "other cells keep what they print"


@pytest.mark.parametrize("show", [True, False])
def test_hidden_tests_and_rubrics_are_never_on_the_page(make_page, show):
    text = nbformat.writes(make_page(show))
    assert [secret for secret in FOR_GRADERS if secret in text] == []


def test_exercises_are_the_students_and_outputs_are_those_of_the_right_answer(make_page):
    cells = {cell.id: cell for cell in make_page(True).cells}
    assert "raise NotImplementedError()" in cells["double"].source
    assert "twice its argument" in cells["check-double"].outputs[0].text


def test_what_a_hidden_test_prints_again_is_shown_once(make_page, executed):
    (ran,) = [cell for cell in executed.cells if cell.id == "check-double"]
    assert ran.outputs[0].text.count("twice its argument") == 2
    (shown,) = [cell for cell in make_page(True).cells if cell.id == "check-double"]
    assert shown.outputs[0].text.count("twice its argument") == 1


def test_outputs_are_matched_by_id_and_not_by_position(chapter, executed, make_page):
    turned = nbformat.from_dict(executed)
    turned.cells = list(reversed(executed.cells))
    assert page(chapter, build.student(chapter), turned, show_solutions=True) == make_page(True)


def test_a_figure_carries_its_alternative_text(make_page):
    (drawing,) = [cell for cell in make_page(False).cells if cell.cell_type == "code" and "axes.bar" in cell.source]
    assert drawing.metadata.mystnb.image.alt == "Three bars: the doubles of one, two and three."


def test_the_button_below_the_title_offers_the_notebook(make_page):
    title, empty, button, *_ = make_page(False).cells[0].source.split("\n")
    assert title == "# Small: one exercise of each kind" and not empty
    assert 'href="../notebooks/01_small.ipynb" download' in button


def test_solutions_are_shown_or_hidden_and_nothing_between():
    with pytest.raises(ValueError, match='solutions=True: it must be "shown" or "hidden"'):
        publish(ROOT, True)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(Unpublished, match="is no built book; name a folder that is empty or does not exist"):
        publish(ROOT, out=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_refused_chapter_leaves_the_old_book(tmp_path):
    shutil.copytree(SMALL, tmp_path / "course")
    shutil.copytree(ROOT / "book", tmp_path / "course" / "book", ignore=shutil.ignore_patterns("_build"))
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path / "course")
    source = tmp_path / "course" / "solutions" / "01_small.py"
    source.write_text(
        source.read_text(encoding="utf-8").replace(' alt="Three bars', ' other="Three bars'), encoding="utf-8"
    )
    old = tmp_path / "site" / "searchindex.js"
    old.parent.mkdir()
    old.write_text("the old book")
    with pytest.raises(Refused, match="draws a figure"):
        publish(tmp_path / "course", out=old.parent)
    assert old.read_text() == "the old book"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course", "site"]


def test_the_cheat_sheet_has_each_methods_row_with_a_link(chapter):
    *_, row = at_a_glance.table([chapter]).split("\n")
    assert row == (
        "| doubling | how much is twice as much? | one addition | small numbers | zero stays zero "
        "| [01](chapters/01_small.ipynb) |"
    )
    assert at_a_glance.rows(chapter) == [row.rpartition("|")[0].rpartition("|")[0] + "|"], "and no other table's rows"


def test_every_chapter_of_the_course_has_a_row_in_the_cheat_sheet():
    assert [path.stem for path in chapters(ROOT) if not at_a_glance.rows(load(path))] == []


def test_rubrics_are_in_the_guide_only_where_the_solutions_are_shown(chapter):
    shown, hidden = (rubrics.rubrics([chapter], show_solutions=show) for show in (True, False))
    assert "### Exercise 1.3: Why" in shown and "> Zero is the number" in shown and "gooseberry_criterion" in shown
    assert [secret for secret in (*SOLUTIONS.values(), *FOR_GRADERS) if secret in hidden] == []


@pytest.mark.parametrize("solutions", ["hidden", "shown"])
def test_the_guide_and_the_cheat_sheet_are_filled(tmp_path, chapter, solutions):
    shutil.copytree(ROOT / "book", chapter.root / "book", ignore=shutil.ignore_patterns("_build"), dirs_exist_ok=True)
    shutil.copy(ROOT / "CHANGELOG.md", chapter.root)
    write_source(chapter.root, tmp_path / "book", solutions)
    sheet, guide = ((tmp_path / "book" / name).read_text() for name in ("cheat_sheet.md", "instructors_guide.md"))
    assert "| doubling |" in sheet and "<!--" not in sheet + guide
    assert ("gooseberry_criterion" in guide) == (solutions == "shown")
