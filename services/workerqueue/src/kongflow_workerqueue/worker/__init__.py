"""The worker: arq lanes that take queued jobs and make their calls."""
