"""Who wrote a document: names as sources give them, which become pseudonyms before any table sees them."""

import re
from collections.abc import Callable, Iterable

import pandas as pd

from assets.pseudonyms import pseudonym_of_person

MAX_AUTHORS = 50
"""A field with more is no list of authors."""
MAX_NAME_CHARS = 200
_PREFIX = re.compile(
    r"^\s*(?:(?:written\s+)?by\s+|(?:本报)?(?:作者|撰文|撰稿|记者|記者|文字?|编辑|編輯|责编|責編)\s*[:：/／]\s*)", re.IGNORECASE
)


def read_authors(value: object) -> tuple[str, ...]:
    """The names in a field: a text, a number (of an account), an object with a `name`, or a list of these; nothing in anything else.

    Args:
        value: What the field holds. Names longer than `MAX_NAME_CHARS` are no names.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    if len(values) > MAX_AUTHORS:
        return ()
    names = (_name_in(each.get("name") if isinstance(each, dict) else each) for each in values)
    return tuple(dict.fromkeys(name for name in names if name))


def split_byline(byline: str | None) -> tuple[str, ...]:
    """The names in the line of a page that says who wrote it: `By A. Smith; B. Jones`, `作者：张三、李四`."""
    return read_authors([_PREFIX.sub("", name) for name in re.split(r"[;；、]", byline or "")])


def pseudonymize_authors(authors: Iterable[tuple[str, ...] | None], read_key: Callable[[], bytes]) -> pd.Series:
    """The authors of each document as pseudonyms, joined by spaces; missing where there is none.

    Args:
        authors: Names, or pseudonyms, which stay.
        read_key: Gives the secret of the installation; asked only when there is a name.
    """
    named = [names or () for names in authors]
    key = read_key() if any(named) else b""
    known: dict[str, str] = {name: pseudonym_of_person(key, name) for names in named for name in names}
    return pd.Series([" ".join(dict.fromkeys(known[name] for name in names)) or None for names in named], dtype="str")


def _name_in(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    name = " ".join(str(value).encode(errors="replace").decode().split())
    return name if 0 < len(name) <= MAX_NAME_CHARS else None
