"""From a mailbox to records: one per message, with its subject, its text, who wrote it, and the thread it belongs to.

Addressees are not read: they are people, and nothing after collection needs them.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from itertools import zip_longest

from assets.collection.charset import decode
from assets.collection.formats import Record, Refusal
from assets.collection.pages import all_text

# A line that begins a message follows an empty one (RFC 4155). Mail programs put a `>` before such lines of a text.
_START = re.compile(rb"(?:^|\n\r?\n)From [^\n]*\n")
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_ID = re.compile(r"<([^<>\s]{1,500})>")
_QUOTED = re.compile(r"^\s*>")
# What mail programs write above the message that they quote.
_INTRODUCTION = re.compile(
    r"^\s*(On\b.{0,200}\bwrote:|Le\b.{0,200}\ba écrit\s?:|Am\b.{0,200}\bschrieb\b.{0,200}:|.{0,200}(写道|寫道|编写|のメール)[:：]"
    r"|-{2,}\s*(Original Message|Forwarded message|原始邮件|原始郵件|转发邮件|回复的原邮件)\s*-{2,}|_{20,})\s*$",
    re.IGNORECASE,
)


def read_mbox(payload: bytes, *, strips_quotes: bool) -> Iterator[Record | Refusal]:
    """One outcome per message: `id`, `parent` (the first message of its thread), `title`, `text`, `published_at` and `authors`.

    A message without an id gets the hash of its bytes. The thread is the oldest message that `References` names; where a message only
    says what it answers, the chain of answers within the mailbox is followed to its beginning.

    Args:
        payload: The mailbox.
        strips_quotes: Whether what a message quotes of others is left out.
    """
    answered: dict[str, str] = {}
    for number, raw in enumerate(_messages(payload), start=1):
        locator = f"message {number}"
        try:
            message = message_from_bytes(raw)
            row = _row(message, raw, answered, strips_quotes=strips_quotes)
        except (MessageError, RecursionError, ValueError, LookupError) as error:
            yield Refusal(locator, "malformed_message", f"expected a mail message, found {type(error).__name__}: {str(error)[:100]}")
        else:
            yield Record(locator, row)
    if not _START.search(payload):
        yield Refusal("file", "malformed_mailbox", "expected a line that begins with `From `, found none")


def without_messages(payload: bytes, goes: Callable[[Record | Refusal, str], bool]) -> bytes:
    """The mailbox without some of its messages; the others keep their bytes.

    Args:
        payload: The mailbox.
        goes: Whether a message goes, by what is read of it, with what it quotes or without, and by its bytes as text.
    """
    starts = [start.start() for start in _START.finditer(payload)] or [0]
    kept = payload[: starts[0]]
    for start, end in zip_longest(starts, starts[1:]):
        message = payload[start:end]
        outcomes = [next(read_mbox(message, strips_quotes=strips_quotes)) for strips_quotes in (False, True)]
        if not any(goes(outcome, message.decode(errors="replace")) for outcome in outcomes):
            kept += message
    return kept


def _messages(payload: bytes) -> Iterator[bytes]:
    """The bytes of each message, without the line that begins it."""
    starts = list(_START.finditer(payload))
    for start, following in zip_longest(starts, starts[1:]):
        end = following.start() if following else len(payload)
        yield _ESCAPED.sub(rb"\1", payload[start.end() : end].rstrip(b"\r\n"))


def _row(message: Message, raw: bytes, answered: dict[str, str], *, strips_quotes: bool) -> dict[str, str | list[str] | None]:
    own = next(iter(_ids(message, "Message-ID")), None) or hashlib.sha256(raw).hexdigest()[:32]
    text = _text(message)
    return {
        "id": own,
        "parent": _thread(message, own, answered),
        "title": _header(message, "Subject"),
        "text": strip_quotes(text) if strips_quotes else text,
        "published_at": _date(message),
        "authors": _authors(message),
    }


def _ids(message: Message, name: str) -> list[str]:
    return [found for value in message.get_all(name, []) for found in _ID.findall(str(value))]


def _thread(message: Message, own: str, answered: dict[str, str]) -> str:
    """The first message of the thread; `answered` remembers for every message seen what it belongs to."""
    earlier = [*_ids(message, "References"), *_ids(message, "In-Reply-To")]
    first = earlier[0] if earlier else own
    answered[own] = answered.get(first, first)
    return answered[own]


def _authors(message: Message) -> list[str]:
    """The addresses that a message is from, else what it says instead."""
    addresses = [address for _, address in getaddresses([str(value) for value in message.get_all("From", [])]) if "@" in address]
    return addresses or list(filter(None, [_header(message, "From")]))


def _header(message: Message, name: str) -> str | None:
    """A header in words. Encoded ones say in what charset (RFC 2047); bytes beyond ASCII that do not are detected."""
    value = message.get(name)
    if value is None:
        return None
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        parts = [(str(value), None)]
    words = (part if isinstance(part, str) else _decoded(part, charset) for part, charset in parts)
    return " ".join("".join(words).split()) or None


def _decoded(part: bytes, charset: str | None) -> str:
    return decode(part, None if charset == "unknown-8bit" else charset, "text/plain").text


def _date(message: Message) -> str | None:
    """The date in ISO 8601; a message without a zone counts as UTC."""
    try:
        moment: datetime = parsedate_to_datetime(str(message.get("Date", "")))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()


def _text(message: Message) -> str:
    """The plain part of a message, else the text of its HTML; attachments are no text."""
    parts = [part for part in message.walk() if part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"]
    plain = [part for part in parts if part.get_content_subtype() != "html"]
    if plain:
        return "\n".join(filter(None, (_content(part).strip() for part in plain)))
    return "\n".join(filter(None, (all_text(_content(part)) for part in parts)))


def _content(part: Message) -> str:
    payload = part.get_payload(decode=True)
    charset = part.get_content_charset()
    return decode(payload, charset, part.get_content_type()).text.replace("\r\n", "\n") if isinstance(payload, bytes) else ""


def strip_quotes(text: str) -> str:
    """A reply without what it quotes: lines that begin with `>`, the line that introduces them, and all behind a divider.

    Args:
        text: The text of a message.
    """
    kept: list[str] = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if _INTRODUCTION.match(line):
            if not any(map(_QUOTED.match, lines[number + 1 : number + 4])):
                break  # the quoted message follows as it is, to the end
            continue
        if not _QUOTED.match(line):
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
