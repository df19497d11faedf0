"""nbgrader's settings for this course. `classroom grade` reads them, and so does `nbgrader` when started here."""

from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor, TagRemovePreprocessor
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    GetGrades,
    LockCells,
    SaveCells,
)

from classroom.grade.hide_tests import HideTests

c = get_config()  # noqa: F821 - nbgrader puts it there

c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "chapters"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".*", "*.py", "*.md", "timestamp.txt"]

# Rubrics stay with the instructor; hidden tests are in the gradebook, and in nothing that a student gets.
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_cell_tags = {"rubric"}
c.GenerateAssignment.preprocessors = [
    TagRemovePreprocessor,
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    SaveCells,
    ClearHiddenTests,
    ComputeChecksums,
    CheckCellMetadata,
]
c.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]

# An honest cell that imports torch on a busy machine, and one that prints a lot, are no failures.
c.Execute.timeout = 120
c.Execute.iopub_timeout = 30
c.Execute.startup_timeout = 120
c.Execute.extra_arguments = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:"]

# A check that a student deleted is put back, and counts.
c.OverwriteCells.add_missing_cells = True
