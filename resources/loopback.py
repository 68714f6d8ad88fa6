"""Which hosts are this machine: what listens there needs no log-in, and is reached without the proxies of the environment."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address with or without brackets, is reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
