"""From the HTML of a page to the paragraphs of its main text, who wrote it and when. Navigation, headings and legal lines are left out."""

import re
from configparser import ConfigParser
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

SHORTEST_ARTICLE_CHARS = 40
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
# Headings name a text; they are no part of its sentences.
_LEFT_OUT = ("head",)
_UNSEEN = frozenset("head script style title template".split())
_BLOCKS = frozenset(
    "address article blockquote br dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li ol p pre section table td th tr ul".split()
)


@dataclass(frozen=True)
class Page:
    """The main text of a page.

    Attributes:
        title: Title of the page, where it has one.
        paragraphs: Paragraphs in reading order, white space folded, none empty.
        ai_training_signal: `noai` or `tdm_reservation` where a meta tag says that no model may be trained on it.
        byline: Who wrote it, as the page has it: names, separated by semicolons.
        published_at: The day on which it appeared, in ISO 8601, where its markup or its address says so.
    """

    title: str | None
    paragraphs: tuple[str, ...]
    ai_training_signal: str | None = None
    byline: str | None = None
    published_at: str | None = None


def extract_page(html: str, url: str | None = None) -> Page:
    """Finds the main text of a page with trafilatura; no paragraphs where there is none.

    Args:
        html: The decoded page.
        url: Its address, which may hold the day.
    """
    # trafilatura takes a third of a second to import; only pages need it.
    from trafilatura import bare_extraction, load_html
    from trafilatura.metadata import extract_metadata

    # A declared encoding of an already decoded text would make the parser decode it a second time.
    tree = load_html(_XML_DECLARATION.sub("", html))
    if tree is None:
        return Page(None, ())
    title = " ".join((tree.findtext(".//title") or "").split()) or None
    # Before the extraction, which takes the tree apart. Not extensive: a day somewhere in the text is not when it appeared.
    signal, said_by, facts = _training_signal(tree), _meta_author(tree), extract_metadata(tree, url, extensive=False)
    document: Any = bare_extraction(tree, include_comments=False, include_tables=False, config=_extraction_settings())
    return Page(title, tuple(_paragraphs(document.body)) if document is not None else (), signal, facts.author or said_by, facts.date)


def _training_signal(tree: Any) -> str | None:  # noqa: ANN401 (lxml has no types)
    """What the meta tags of a page say against training: `noai` for robots, or a reservation (W3C TDM Reservation Protocol)."""
    said = {
        (name.lower(), word)
        for tag in tree.iter("meta")
        if (name := tag.get("name"))
        for word in (tag.get("content") or "").lower().replace(",", " ").split()
    }
    if any(word == "noai" for name, word in said if name in ("robots", "textmill")):
        return "noai"
    return "tdm_reservation" if ("tdm-reservation", "1") in said else None


def _meta_author(tree: Any) -> str | None:  # noqa: ANN401 (lxml has no types)
    """The author of a meta tag: trafilatura takes names of two characters, as many Chinese ones are, for none."""
    found = (tag.get("content") or "" for tag in tree.iter("meta") if (tag.get("name") or "").lower() == "author")
    return next((name for name in found if name.strip() and "://" not in name), None)


def all_text(html: str) -> str:
    """All text of a small document such as a mail, block by block; nothing is taken for navigation.

    Args:
        html: The decoded document.
    """
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        tree = document_fromstring(_XML_DECLARATION.sub("", html), HTMLParser(no_network=True, huge_tree=False))
    except (etree.ParserError, etree.XMLSyntaxError):
        return ""
    etree.strip_elements(tree, *_UNSEEN, etree.Comment, with_tail=False)
    for element in tree.iter(*_BLOCKS):
        element.text = f"\n{element.text or ''}"
        element.tail = f"\n{element.tail or ''}"
    lines = (" ".join(line.split()) for line in "".join(tree.itertext(with_tail=True)).split("\n"))
    return "\n".join(filter(None, lines))


@cache
def _extraction_settings() -> ConfigParser:
    """The library's settings, but for the length below which it distrusts its own result and takes the whole page.

    Its 250 characters are two English sentences, but half a Chinese article.
    """
    from trafilatura.settings import DEFAULT_CONFIG

    settings = deepcopy(DEFAULT_CONFIG)
    settings["DEFAULT"]["MIN_EXTRACTED_SIZE"] = str(SHORTEST_ARTICLE_CHARS)
    return settings


def _paragraphs(body: Any) -> list[str]:  # noqa: ANN401 (lxml has no types)
    """Text of each block; the items of a list and the paragraphs of a quotation count one by one."""
    found: list[str] = []
    for block in body:
        if block.tag in _LEFT_OUT:
            continue
        parts = list(block) if block.tag in ("list", "quote") and len(block) else [block]
        found += [" ".join("".join(part.itertext()).split()) for part in parts]
    return [text for text in found if text]
