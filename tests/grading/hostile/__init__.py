"""Submissions that cheat, break things or are merely odd: each names the mark that it deserves."""
