"""Which full-text index an environment has: in a folder, or on a search server."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from dagster_project.configuration import ConfigurationError
from resources.advisory_lock import AdvisoryLock
from resources.elasticsearch_index import ElasticsearchIndex
from resources.postgres_address import PostgresAddress
from resources.search_engine import SearchEngine
from resources.search_index import SearchIndex

SEARCH_URL_VARIABLE, SEARCH_INDEX_VARIABLE = "TEXTMILL_SEARCH_URL", "TEXTMILL_SEARCH_INDEX"
DEFAULT_SEARCH_INDEX = "textmill"
INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")


@dataclass(frozen=True)
class SearchServer:
    """A search server.

    Attributes:
        url: Its address, with user and password where it asks for them.
        index: Name of the index; two projects on one server have two.
    """

    url: str = field(repr=False)
    index: str


def read_search_server(given: dict[str, str]) -> SearchServer | None:
    """The search server that variables name; its address is taken out of what the project file may name. None: the index lies in a folder.

    Raises:
        ConfigurationError: A value is unusable; the message does not repeat the address.
    """
    url, index = given.pop(SEARCH_URL_VARIABLE, ""), given.get(SEARCH_INDEX_VARIABLE) or DEFAULT_SEARCH_INDEX
    if not INDEX_NAME.fullmatch(index):
        raise ConfigurationError(f"{SEARCH_INDEX_VARIABLE}: expected small letters, digits and hyphens, found {index!r}")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError(f"{SEARCH_URL_VARIABLE}: expected https://user:password@host:port, found something else")
    return SearchServer(url, index)


def open_search(server: SearchServer | None, home: Path, catalog: PostgresAddress | None) -> SearchEngine:
    """The index; nothing is asked or made before it is used.

    Args:
        server: Where it lies; None is a folder of the home.
        home: The environment's.
        catalog: The database that all machines share whose runs may write the index; None: runs are on this machine.
    """
    if server is None:
        return SearchIndex(home / "search")
    name = f"search {server.index}"
    lock = FileLock(home / "search.lock", thread_local=False) if catalog is None else AdvisoryLock(catalog, name, keeps_open=False)
    return ElasticsearchIndex(server.url, server.index, lock)
