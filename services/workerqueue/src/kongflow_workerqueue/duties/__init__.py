"""Maintenance duties: one file each, done by whichever worker takes its turn."""
