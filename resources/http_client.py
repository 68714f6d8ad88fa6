"""Opening connections to servers of the deployment."""

import weakref
from urllib.parse import urlsplit

import httpx2

from resources.loopback import is_loopback


def open_client(owner: object, url: str, timeout_seconds: float) -> httpx2.Client:
    """A client for one server that is closed with its owner. Proxies of the environment are for the way outside.

    Args:
        owner: What uses the client.
        url: Address that paths are added to.
        timeout_seconds: Longest wait.
    """
    client = httpx2.Client(base_url=url, timeout=timeout_seconds, trust_env=not is_loopback(urlsplit(url).hostname or ""))
    weakref.finalize(owner, client.close)
    return client
