"""Finds what addresses on the net hold: e-mail addresses, secrets in URLs, IP addresses."""

import ipaddress
import re
from collections.abc import Iterator

from assets.cleaning.pii.contexts import context_of
from assets.cleaning.pii.found import Found

# Patterns begin with what is rare, a literal where there is one, so that the engine skips the rest of the text quickly.
_AT_DOMAIN = re.compile(
    r"(?:@|%40)(?:(?:[A-Za-z0-9\-]{1,63}+\.){1,8}[A-Za-z]{2,24}+(?![0-9@])"
    r"|[A-Za-z0-9\-\u4e00-\u9fff]{1,30}\.(?:中国|中國|公司|网络|網絡|香港|台湾))"
)
_USER = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+'\-]{0,63}\Z")
_MAX_USER_CHARS = 64
# `icon@2x.png`, `react@18.2.0`: names of files and of packages.
_FILE_ENDINGS = frozenset("png jpg jpeg gif svg webp bmp ico css js jsx ts tsx html htm json yaml yml txt pdf mp mp4 rc beta alpha".split())
_USER_AND_PASSWORD = re.compile(r"://([^\s/@:?#\[\]]{1,128}+:[^\s/@\[\]]{1,128}+)@(?=[\w\[])")
_QUERY_SECRET = re.compile(
    r"[?&;#](?:(?:access|auth|id|refresh|session|csrf)[_-]?(?:token|key)|token|api[_-]?key|(?:client[_-]?)?secret|password|passwd|pwd"
    r"|signature|session[_-]?id|jwt)=([^&#\s\[\]\"'<>，。；）、]{6,2048})"
    r"|[?&;#](?:key|sig|sid|code|auth|pass)=([^&#\s\[\]\"'<>，。；）、]{16,2048})",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"[0-9](?<![0-9A-Za-z_.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_]|\.[0-9])")
_HEX_GROUP = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:(?:\.[0-9]{1,3}){3})?(?![0-9A-Za-z_:])")
_MIN_IPV6_CHARS = 6
_LARGE_OCTET = 10


def find_emails(text: str) -> Iterator[Found]:
    """E-mail addresses, also with `%40`; lower-cased. Names of files, of packages and of Git remotes are none."""
    for match in _AT_DOMAIN.finditer(text):
        user = _USER.search(text[max(match.start() - _MAX_USER_CHARS, 0) : match.start()])
        is_file = match[0].rpartition(".")[2].lower() in _FILE_ENDINGS
        is_remote = user is not None and user[0] == "git" and text[match.end() : match.end() + 1] in (":", "/")
        if user and not is_file and not is_remote:
            start = match.start() - len(user[0])
            yield Found(start, match.end(), "email", text[start : match.end()].lower().replace("%40", "@"))


def find_secrets(text: str) -> Iterator[Found]:
    """User and password in a URL, and the values of its parameters that are called token, key, password …; as written."""
    if "://" in text and "@" in text:
        yield from (Found(*match.span(1), "secret", match[1]) for match in _USER_AND_PASSWORD.finditer(text))
    if "=" in text:
        for match in _QUERY_SECRET.finditer(text):
            group = 1 if match[1] else 2
            yield Found(*match.span(group), "secret", match[group])


def find_ipv4(text: str) -> Iterator[Found]:
    """IPv4 addresses but for loopback and unspecified ones; four small numbers are one only where the text says so."""
    for match in _IPV4.finditer(text) if text.count(".") > 2 else ():
        if _is_ipv4(text, match.start(), match.end()):
            yield from _as_address(match)


def find_ipv6(text: str) -> Iterator[Found]:
    """IPv6 addresses but for loopback and unspecified ones."""
    for match in _IPV6.finditer(text) if _HEX_GROUP.search(text) else ():
        if len(match[0]) >= _MIN_IPV6_CHARS and any(character.isdigit() for character in match[0]):
            yield from _as_address(match)


def _is_ipv4(text: str, start: int, end: int) -> bool:
    before = text[max(start - 2, 0) : start]
    if before.endswith("/") and before != "//":  # Chrome/120.0.0.0
        return False
    kind = context_of(text, start, end)
    is_large = max(map(int, text[start:end].split("."))) >= _LARGE_OCTET
    return kind == "address" or before == "//" or (kind != "other" and is_large)


def _as_address(match: re.Match[str]) -> Iterator[Found]:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return
    if not address.is_loopback and not address.is_unspecified:
        yield Found(match.start(), match.end(), "ip", str(address))
