"""Sitemaps (sitemaps.org, version 0.9): lists of pages, lists of such lists, as XML or text, compressed or not."""

from dataclasses import dataclass

from resources.web.decompression import gunzip
from resources.web.policy import FetchPolicy, WebError
from resources.web.xml_documents import parse_xml

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Listed:
    """One entry of a sitemap.

    Attributes:
        url: The address, as it is written there.
        changed: When it says that the page changed; empty where it does not.
        is_sitemap: It is a further sitemap.
    """

    url: str
    changed: str
    is_sitemap: bool


def read_sitemap(payload: bytes, policy: FetchPolicy) -> list[Listed]:
    """The entries of a sitemap.

    Args:
        payload: The file; gzip is opened.
        policy: How far.

    Raises:
        WebError: It is none, or one that is not safe to parse.
    """
    if payload.startswith(_GZIP):
        payload = gunzip(payload, policy.max_bytes, policy.max_decompression_ratio)
    root = parse_xml(payload)
    if root is None:
        return _read_lines(payload)
    kinds = {"urlset": "url", "sitemapindex": "sitemap"}
    kind = kinds.get(_local_name(root.tag))
    if kind is None:
        raise WebError("malformed_sitemap", f"expected urlset or sitemapindex, found {_local_name(root.tag)!r:.40}")
    entries = [{_local_name(part.tag): (part.text or "").strip() for part in entry} for entry in root if _local_name(entry.tag) == kind]
    return [Listed(entry["loc"], entry.get("lastmod", ""), kind == "sitemap") for entry in entries if entry.get("loc")]


def _read_lines(payload: bytes) -> list[Listed]:
    """A sitemap in plain text: one address per line."""
    lines = [line.strip() for line in payload.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    if not lines or not all(line.startswith(("http://", "https://")) for line in lines):
        raise WebError("malformed_sitemap", f"expected XML, or lines of addresses, found {payload[:40]!r}")
    return [Listed(line, "", is_sitemap=False) for line in lines]


def _local_name(tag: object) -> str:
    """A tag without its namespace; comments have none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
