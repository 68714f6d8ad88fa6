"""Tables and sections in Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(headings: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; what would break a cell is escaped."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(str(value).replace("|", "\\|") for value in row) + " |" for row in rows]
    return "\n".join(lines)


def with_last_section(page: str, heading: str, text: str) -> str:
    """The page with a section at its end, in place of one with the same heading that ends it already."""
    start = f"\n## {heading}\n"
    return f"{page.partition(start)[0].rstrip()}\n{start}\n{text}\n"
