"""Opening connections to servers of the deployment."""

import time
import weakref
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import httpx2

from resources.loopback import is_loopback

LONGEST_PAUSE_SECONDS = 60.0


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


def send_patiently(send: Callable[[], httpx2.Response], attempts: int, pause_seconds: float, transient: Collection[int]) -> httpx2.Response:
    """The last response to a request, which is repeated while the server is busy or cannot be reached; a server may say how long to wait.

    Args:
        send: Makes the request.
        attempts: How often at most.
        pause_seconds: Before the second attempt; twice as long before each further one.
        transient: Statuses of a server that may answer later.

    Raises:
        httpx2.HTTPError: The last attempt had no response.
    """
    for attempt in range(attempts):
        wait, is_last = pause_seconds * 2**attempt, attempt == attempts - 1
        try:
            response = send()
        except httpx2.HTTPError:
            if is_last:
                raise
        else:
            if is_last or response.status_code not in transient:
                return response
            said = response.headers.get("retry-after", "")
            wait = min(float(said), LONGEST_PAUSE_SECONDS) if said.isdecimal() else wait
        time.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")
