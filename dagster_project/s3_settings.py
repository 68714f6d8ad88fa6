"""What the environment says of the S3 server of the objects: its own encryption, and where people fetch files from it.

The variables are those of the process; who reads them is `environments.py`.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from dagster_project.configuration import ConfigurationError
from resources.loopback import is_loopback
from resources.object_store import ServerEncryption

OBJECT_STORE_VARIABLE = "TEXTMILL_OBJECT_STORE_URL"
ENCRYPTION_VARIABLE, KMS_KEY_VARIABLE = "TEXTMILL_OBJECT_STORE_ENCRYPTION", "TEXTMILL_OBJECT_STORE_KMS_KEY"
DOWNLOAD_VARIABLE = "TEXTMILL_DOWNLOAD_ENDPOINT"


def read_server_encryption(given: Mapping[str, str]) -> ServerEncryption | None:
    """What the S3 server encrypts new objects with.

    Raises:
        ConfigurationError: It is nothing that S3 knows, or has a key that it does not take, or the objects lie elsewhere.
    """
    algorithm, key_id = given.get(ENCRYPTION_VARIABLE, ""), given.get(KMS_KEY_VARIABLE) or None
    if key_id and algorithm != "aws:kms":
        raise ConfigurationError(f"{KMS_KEY_VARIABLE}: expected {ENCRYPTION_VARIABLE}=aws:kms beside it, found {algorithm!r}")
    if not algorithm:
        return None
    _expect_s3(given, ENCRYPTION_VARIABLE)
    if algorithm == "AES256":
        return ServerEncryption("AES256")
    if algorithm == "aws:kms":
        return ServerEncryption("aws:kms", key_id)
    raise ConfigurationError(f"{ENCRYPTION_VARIABLE}: expected AES256 or aws:kms, found {algorithm!r}")


def read_download_endpoint(given: Mapping[str, str]) -> str | None:
    """Where those who download reach the S3 server.

    Raises:
        ConfigurationError: It would send data sets in clear over a network, or the objects lie elsewhere.
    """
    url = given.get(DOWNLOAD_VARIABLE) or None
    if url is None:
        return None
    parts = urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname))):
        raise ConfigurationError(f"{DOWNLOAD_VARIABLE}: expected an https:// address, or one of this machine, found {url!r}")
    _expect_s3(given, DOWNLOAD_VARIABLE)
    return url


def _expect_s3(given: Mapping[str, str], variable: str) -> None:
    found = given.get(OBJECT_STORE_VARIABLE, "")
    if not found.startswith("s3://"):
        raise ConfigurationError(f"{variable}: expected objects on S3 ({OBJECT_STORE_VARIABLE}=s3://bucket/prefix), found {found!r}")
