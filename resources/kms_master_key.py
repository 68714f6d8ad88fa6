"""A master key that never leaves a key management service with the interface of AWS KMS. Other master keys: `master_key.py`."""

from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from resources.master_key import MasterKeyError

# What KMS answers when it does not read the ciphertext with this key. It refuses and denies that there is a key in the same words.
_FOREIGN = ("InvalidCiphertextException", "IncorrectKeyException", "NotFoundException", "AccessDeniedException")


class KmsMasterKey:
    """A symmetric key of KMS; the id of the data key is the encryption context, so that KMS's own log tells which was read.

    Args:
        key: Its id, ARN or alias.
        client: A boto3 KMS client.
    """

    def __init__(self, key: str, client: Any) -> None:  # noqa: ANN401 (boto3 has no types)
        self.name = f"kms:{key}"
        self._key = key
        self._client = client

    def wrap(self, secret: bytes, key_id: str) -> bytes:
        """See `MasterKey`.

        Raises:
            MasterKeyError: The service refuses, or does not answer.
        """
        try:
            answer = self._client.encrypt(KeyId=self._key, Plaintext=secret, EncryptionContext={"data_key": key_id})
        except (ClientError, BotoCoreError) as error:
            raise self._failed(error) from error
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, key_id: str) -> bytes | None:
        """See `MasterKey`.

        Raises:
            MasterKeyError: The service refuses, or does not answer.
        """
        try:
            answer = self._client.decrypt(KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext={"data_key": key_id})
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _FOREIGN:
                return None
            raise self._failed(error) from error
        except BotoCoreError as error:
            raise self._failed(error) from error
        return bytes(answer["Plaintext"])

    def _failed(self, error: Exception) -> MasterKeyError:
        return MasterKeyError(
            f"expected the key {self._key!r} of the key management service, found: {error}; "
            "check its name, the endpoint and the credentials"
        )


def open_kms_master_key(key: str, endpoint_url: str | None = None) -> KmsMasterKey:
    """A key of KMS; credentials and region come from the usual AWS places."""
    return KmsMasterKey(key, boto3.Session().client("kms", endpoint_url=endpoint_url))
