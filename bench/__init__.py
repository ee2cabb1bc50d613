"""Measures a started system: `make bench`. The protocols stand in README.md."""
