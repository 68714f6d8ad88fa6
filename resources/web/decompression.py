"""Compressed bytes, opened with limits: a small answer never becomes a large one unseen."""

import zlib

from resources.web.policy import WebError

_NONE = ("", "identity")
_GZIP = ("gzip", "x-gzip")
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_ALLOWANCE_BYTES = 1_000_000


class Decompressor:
    """Opens the chunks of one body.

    Args:
        encoding: Value of `Content-Encoding`: `identity`, `gzip` or `deflate`.
        max_bytes: Most bytes that may come out.
        max_ratio: Most bytes out per byte in, once a megabyte has come out.

    Raises:
        WebError: The encoding is another one.
    """

    def __init__(self, encoding: str, max_bytes: int, max_ratio: float) -> None:
        name = encoding.strip().lower()
        if name not in (*_NONE, *_GZIP, "deflate"):
            raise WebError("unknown_encoding", f"expected an answer as it is or as gzip, found the encoding {name!r:.40}")
        self._is_open = name in _NONE
        self._bits = _GZIP_BITS if name in _GZIP else _ZLIB_BITS
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._bytes_in = 0
        self._bytes_out = 0
        self._stream = zlib.decompressobj(self._bits)

    def feed(self, chunk: bytes) -> bytes:
        """What a chunk opens to.

        Raises:
            WebError: A limit is passed, or the bytes are not what the encoding promises.
        """
        self._bytes_in += len(chunk)
        opened = chunk if self._is_open else self._inflate(chunk)
        self._bytes_out += len(opened)
        if self._bytes_out > self._max_bytes:
            raise WebError("object_too_large", f"expected at most {self._max_bytes} bytes, found more; reading stopped there")
        if self._bytes_out > max(_ALLOWANCE_BYTES, self._bytes_in * self._max_ratio):
            found = f"found {self._bytes_out} bytes out of {self._bytes_in}"
            raise WebError("too_compressed", f"expected at most {self._max_ratio:g} bytes for each compressed one, {found}")
        return opened

    def finish(self) -> None:
        """The body has ended.

        Raises:
            WebError: It was cut off.
        """
        if not self._is_open and self._bytes_in and not self._stream.eof:
            raise WebError("broken_compression", f"expected the end of the compressed bytes, found them cut off after {self._bytes_in}")

    def _inflate(self, chunk: bytes) -> bytes:
        """At most one byte more than permitted; further members of a gzip file follow each other."""
        opened = bytearray()
        while chunk and len(opened) <= self._max_bytes - self._bytes_out:
            if self._stream.eof:
                self._stream = zlib.decompressobj(self._bits)
            opened += self._inflate_some(chunk, self._max_bytes - self._bytes_out - len(opened) + 1)
            chunk = self._stream.unused_data or self._stream.unconsumed_tail
        return bytes(opened)

    def _inflate_some(self, chunk: bytes, most: int) -> bytes:
        try:
            return self._stream.decompress(chunk, most)
        except zlib.error as error:
            if self._bits == _ZLIB_BITS and not self._bytes_out:
                # Some servers send deflate without the envelope that RFC 9110 asks for.
                self._bits = _RAW_BITS
                self._stream = zlib.decompressobj(_RAW_BITS)
                return self._inflate_some(chunk, most)
            raise WebError("broken_compression", f"expected compressed bytes, found: {error}") from error


def gunzip(payload: bytes, max_bytes: int, max_ratio: float) -> bytes:
    """A gzip file, opened.

    Raises:
        WebError: A limit is passed, or it is none.
    """
    stream = Decompressor("gzip", max_bytes, max_ratio)
    opened = stream.feed(payload)
    stream.finish()
    return opened
