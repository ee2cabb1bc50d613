"""Integration events: what a service tells the others, durably."""
