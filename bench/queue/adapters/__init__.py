"""Ways for a job to get from its sender's transaction to a worker, measured beside each other.

The outbox is what services use. The two others are prototypes: what was found with them stands in
docs/adr.
"""
