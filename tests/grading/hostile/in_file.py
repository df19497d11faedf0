"""What may be wrong with the file itself, and what is merely odd: intake takes the answers from it, and no more."""

import copy
from typing import Any

from tests.grading.hostile.case import CASES, FULL, POINTS, RIGHT, WRONG, Case, add

FAMILY = "the notebook's file"
CHEAT = RIGHT | {"fuse-heads": WRONG}


def cells_of(notebook: dict[str, Any], word: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if word in cell["id"]]


def changed(
    name: str, change: Any, deserved: float = FULL - 10, answers: dict[str, str] = CHEAT, note: str = ""
) -> None:
    add(FAMILY, name, deserved, answers, change=change, note=note)


def tests_say(**more: Any) -> Any:
    def change(notebook: dict[str, Any]) -> None:
        for cell in cells_of(notebook, "check-"):
            cell["metadata"].update(copy.deepcopy(more))

    return change


def source_of_tests(source: str) -> Any:
    def change(notebook: dict[str, Any]) -> None:
        for cell in cells_of(notebook, "check-"):
            cell["source"] = source

    return change


def without_tests(notebook: dict[str, Any]) -> None:
    notebook["cells"] = [cell for cell in notebook["cells"] if "check-" not in cell["id"]]


def more_points(notebook: dict[str, Any]) -> None:
    for cell in cells_of(notebook, "check-"):
        cell["metadata"]["nbgrader"]["points"] = 1000


def doubled(notebook: dict[str, Any]) -> None:
    twins = copy.deepcopy(cells_of(notebook, "check-"))
    for number, cell in enumerate(twins):
        cell["id"] = f"twin-{number}"
        cell["source"] = "pass"
    notebook["cells"] += twins


def new_test(notebook: dict[str, Any]) -> None:
    cell = copy.deepcopy(cells_of(notebook, "check-")[0])
    cell["id"], cell["metadata"]["nbgrader"]["grade_id"], cell["metadata"]["nbgrader"]["points"] = "mine", "mine", 1000
    cell["source"] = "1000"
    notebook["cells"].append(cell)


def old_schema(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"]["schema_version"] = 1


def tests_as_text(notebook: dict[str, Any]) -> None:
    for cell in cells_of(notebook, "check-"):
        cell["cell_type"] = "markdown"
        cell.pop("outputs", None), cell.pop("execution_count", None)


def all_flags(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"].update(grade=True, solution=True, locked=False, task=True)


def outputs(notebook: dict[str, Any]) -> None:
    payload = {"text/html": "<script>alert('leak')</script>", "text/plain": "45.0"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": payload},
                {"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000},
            ]


def attachments(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["attachments"] = {
                "x.svg": {"image/svg+xml": "<svg onload=alert(1)>"},
                "y.png": {"image/png": "A" * 200_000},
            }


def kernel(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["kernelspec"] = {
        "name": "bash",
        "display_name": "x",
        "language": "bash",
        "argv": ["sh", "-c", "id"],
    }


def metadata(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["celltoolbar"] = "x" * 1_000_000
    for cell in notebook["cells"]:
        cell["metadata"]["collapsed"] = {"a": [[]] * 1000}


def reordered(notebook: dict[str, Any]) -> None:
    notebook["cells"].reverse()


def without_the_rest(notebook: dict[str, Any]) -> None:
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in RIGHT]


def without_ids(notebook: dict[str, Any]) -> None:
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]


changed("a tag that skips the tests", tests_say(tags=["skip-execution", "raises-exception", "remove_cell"]))
changed("tests that may be edited and deleted", tests_say(editable=True, deletable=True, nbgrader={"grade": False}))
changed("tests whose source is one that passes", source_of_tests("pass"))
changed("tests whose source ends the process", source_of_tests("import os; os._exit(0)"))
changed("tests deleted", without_tests)
changed("a thousand points in the metadata", more_points)
changed("tests copied", doubled)
changed("a graded cell of one's own", new_test)
changed("an old schema in the metadata", old_schema)
changed("tests turned into text", tests_as_text)
changed("every flag turned round", all_flags)
changed("a payload in outputs", outputs)
changed("a payload in attachments", attachments)
changed("a kernel of one's own", kernel)
changed("a megabyte of metadata", metadata)

FAMILY = "honest and odd"


def honest(name: str, answers: dict[str, str] = RIGHT, extras: tuple = (), change: Any = None, **more: Any) -> None:
    add(FAMILY, name, FULL, answers, extras, change=change or (lambda notebook: None), **more)


honest("nothing odd at all")
honest("only the answers", change=without_the_rest)
honest("no ids", change=without_ids)
honest(
    "a warning",
    extras=(
        ("", "import warnings; warnings.warn('careful')"),
        ("fuse-heads", "import sys; print('x', file=sys.stderr)"),
    ),
)
honest("magics and shell lines", extras=(("", "%timeit -n1 -r1 1 + 1\n!echo hello\n%matplotlib inline"),))
honest("await at the top", extras=(("", "import asyncio\nawait asyncio.sleep(0)"),))
honest("a cell that fails", extras=(("", "1 / 0"), ("fuse-heads", "this is no Python")))
honest(
    "figures",
    extras=(
        ("", "import matplotlib.pyplot as plt\nfor _ in range(3):\n    plt.figure(); plt.plot([1, 2]); plt.show()"),
    ),
)
honest("a lone surrogate in an answer", RIGHT | {"answer-why-identity": 'answer_why_identity = "b"  # \ud800'})
honest(
    "letters of all kinds",
    RIGHT | {"answer-why-identity": 'antwort = "b"  # äöü ∑ 漢字 🙂\nanswer_why_identity = antwort'},
)
honest("a capital letter for the choice", RIGHT | {"answer-why-identity": 'answer_why_identity = " B "'})
honest("helpers in a cell of one's own", RIGHT | {"fuse-heads": "def fuse_heads(a, how):\n    return helper(a, how)"},
       (("", "def helper(a, how):\n    return {'mean': a.mean, 'max': a.amax, 'min': a.amin}[how](0)"),))  # fmt: skip
honest(
    "numpy throughout",
    RIGHT
    | {"fuse-heads": "import numpy as np\ndef fuse_heads(a, how):\n    return getattr(np, how)(np.asarray(a), axis=0)"},
)
honest(
    "prints a lot",
    RIGHT | {"fuse-heads": RIGHT["fuse-heads"].replace("    return", "    print(attention)\n    return")},
)
honest("input asked for", extras=(("", "name = input('Your name? ')"),))
honest(
    "files of one's own",
    extras=(("", "open('notes.txt', 'w').write('x'); import pickle; pickle.dump([1], open('/tmp/x', 'wb'))"),),
)
honest(
    "processes of one's own",
    extras=(
        (
            "",
            "from multiprocessing.dummy import Pool\nprint(Pool(2).map(abs, [-1]))\nimport subprocess; subprocess.run(['true'])",
        ),
    ),
)
honest("the seed set", extras=(("", "torch.manual_seed(0); import random; random.seed(0)"),))
honest("a name that is markup", student="<b>o'hara")
honest("a name with a path", student="..%2f..%2fetc")
CASES.append(Case("nothing written", FAMILY, 0, {}))
CASES.append(Case("half of it", FAMILY, POINTS["rollout"], {"rollout": RIGHT["rollout"]}))
CASES.append(Case("cells in the wrong order", FAMILY, FULL, RIGHT, change=reordered))
