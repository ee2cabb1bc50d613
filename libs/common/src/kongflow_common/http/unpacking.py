"""Bodies of answers, unpacked under a limit."""

import zlib

from kongflow_common.http.errors import AnswerTooLarge, NotReached

__all__ = ["BodyReader"]

_GZIP = 16 + zlib.MAX_WBITS
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class BodyReader:
    """Takes a body as it comes and unpacks it, never to more than `most` bytes.

    As many packed bytes are taken at most: some unpack to nothing without an end.
    """

    def __init__(self, encoding: str, most: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity") and encoding not in _PACKED:
            raise NotReached(f"the answer is packed as nobody asked for: {encoding:.40}")
        self._encoding = encoding if encoding in _PACKED else ""
        self._most = most
        self._taken = 0
        self._content = bytearray()
        self._unpacker: zlib._Decompress | None = None

    def take(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises AnswerTooLarge and NotReached."""
        self._taken += len(chunk)
        if self._encoding:
            try:
                self._unpack(chunk)
            except zlib.error:
                raise NotReached("the packed answer cannot be unpacked") from None
        else:
            self._content += chunk
        if max(self._taken, len(self._content)) > self._most:
            raise AnswerTooLarge(f"the answer is larger than {self._most} bytes")

    def end(self) -> bytes:
        """The whole body. Raises NotReached when a packed one ends in the middle."""
        if self._encoding and self._taken and not (self._unpacker and self._unpacker.eof):
            raise NotReached("the packed answer ends in the middle")
        return bytes(self._content)

    def _unpack(self, chunk: bytes) -> None:
        pending = chunk
        while pending and len(self._content) <= self._most:
            if self._unpacker is None:
                self._unpacker = zlib.decompressobj(self._format(pending))
            elif self._unpacker.eof:
                # Several gzip files behind each other are one.
                if self._encoding == "deflate":
                    raise NotReached("the packed answer goes on after its end")
                self._unpacker = zlib.decompressobj(_GZIP)
            room = self._most + 1 - len(self._content)
            self._content += self._unpacker.decompress(pending, room)
            pending = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def _format(self, first: bytes) -> int:
        """What zlib is told: many send `deflate` without the frame that it should have."""
        if self._encoding != "deflate":
            return _GZIP
        return zlib.MAX_WBITS if first[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
