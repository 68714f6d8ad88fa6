"""Sealed bytes: how one object is encrypted with a data key. Where data keys come from: `key_ring.py`.

A sealed object is a header (mark, id of the data key, salt) and chunks of AES-256-GCM. Every object has a key of its own, derived from
the data key, the salt and the object's name, so that numbers of nonces never meet and an object cannot be put in another's place. The
nonce counts the chunks and marks the last one, so that chunks can be neither reordered nor cut off: STREAM of Hoang, Reyhanitabar,
Rogaway and Vizár (Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015), as in Tink's AES-GCM-HKDF.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MARK = b"textmill sealed 1\n"
ID_BYTES, SALT_BYTES, TAG_BYTES, KEY_BYTES = 16, 16, 16, 32
CHUNK_BYTES = 1 << 20


class SealError(Exception):
    """Sealed bytes are not what was sealed under this name: damaged, cut off, or of another object."""


@dataclass(frozen=True)
class DataKey:
    """A key that objects are sealed with.

    Attributes:
        key_id: 32 hexadecimal digits; ids grow with time.
        secret: 32 bytes.
    """

    key_id: str
    secret: bytes = field(repr=False)


def is_sealed(head: bytes) -> bool:
    """Whether an object that begins so is sealed; what was stored before there was encryption is not."""
    return head.startswith(MARK)


def seal(source: IO[bytes], target: IO[bytes], key: DataKey, name: str) -> None:
    """Encrypt a stream.

    Args:
        source: The bytes.
        target: Gets the sealed bytes.
        key: What to seal with.
        name: What the object is called; it opens under this name only.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    cipher = _cipher(key.secret, salt, name)
    target.write(MARK + bytes.fromhex(key.key_id) + salt)
    for number, (chunk, is_last) in enumerate(_chunks(source, CHUNK_BYTES)):
        target.write(cipher.encrypt(_nonce(number, is_last), chunk, None))


def unseal(source: IO[bytes], target: IO[bytes], find_key: Callable[[str], DataKey], name: str) -> None:
    """Decrypt a stream that `seal` made.

    Args:
        source: The sealed bytes.
        target: Gets the bytes; what it got before an error is not to be used.
        find_key: The data key of an id.
        name: What the object is called.

    Raises:
        SealError: The bytes are not what was sealed under this name.
    """
    header = source.read(len(MARK) + ID_BYTES + SALT_BYTES)
    key_id, salt = header[len(MARK) : -SALT_BYTES], header[-SALT_BYTES:]
    if not is_sealed(header) or len(key_id) != ID_BYTES:
        raise SealError("expected a whole header of sealed bytes, found another beginning")
    cipher = _cipher(find_key(key_id.hex()).secret, salt, name)
    try:
        for number, (chunk, is_last) in enumerate(_chunks(source, CHUNK_BYTES + TAG_BYTES)):
            target.write(cipher.decrypt(_nonce(number, is_last), chunk, None))
    except InvalidTag as error:
        raise SealError("expected the bytes that were sealed under this name, found others") from error


def _cipher(secret: bytes, salt: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"textmill object\0" + name.encode()).derive(secret))


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _chunks(source: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of a stream, each with whether it is the last; an empty stream is one empty piece."""
    chunk = source.read(size)
    while following := source.read(size):
        yield chunk, False
        chunk = following
    yield chunk, True
