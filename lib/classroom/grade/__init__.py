"""Grading: uploads are read as data, run in a sandbox, judged outside of it, and written down by one writer."""
