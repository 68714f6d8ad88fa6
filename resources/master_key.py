"""The master key: what data keys are wrapped with. Given by the environment, kept in a file, or held by a key management service.

Which data keys there are: `key_ring.py`. The key management service: `kms_master_key.py`.
"""

import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from resources.secret_file import MIN_GIVEN_BYTES, SECRET_BYTES, make_secret

KMS = "kms:"
NONCE_BYTES = 12


class MasterKeyError(Exception):
    """There is no usable master key."""


class MasterKey(Protocol):
    """What wraps and unwraps data keys."""

    @property
    def name(self) -> str:
        """Says which key it is, and nothing of the key itself."""
        ...

    def wrap(self, secret: bytes, key_id: str) -> bytes:
        """A data key that only this master key can read, under its id."""
        ...

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes | None:
        """The data key; None when another master key wrapped it."""
        ...


class SecretMasterKey:
    """A master key that is a secret of this installation: AES-256-GCM under a key derived from it (HKDF, RFC 5869)."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(_derive(secret, b"textmill master key", 32))
        self.name = f"secret:{_derive(secret, b'textmill master key name', 8).hex()}"

    def wrap(self, secret: bytes, key_id: str) -> bytes:
        """See `MasterKey`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, key_id.encode())

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes | None:
        """See `MasterKey`."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode())
        except (InvalidTag, ValueError):
            return None


class MasterKeys:
    """The master key of an installation, and those that went before. Nothing is read, written or connected to before one is asked for."""

    def __init__(self, file: Path, given: str | None = None, previous: str | None = None, kms_endpoint: str | None = None) -> None:
        """Nothing happens yet.

        Args:
            file: Where a key is kept that the environment does not give; keys that `renew` replaced lie beside it.
            given: A secret, or `kms:` and the id, ARN or alias of a key of AWS KMS.
            previous: The one that was given before, of the same form: what it wrapped can still be read, and be wrapped anew.
            kms_endpoint: Address of a service with the interface of AWS KMS; None for Amazon's.

        Raises:
            MasterKeyError: A given key is too short to be a secret.
        """
        for key in (given, previous):
            if key is not None and not key.startswith(KMS) and len(key.encode()) < MIN_GIVEN_BYTES:
                raise MasterKeyError(
                    f"expected a secret of {MIN_GIVEN_BYTES} bytes or more, or {KMS} and the name of a key, found "
                    f"{len(key.encode())} bytes; make one with `openssl rand -hex 32`"
                )
        self._file, self._given, self._previous, self._kms_endpoint = file, given, previous, kms_endpoint

    @property
    def kept_in(self) -> Path | None:
        """The file with the key; None where the environment gives it."""
        return self._file if self._given is None else None

    def current(self) -> MasterKey:
        """What data keys are wrapped with; a file is made on first use.

        Raises:
            MasterKeyError: The file holds no whole key.
        """
        if self._given is not None:
            return self._open(self._given)
        if not self._file.exists():
            make_secret(self._file)
        return self._read(self._file)

    def accepted(self) -> list[MasterKey]:
        """What may have wrapped a data key, the current one first.

        Raises:
            MasterKeyError: A file holds no whole key.
        """
        previous = [self._open(self._previous)] if self._previous is not None else []
        files = [self._file] if self._given is not None and self._file.exists() else []
        retired = sorted(self._file.parent.glob(f"{self._file.name}.*"))
        return [self.current(), *previous, *(self._read(file) for file in (*files, *retired))]

    def renew(self) -> None:
        """Take a new key, where it is kept in a file; the old one stays beside it, by its name, until somebody removes it."""
        if self._given is not None:
            return
        name = self.current().name.partition(":")[2]
        self._file.replace(self._file.with_name(f"{self._file.name}.{name}"))
        make_secret(self._file)

    def _open(self, given: str) -> MasterKey:
        if not given.startswith(KMS):
            return SecretMasterKey(given.encode())
        # boto3 takes half a second to import; other keys never need it.
        from resources.kms_master_key import open_kms_master_key

        return open_kms_master_key(given.removeprefix(KMS), self._kms_endpoint)

    @staticmethod
    def _read(file: Path) -> MasterKey:
        secret = file.read_bytes()
        if len(secret) != SECRET_BYTES:
            raise MasterKeyError(
                f"expected a key of {SECRET_BYTES} bytes in {file}, found {len(secret)} bytes; put back the file that you keep elsewhere"
            )
        return SecretMasterKey(secret)


def _derive(secret: bytes, purpose: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, None, purpose).derive(secret)
