"""Which channel reads a source, with its settings. Client libraries are imported only here, and only for the kinds that are used.

This is wiring; how a channel reads is in `resources/channels`.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from assets.source_settings import ApiSource, BucketSource, FeedSource, FilesSource, MailboxSource, SiteSource, Source, SqlSource, WebSource
from resources.channels.fetched import Channel
from resources.web.policy import FetchPolicy


def channel_of(source: Source, contact: str | None = None) -> Channel:
    """The channel of a source.

    Args:
        source: The source.
        contact: Where operators of web sites find who is asking.
    """
    policy = policy_of(source, contact) if isinstance(source, WebSource) else FetchPolicy()
    return _OPENERS[source.kind](source, policy)


def policy_of(source: WebSource, contact: str | None) -> FetchPolicy:
    """How the web is asked for a source: the keys that source and policy share have the same names."""
    shared = {each.name: getattr(source, each.name) for each in fields(FetchPolicy) if each.name in WebSource.model_fields}
    return FetchPolicy(**shared, max_bytes=source.max_object_bytes, contact=contact)


def _open_files(source: FilesSource, _policy: FetchPolicy) -> Channel:
    from resources.channels.files import FilesChannel

    return FilesChannel(source.path, source.format, source.max_object_bytes)


def _open_mailbox(source: MailboxSource, _policy: FetchPolicy) -> Channel:
    from resources.channels.files import FilesChannel

    return FilesChannel(source.path, "mbox", source.max_object_bytes)


def _open_bucket(source: BucketSource, _policy: FetchPolicy) -> Channel:
    from resources.channels.bucket import BucketChannel

    return BucketChannel(source.url, source.endpoint_url, source.format, source.max_object_bytes)


def _open_sql(source: SqlSource, _policy: FetchPolicy) -> Channel:
    from resources.channels.sql import SqlChannel

    return SqlChannel(source.url, source.query, source.cursor_column, source.cursor_start, source.batch_rows)


def _open_feed(source: FeedSource, policy: FetchPolicy) -> Channel:
    from resources.channels.feeds import FeedChannel

    return FeedChannel(source.url, policy)


def _open_site(source: SiteSource, policy: FetchPolicy) -> Channel:
    from resources.channels.site import Bounds, SiteChannel

    return SiteChannel(Bounds(**{each.name: getattr(source, each.name) for each in fields(Bounds)}), policy)


def _open_api(source: ApiSource, policy: FetchPolicy) -> Channel:
    """The only place that opens the keys of an API."""
    from resources.channels.api import ApiChannel, Endpoint
    from resources.channels.paging import Paging

    pages, since = source.pagination, source.since
    endpoint = Endpoint(
        url=source.url,
        params={name: value.get_secret_value() for name, value in source.params.items()},
        headers={name: value.get_secret_value() for name, value in source.headers.items()},
        records=source.fields.records or "",
        paging=Paging(pages.by, pages.parameter or "", pages.start, pages.next or ""),
        max_pages=source.max_pages,
        since_parameter=since.parameter if since else "",
        since_field=since.field if since else "",
        since_start="" if since is None or since.start is None else str(since.start),
    )
    return ApiChannel(endpoint, policy)


_OPENERS: Mapping[str, Callable[[Any, FetchPolicy], Channel]] = {
    "files": _open_files,
    "mailbox": _open_mailbox,
    "bucket": _open_bucket,
    "sql": _open_sql,
    "feed": _open_feed,
    "site": _open_site,
    "api": _open_api,
}
