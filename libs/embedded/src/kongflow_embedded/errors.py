"""What can go wrong with an embedded server, in sentences a user can act on."""


class EmbeddedServerError(Exception):
    """An embedded server cannot be found, prepared, started or stopped."""


class BinariesNotFoundError(EmbeddedServerError):
    """No usable server program is installed; the message says what to install."""


class NotReadyError(EmbeddedServerError):
    """The server ended, or did not answer before the deadline."""
