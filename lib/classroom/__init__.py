"""The course: build chapters from their sources, check answers, grade, publish."""
