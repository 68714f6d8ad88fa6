"""Links that a page asks to be followed."""

from collections.abc import Iterator

from lxml import etree, html

from resources.web.policy import WebError
from resources.web.reader import Reply, parse_url

_LONGEST_ADDRESS = 2000
_NO_FOLLOW = ("nofollow", "none")


def links_of(reply: Reply) -> Iterator[str]:
    """Addresses that a page links to, in its order, absolute and without fragments; those that cannot be asked for are left out.

    Nothing where the page or its headers say `nofollow`; single links may say so, too.
    """
    parser = html.HTMLParser(encoding=_encoding(reply), no_network=True, huge_tree=False)
    try:
        root = html.document_fromstring(reply.body, parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return
    if _says_no(reply.headers.get("x-robots-tag", "")) or any(_says_no(said) for said in root.xpath(_ROBOTS_META)):
        return
    base = parse_url(reply.url)
    for link in root.xpath("//base[@href][1] | //a[@href]"):
        try:
            target = parse_url(link.get("href").strip(), base)
        except WebError:
            continue
        if link.tag == "base":
            base = target
        elif len(str(target)) <= _LONGEST_ADDRESS and not _says_no(link.get("rel", "")):
            yield str(target)


_ROBOTS_META = (
    "//meta[translate(@name, 'ROBTSEXMIL', 'robtsexmil') = 'robots' or translate(@name, 'ROBTSEXMIL', 'robtsexmil') = 'textmill']/@content"
)


def _says_no(words: str) -> bool:
    return any(word in _NO_FOLLOW for word in words.lower().replace(",", " ").split())


def _encoding(reply: Reply) -> str | None:
    """The charset that the server names; UTF-8 where it fits; None leaves it to what the page says of itself."""
    try:
        reply.body.decode(reply.charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return None
    return reply.charset or "utf-8"
