"""The kinds of queued job, read from the descriptors of the targets' task services."""
