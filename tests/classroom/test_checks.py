"""What a student sees of a check: the mistake in words, numbers side by side, and never a traceback."""

import re
import sys
import warnings

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from classroom.checks import Mistake, call, choice, expect_tensor, judge, judge_all, passed, quiet

TABLE = torch.tensor([[1.0, 0.0], [0.25, 0.75]])


def message_of(function, *args, **kwargs) -> str:
    with pytest.raises(Mistake) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def double(table):
    return 2 * table


# --- call ---------------------------------------------------------------------------------------------------------


def test_call_returns_the_value():
    assert torch.equal(call(double, TABLE), 2 * TABLE)
    assert call(lambda a, b: a + b, 2, b=3) == 5


def unwritten(table):
    raise NotImplementedError()


def uses_unwritten(table):
    return unwritten(table) + 1


def returns_nothing(table):
    table.sum()


def multiplies_wrongly(table):
    return table @ torch.ones(3)


def adds_in_place(table):
    table += 1
    return table


def leaves(table):
    sys.exit(0)


@pytest.mark.parametrize(
    ("student", "words"),
    [
        (unwritten, "unwritten is not written yet"),
        (uses_unwritten, "uses_unwritten calls unwritten, which is not written yet"),
        (returns_nothing, "returns_nothing returned nothing (None)"),
        (adds_in_place, "adds_in_place changed the data that it was given"),
        (leaves, "leaves stopped with SystemExit: 0"),
        (lambda: TABLE, "can't be called as the exercise asks"),
        (..., "not written yet"),
        (None, "not written yet"),
        (3.5, "needs your function, and found 3.5"),
    ],
)
def test_call_says_what_went_wrong(student, words):
    assert words in message_of(call, student, TABLE)


def test_an_exception_is_described_with_line_and_shapes():
    message = message_of(call, multiplies_wrongly, TABLE)
    assert message.startswith("multiplies_wrongly stopped with RuntimeError: ")
    assert re.search(r"on line \d+: return table @ torch.ones\(3\)", message)
    assert "called with: a tensor of shape (2, 2)" in message


def test_an_exception_deep_in_a_library_points_at_the_students_own_line():
    assert "on line" in (message := message_of(call, lambda table: np.linalg.inv("words"), TABLE))
    assert "np.linalg.inv" in message


def test_arguments_are_copies():
    tables = [torch.zeros(2), {"inner": np.zeros(2)}]

    def spoil(tables):
        tables[1]["inner"][0] = 1
        return tables

    assert "changed the data" in message_of(call, spoil, tables)
    assert tables[1]["inner"][0] == 0


def test_a_nan_in_the_input_is_no_change():
    assert call(lambda table: 1, torch.tensor([float("nan")])) == 1


def test_gradients_reach_the_copies():
    assert call(lambda x: torch.autograd.grad((x**2).sum(), x)[0], torch.ones(2, requires_grad=True)).tolist() == [2, 2]


def test_nothing_reaches_stderr(capfd):
    def noisy(table):
        warnings.warn("careful", stacklevel=1)
        print("to stderr", file=sys.stderr)
        return np.log(np.zeros(1))

    call(noisy, TABLE)
    with quiet():
        warnings.warn("careful", stacklevel=1)
    assert capfd.readouterr().err == ""


# --- expect_tensor and judge --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [TABLE.tolist(), TABLE.numpy(), TABLE.double(), TABLE.clone().requires_grad_(), tuple(TABLE), TABLE.to_sparse()],
    ids=["list", "array", "double", "with gradient", "tuple of rows", "sparse"],
)
def test_a_right_answer_in_another_type_passes(value):
    judge(value, TABLE)
    assert expect_tensor(value, (2, 2)).dtype == torch.float64


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (TABLE[None], "has the shape (1, 2, 2). It should be (2, 2)"),
        (TABLE / torch.tensor([[1.0], [0.0]]) * 0, "holds NaN at [1, 0]"),
        ("table", "should be a tensor of real numbers; found 'table'"),
        ({"rows": 1}, "should be a tensor of real numbers"),
        (TABLE.to(torch.complex64), "should be a tensor of real numbers"),
        ([[1.0], [1.0, 2.0]], "items have different shapes"),
        (..., "is missing"),
        (object(), "found a object"),
    ],
)
def test_what_is_no_table_is_refused(value, words):
    assert words in message_of(judge, value, TABLE)
    assert words in message_of(expect_tensor, value, (2, 2))


def test_the_known_mistake_is_named_with_both_tables():
    message = message_of(judge, TABLE.T, TABLE, {"You transposed it.": TABLE.T, "You doubled it.": 2 * TABLE})
    assert message.splitlines() == [
        "You transposed it.",
        "  expected      received",
        "  1.00  0.00    1.00  0.25",
        "  0.25  0.75    0.00  0.75",
    ]


def test_the_closest_known_mistake_is_named():
    mistakes = {"far": TABLE + 1e-3, "near": TABLE + 1.0001e-2, "no": TABLE + 1}
    assert message_of(judge, TABLE + 1e-2, TABLE, mistakes, tolerance=5e-3).startswith("near")


def test_a_known_mistake_must_really_match():
    message = message_of(judge, TABLE + 0.1, TABLE, {"You doubled it.": 2 * TABLE})
    assert "doubled" not in message
    assert message.startswith("The result is wrong in 4 of 4 entries, most at [0, 1]: 0.10 should be 0.00.")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("the sum of the scores", "The sum of the scores is wrong in"),
        ("the logits of a random model", "The logits of a random model are wrong in"),
        ("what three random heads write", "What three random heads write is wrong in"),
        ("the answer for six words with ties", "The answer for six words with ties is wrong in"),
    ],
)
def test_the_verb_agrees_with_what_is_wrong(name, words):
    assert message_of(judge, TABLE + 1, TABLE, name=name).startswith(words)


def test_a_zero_has_no_minus():
    assert "-0.00" not in message_of(judge, -torch.tensor([0.0, 1.0]), -torch.tensor([0.0, 2.0]))


def test_layers_are_described_not_printed():
    def student(layers):
        return layers["no such key"]

    message = message_of(call, student, [(TABLE, TABLE[0]), (TABLE, TABLE[0])])
    assert "called with: a list of 2, the first a tuple of 2, the first a tensor of shape (2, 2)" in message


def test_a_known_mistake_may_have_another_shape():
    message = message_of(judge, TABLE[0], TABLE, {"You took one row.": TABLE[0]})
    assert message == "You took one row.\n  expected shape (2, 2), received (2,)"


def test_large_tables_are_not_printed():
    right = torch.zeros(3, 40, 40)
    wrong = right.clone()
    wrong[1, 2, 3] = 0.5
    assert message_of(judge, wrong, right) == (
        "The result is wrong in 1 of 4800 entries, most at [1, 2, 3]: 0.50 should be 0.00."
    )


def test_the_matrix_that_is_wrong_is_shown():
    right = torch.zeros(2, 2, 2)
    wrong = right.clone()
    wrong[1, 0, 1] = 0.5
    assert "expected at [1]    received\n  0.00  0.00         0.00  0.50" in message_of(judge, wrong, right)


def test_enough_decimals_are_shown_to_see_the_difference():
    assert "1.0004 should be 1.0000" in message_of(judge, TABLE * 1.0004, TABLE)
    assert message_of(judge, 0.25, 0.5, name="the share") == "The share is 0.25. It should be 0.50."


def test_infinities_agree_with_themselves_only():
    right = torch.tensor([0.0, -float("inf")])
    judge(right.clone(), right)
    assert "-inf" in message_of(judge, torch.zeros(2), right)


@pytest.mark.parametrize(("dtype", "hint"), [(torch.float16, "three digits"), (torch.int64, "whole numbers only")])
def test_the_type_is_blamed_where_it_may_be_the_cause(dtype, hint):
    assert hint in message_of(judge, (TABLE * 1.01).to(dtype), TABLE)


def test_the_tolerance_is_relative_for_large_and_absolute_for_small_numbers():
    judge(1e6 + 1, 1e6)
    judge(1e-6, 0.0)
    message_of(judge, 1e6 + 100, 1e6)
    message_of(judge, 1e-4, 0.0)


def test_text_is_judged_too():
    judge("Paris", "Paris")
    judge(("a", "b"), ["a", "b"])
    assert message_of(judge, "Rome", "Paris", {"That is Italy's.": "Rome"}) == "That is Italy's."
    assert "It should be 'Paris'" in message_of(judge, "Oslo", "Paris")
    assert "should be a string; found 3" in message_of(judge, 3, "Paris")


# --- choice -------------------------------------------------------------------------------------------------------

REASONS = {"a": "rows are queries.", "b": "columns are keys."}


def over(*values, **mistakes):
    """`judge_all` on the squares of 1, 2 and 3, with mistakes by name."""
    judge_all(list(values), [1.0, 4.0, 9.0], mistakes, names=["one", "two", "three"])


def test_several_inputs_are_all_judged():
    over(1, 4, 9, doubled=[2.0, 4.0, 6.0])
    assert message_of(over, 1, 4, 8) == "Three is 8.00. It should be 9.00."


def test_a_mistake_must_explain_every_input():
    """On the input 2 doubling and squaring look the same, and on 1 both mistakes do."""
    mistakes = {"You doubled.": [2.0, 4.0, 6.0], "You added one.": [2.0, 3.0, 4.0]}
    assert "You doubled." in message_of(over, 2, 4, 6, **mistakes)
    assert "You added one." in message_of(over, 2, 3, 4, **mistakes)
    neither = message_of(over, 2, 5, 4, **mistakes)
    assert "You doubled." not in neither and "You added one." not in neither
    assert "Seen in one" in message_of(over, 2, 4, 6, **mistakes), "the first input on which it shows"


def test_a_choice_gives_the_reason(capsys):
    choice(" B ", "b", REASONS)
    assert capsys.readouterr().out == "✓ b: columns are keys.\n"
    assert message_of(choice, "a", "b", REASONS) == "Not a: rows are queries."


@pytest.mark.parametrize(("answer", "words"), [(..., "Not answered yet"), (None, "Not answered"), ("z", '"a", "b"')])
def test_no_choice(answer, words):
    assert words in message_of(choice, answer, "b", REASONS)


# --- in a notebook ------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_message_and_no_traceback():
    cells = [
        "from classroom.checks import Mistake, judge, passed",
        "judge([1.0, 2.0], [1.0, 4.0], {'You halved the second number.': [1.0, 2.0]})",
        "passed('rows sum to one')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, allow_errors=True, kernel_name="python3").execute()
    (error,) = notebook.cells[1].outputs
    plain = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
    assert plain.splitlines() == [
        "✗ You halved the second number.",
        "  expected      received",
        "  1.00  4.00    1.00  2.00",
    ]
    assert error.ename == "Mistake"
    (line,) = notebook.cells[2].outputs
    assert (line.name, line.text) == ("stdout", "\x1b[32m✓\x1b[0m rows sum to one\n")


def test_long_messages_are_broken_between_words(capsys):
    """JupyterLab breaks a line in the middle of a word, wherever its window ends."""
    sentence = "Each row is divided by its own sum, and " * 6
    table = "  expected" + " 1.00" * 30
    shown = Mistake(f"{sentence}\n{table}")._render_traceback_()
    assert shown[-1] == table, "the columns of a table stay in their places"
    assert shown[0].startswith("\x1b[1m✗ ") and shown[-2].endswith("\x1b[0m"), "all of the sentence is bold"
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown[:-1]]
    assert max(map(len, plain)) <= 100 and len(plain) > 2
    assert " ".join(plain) == f"✗ {sentence}".rstrip()
    passed(sentence)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_plain_text_has_no_colours(capsys):
    passed("rows sum to one")
    assert capsys.readouterr().out == "✓ rows sum to one\n"


def test_an_error_under_a_decorator_of_torch_is_placed_on_the_students_line():
    @torch.no_grad()
    def answer(table):
        return table @ torch.ones(1000)

    assert "on line" in (message := message_of(call, answer, TABLE)) and "return table @ torch.ones(1000)" in message
