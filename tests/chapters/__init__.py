"""What is asked of every chapter in the course."""

from pathlib import Path

from classroom.source import chapters

COURSE = Path(__file__).resolve().parents[2]
SOURCES = chapters(COURSE)
