"""Kills and stops the processes of a running system while events are on their way."""
