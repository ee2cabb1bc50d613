"""Measures the worker queue beside other queues: `make bench-queue`. See ../README.md."""
