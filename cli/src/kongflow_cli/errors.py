"""What the user is told in one sentence instead of a stack trace."""


class CliError(Exception):
    """A command cannot do what was asked; the message is a sentence for the user."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
