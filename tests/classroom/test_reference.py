"""The reference is what the docstrings say: nothing is left out, and nothing is taken for markup."""

import inspect

import pytest

import glassbox as gb
from classroom.publish.reference import described, escaped, modules, reference


def test_all_that_is_public_is_there():
    text = reference()
    functions = [name for name in gb.__all__ if inspect.isfunction(getattr(gb, name))]
    assert functions and [name for name in functions if f"### `{name}`\n" not in text] == []
    assert [module.__name__ for module in modules() if f"## `{module.__name__}`\n" not in text] == []
    named = [gb.METHODS[name].__name__ for name in gb.METHODS]
    assert [name for name in named if f"### `{name}`\n" not in text] == [], "each method has its entry"


def test_a_default_that_is_a_function_is_its_name():
    assert "vocabulary_mean(question, of=positive)" in reference() and " at 0x" not in reference()


def test_a_docstring_becomes_a_list_and_paragraphs():
    docstring = """Which a_b is it?

first:      a *number*, 1 < 2, which goes
            on here.
the_other:  `x[0]`, and more

It raises Trouble:
and says why.

    R = A * B"""
    assert described(docstring) == (
        "Which a\\_b is it?\n\n"
        "- **first**: a \\*number\\*, 1 \\< 2, which goes\n  on here.\n"
        "- **the\\_other**: `x[0]`, and more\n\n"
        "It raises Trouble: and says why.\n\n"
        "```text\nR = A * B\n```"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a_b `a_b` c*d", "a\\_b `a_b` c\\*d"), ("[x](y) $z$", "\\[x\\](y) \\$z\\$"), ("a ` b_c", "a ` b\\_c")],
)
def test_only_code_in_backticks_is_markup(text, expected):
    assert escaped(text) == expected
