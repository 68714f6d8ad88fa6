"""Connections to addresses that were checked, with a deadline for everything that is read or written on them.

A name is resolved once per connection; the address that was checked is the one connected to, so that a second answer of the name server
(DNS rebinding) changes nothing. The certificate is still checked against the name. Proxies of the environment are not used: a proxy
resolves names by itself.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore2

from resources.web.addresses import is_public, parse_address
from resources.web.policy import WebError

Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order to try them; understands every way to write one (`0x7f.1`, `2130706433`).

    Raises:
        OSError: There is no such host.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Deadline:
    """Until when the request of the present thread must be over."""

    def __init__(self, total_seconds: float) -> None:
        self.total_seconds = total_seconds
        self._thread = threading.local()

    def start(self) -> None:
        """The time of this thread's next request begins."""
        self._thread.end = time.monotonic() + self.total_seconds

    def is_over(self) -> bool:
        """Whether this thread's request has used up its time."""
        return time.monotonic() >= float(self._thread.end)

    def limit(self, seconds: float | None) -> float:
        """The time that an operation may take: what it asks for, or what is left.

        Raises:
            WebError: Nothing is left.
        """
        left = self._thread.end - time.monotonic()
        if left <= 0:
            raise WebError("fetch_too_slow", f"expected a whole answer within {self.total_seconds:g} seconds, found more to come")
        return float(left if seconds is None else min(seconds, left))


class TimedStream(httpcore2.NetworkStream):
    """A connection on which a server that drips cannot outlast the deadline."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore2.NetworkStream`."""
        return self._stream.read(max_bytes, self._deadline.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `httpcore2.NetworkStream`."""
        self._stream.write(buffer, self._deadline.limit(timeout))

    def close(self) -> None:
        """See `httpcore2.NetworkStream`."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkStream`."""
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, self._deadline.limit(timeout)), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (as the library declares it)
        """See `httpcore2.NetworkStream`."""
        return self._stream.get_extra_info(info)


class CheckedNetwork(httpcore2.NetworkBackend):
    """Opens connections to public addresses, and to those of hosts that are allowed by name.

    Args:
        deadline: Of the requests.
        allow_private_hosts: Hosts whose addresses are not checked.
        resolver: Finds the addresses of a host.
    """

    def __init__(self, deadline: Deadline, allow_private_hosts: Iterable[str], resolver: Resolver = resolve) -> None:
        self._deadline = deadline
        self._allowed = {host.lower().strip("[]") for host in allow_private_hosts}
        self._resolver = resolver
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """A connection to the first address of a host that answers.

        Raises:
            WebError: An address may not be reached, or time is over.
            httpcore2.ConnectError: None answers, or there is no such host.
            httpcore2.ConnectTimeout: The last one is silent.
        """
        problem: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in self.checked_addresses(host, port):
            try:
                stream = self._network.connect_tcp(address, port, self._deadline.limit(timeout), local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                problem = error
            else:
                return TimedStream(stream, self._deadline)
        raise problem

    def checked_addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host. A single one that may not be reached refuses the host: it is not what it seems.

        Raises:
            WebError: One may not be reached.
            httpcore2.ConnectError: There is no such host.
        """
        try:
            found = self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"no such host: {error}") from error
        if host.lower() not in self._allowed:
            for text in found:
                address = parse_address(text)
                if address is None or not is_public(address):
                    allow = f"name {host!r} in allow_private_hosts of the source if it is meant"
                    raise WebError("address_not_allowed", f"expected a public address of {host}, found {text}; {allow}")
        return found
