"""One module per command or noun; each has an `app`."""
