"""The `classroom` command: one subcommand for each thing that is done with the course.

Each subcommand loads its module when it runs, so that `classroom doctor` still speaks where a package is missing.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click


def repository(start: Path) -> Path:
    """The checkout of the course that `start` lies in."""
    for folder in (start, *start.parents):
        if (folder / "lib" / "classroom" / "cli.py").is_file():
            return folder
    raise click.ClickException(f"{start} is not inside a checkout of the course; go to its folder and try again.")


@contextmanager
def _said_plainly() -> Iterator[None]:
    """What was asked for and can't be done is said in a line, without a traceback."""
    try:
        yield
    except ValueError as mistake:
        raise click.ClickException(str(mistake)) from mistake


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Study, build, check, grade and publish the course Explaining Transformers."""
    # nbgrader starts `alembic` by name, and the environment's programs need not be on the path of whoever typed this.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    # Without this, a kernel named python3 in somebody's home would be taken for the course's.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    context.obj = repository(Path.cwd())


@main.command()
@click.argument("chapters", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Copy every chapter.")
@click.pass_obj
def start(root: Path, chapters: tuple[str, ...], every: bool) -> None:
    """Copy chapters to work/, where you may write in them. A copy that is there is left as it is."""
    if every == bool(chapters):
        raise click.UsageError("name the chapters to start, or say --all")
    _start(root, chapters)


@main.command()
@click.argument("chapters", nargs=-1)
@click.pass_obj
def update(root: Path, chapters: tuple[str, ...]) -> None:
    """Bring your copies in work/ to the newest version of their chapters, with your answers; the old files are kept.

    Close the notebooks in JupyterLab first, so that it does not write an old one over the new.
    """
    from classroom.update import update

    with _said_plainly():
        found = update(root, chapters)
    for one in found:
        kept = f"; before: {one.kept.name}" if one.kept else ""
        click.echo(f"{one.path.relative_to(root)}  {one.status}{kept}")
        for note in one.notes:
            click.echo(f"    {note}")


@main.command()
@click.pass_obj
def study(root: Path) -> None:
    """Copy every chapter to work/ and open the first one in JupyterLab."""
    from classroom.study import has_screen, serve

    copies = _start(root, ())
    if not copies:
        raise click.ClickException("chapters/ holds no chapter yet; `classroom build` makes them from solutions/.")
    click.echo("Starting JupyterLab; it stops with Ctrl-C.")
    if not has_screen(os.environ):
        click.echo("No screen here: open the address below in a browser. (Elsewhere, forward its port first: ssh -L.)")
    sys.stdout.flush()
    serve(root, copies[0])


def _start(root: Path, names: tuple[str, ...]) -> list[Path]:
    from classroom.study import start

    with _said_plainly():
        copies = start(root, names)
    for copy, is_new in copies.items():
        click.echo(f"{copy.relative_to(root)}  {'new copy' if is_new else 'yours, left as it is'}")
    return list(copies)


@main.command()
@click.argument("chapters", nargs=-1)
@click.pass_obj
def build(root: Path, chapters: tuple[str, ...]) -> None:
    """Build the notebooks of the named chapters (of all, when none is named) from their sources in solutions/."""
    from classroom.build import build_all

    build_all(root, chapters)


@main.command()
@click.argument("notebook", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(notebook: Path) -> None:
    """Run a notebook from top to bottom and say which of its checks pass."""
    from classroom.check import run

    sys.exit(run(notebook))


@main.command()
@click.argument("chapter")
@click.option(
    "--submissions",
    type=click.Path(exists=True, path_type=Path),
    help="The folder or the zip with what was handed in, as it came; submitted/ unless told.",
)
@click.option("--student", "students", multiple=True, help="Grade this student only; may be given several times.")
@click.option(
    "--again/--resume",
    default=False,
    help="Grade everything again, or go on and leave what was graded and has not changed (this unless told).",
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Sandboxes side by side; one a core unless told.")
@click.option("--cluster", metavar="ADDRESS", default="", help="Run them on the Dask cluster with this scheduler.")
@click.option("--dry-run", is_flag=True, help="Say what was found and would be done; run and write nothing.")
@click.option("--unsafe", is_flag=True, help="Run students' code also where it can't be kept from your files.")
@click.pass_obj
def grade(
    root: Path,
    chapter: str,
    submissions: Path | None,
    students: tuple[str, ...],
    again: bool,
    jobs: int | None,
    dry_run: bool,
    unsafe: bool,
    cluster: str,
) -> None:
    """Mark what was handed in for a chapter: marks in the gradebook, feedback for each student, a report for you.

    Students' code runs in sandboxes. What was marked stays marked if this is stopped, and starting again goes on.
    """
    from classroom.grade.class_run import grade
    from classroom.study import chapters, checked

    with _said_plainly():
        [chapter] = checked([chapter], chapters(root))
    options = {"students": students, "again": again, "jobs": jobs or 0, "dry_run": dry_run, "unsafe": unsafe}
    grade(root, chapter, submissions, cluster=cluster, **options)


@main.command()
@click.option("--solutions", type=click.Choice(["shown", "hidden"]), default="hidden", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The folder to write the site to.")
@click.option("--pdf", is_flag=True, help="Print the book to a PDF as well, by Chromium; it lies in the site's folder.")
@click.pass_obj
def publish(root: Path, solutions: str, out: Path | None, pdf: bool) -> None:
    """Build the book as a site that reads offline, with the solutions in closed boxes or without them."""
    from classroom.publish import publish

    with _said_plainly():
        publish(root, solutions, out, pdf)


@main.command()
@click.pass_obj
def doctor(root: Path) -> None:
    """Say in words what is missing or wrong on this machine, and the line that mends it."""
    from classroom.doctor import report

    sys.exit(report(root))


if __name__ == "__main__":
    main()
