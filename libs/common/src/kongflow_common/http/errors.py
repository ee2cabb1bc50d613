"""Why a call to a user's URL has no answer.

HttpCallFailed
├── UrlRefused        it may not be called
├── AnswerTooLarge    more came than is taken
├── NotReached        nobody answered, or not in HTTP
└── CallTimedOut      the time was over
"""

__all__ = ["AnswerTooLarge", "CallTimedOut", "HttpCallFailed", "NotReached", "UrlRefused"]


class HttpCallFailed(Exception):
    """A call to a user's URL has no answer; the message is a sentence for people."""


class UrlRefused(HttpCallFailed):
    """The URL, or the address that its host leads to, may not be called."""


class AnswerTooLarge(HttpCallFailed):
    """The answer, unpacked, is larger than is taken."""


class NotReached(HttpCallFailed):
    """No connection could be made, or it ended without an answer."""


class CallTimedOut(HttpCallFailed):
    """There was no whole answer in time."""
