"""From bytes to text: which character encoding a document is in, and the decoded text.

Order of evidence: byte order mark, what the transport declares, what the document declares, and what the decoded text would
look like. Declarations are often wrong, so each is only a candidate with a bonus. Repairing text that was decoded wrongly
before it reached us belongs to cleaning; no later step can undo a GBK page read as Latin-1.
"""

import codecs
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_BYTES = 100_000
DECLARED_BONUS = 0.3
UTF8_BONUS = 0.5
HZ_PLAUSIBILITY = 0.8
LAST_OF_TWO_BYTES = "\u07ff"
"""In UTF-8."""
_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([a-zA-Z0-9_:.-]{2,40})""")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Supersets in place of their subsets, as browsers do (WHATWG Encoding Standard, section 4.2).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
}
_KNOWN = re.compile(
    r"utf-(8|16|32)(-[lb]e)?|gb18030|big5hkscs|cp(125\d|874|932|949)|iso8859-\d+|koi8-[ru]|euc_jp|iso2022_jp|hz|johab|mac-roman"
)
# Encodings in which bytes below 0x80 do not stand for ASCII.
_WIDE = re.compile(r"utf-(16|32)(-[lb]e)?|iso2022_jp|hz")


@dataclass(frozen=True)
class Decoded:
    """A decoded document.

    Attributes:
        text: The text, without byte order mark.
        charset: The encoding that was used, by its Python name.
        is_repaired: True when some bytes did not fit and became U+FFFD.
    """

    text: str
    charset: str
    is_repaired: bool


def decode(payload: bytes, declared: str | None, media_type: str) -> Decoded:
    """Decodes a document; never fails.

    Args:
        payload: Its bytes.
        declared: Charset declared by the transport, if any.
        media_type: HTML and XML documents are searched for their own declaration.
    """
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return _decode_as(payload[len(mark) :] if name == "utf-8" else payload, name)
    names = [known for known in (known_charset(declared), known_charset(_own_declaration(payload, media_type))) if known]
    wide = next((name for name in names if _WIDE.fullmatch(name)), None)
    for likely in (wide, _utf16_by_zeros(payload[:SAMPLE_BYTES])):
        decoded = _decode_as(payload, likely) if likely else None
        if decoded and not decoded.is_repaired:
            return decoded
    if payload.isascii():
        return _as_hz(payload) or Decoded(payload.decode("ascii"), "utf-8", is_repaired=False)
    return _decode_as(payload, _most_plausible(payload, [name for name in names if name != wide]))


def decode_lines(payload: bytes, declared: str | None, media_type: str) -> str:
    """Decodes a document of records, a line each, which may have been written by several programs in several encodings; never fails.

    The whole is taken for UTF-8 if most lines beyond ASCII are, which is no accident. A line keeps the encoding of the whole unless it does
    not fit, or is UTF-8 of three bytes a character that looks better.

    Args:
        payload: Its bytes.
        declared: Charset declared by the transport, if any.
        media_type: As in `decode`.
    """
    whole = decode(payload, declared, media_type)
    if _WIDE.fullmatch(whole.charset) or (whole.charset == "utf-8" and not whole.is_repaired):
        return whole.text
    lines = payload.removeprefix(codecs.BOM_UTF8).split(b"\n")
    are_utf8 = [not _decode_as(line, "utf-8").is_repaired for line in lines if not line.isascii()]
    charset = "utf-8" if sum(are_utf8) * 2 > len(are_utf8) else whole.charset
    return "\n".join(_decode_line(line, charset) for line in lines)


def known_charset(name: str | None) -> str | None:
    """Python's name of a declared charset, widened to its superset; None when it is missing, unknown or not one of text."""
    try:
        canonical = codecs.lookup(name.strip().strip("\"'")).name if name else ""
    except (LookupError, ValueError):
        return None
    widened = _SUPERSETS.get(canonical, canonical)
    return widened if _KNOWN.fullmatch(widened) else None


def plausibility(text: str) -> float:
    """Mean weight of the characters beyond ASCII: about 1 for sound text, below 0 for text decoded with the wrong charset.

    A letter of an alphabet next to ASCII letters weighs 1, and so does a common Chinese character; rare Chinese characters
    weigh 0; accented letters in a row, as in `ÄãºÃ`, weigh -0.5; control, private and replacement characters weigh -3.

    Args:
        text: At least one character beyond ASCII; otherwise the result is 0.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4")
    beyond = codes >= 0x80
    if not beyond.any():
        return 0.0
    weights = _weights()[np.minimum(codes, 0x1FFFF)]
    is_ascii_letter = ((codes | 0x20) >= ord("a")) & ((codes | 0x20) <= ord("z"))
    beside_letter = _either_neighbour(is_ascii_letter)
    beside_other = _either_neighbour(beyond)
    is_accented = (codes >= 0xC0) & (codes <= 0x24F)
    weights = np.where(is_accented & ~beside_letter & beside_other, -0.5, weights)
    return float(weights[beyond].mean())


def storable_text(text: str) -> str:
    r"""The text as tables can hold it, at the same length but for joined pairs.

    JSON may escape half a character (`\ud83d`), which no encoding can store: pairs are joined, halves become U+FFFD. So does NUL, at which
    the catalog would take a text to end.
    """
    text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _decode_line(line: bytes, charset: str) -> str:
    """One line of a document whose other lines mostly are in a charset that is a superset of ASCII."""
    if line.isascii():
        return line.decode("ascii")
    alike, utf8 = _decode_as(line, charset), _decode_as(line, "utf-8")
    if not utf8.is_repaired and max(utf8.text) > LAST_OF_TWO_BYTES and plausibility(utf8.text) > plausibility(alike.text):
        return utf8.text
    return decode(line, None, "").text if alike.is_repaired else alike.text


def _own_declaration(payload: bytes, media_type: str) -> str | None:
    """What the document says about itself in its first kilobytes."""
    if "html" not in media_type and "xml" not in media_type:
        return None
    found = _XML.search(payload[:200]) or _META.search(payload[:4096])
    return found.group(1).decode("ascii") if found else None


def _utf16_by_zeros(sample: bytes) -> str | None:
    """UTF-16 without a mark, where a fifth of the characters or more are ASCII: every second byte of those is zero, and no other."""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if min(first, second) or max(first, second) * 10 < max(len(sample), 1):
        return None
    return "utf-16-le" if second else "utf-16-be"


def _as_hz(payload: bytes) -> Decoded | None:
    """ASCII bytes that are Chinese as mail and news groups wrote it, GB 2312 between `~{` and `~}` (RFC 1843); None for others."""
    if b"~{" not in payload:
        return None
    found = _decode_as(payload, "hz")
    return found if not found.is_repaired and plausibility(found.text[:SAMPLE_BYTES]) >= HZ_PLAUSIBILITY else None


def _most_plausible(payload: bytes, declared: list[str]) -> str:
    """The best of the declared charsets, UTF-8, GB18030 (superset of GBK and GB2312) and Windows-1252 (of Latin-1)."""
    is_utf8 = not _decode_as(payload, "utf-8").is_repaired
    if is_utf8 and all(name == "utf-8" or _is_single_byte(name) for name in declared):
        return "utf-8"
    sample, is_whole = _sample(payload)
    share = _utf8_share(sample, is_whole)
    scores: dict[str, float] = {}
    for name in dict.fromkeys([*declared, "utf-8", "gb18030", "cp1252"]):
        # Every byte sequence is some single-byte text; one that mostly is UTF-8 too is hardly meant so.
        if share > 0.5 and _is_single_byte(name):
            continue
        text = codecs.getincrementaldecoder(name)("replace").decode(sample, is_whole)
        scores[name] = plausibility(text) + DECLARED_BONUS * (name in declared) + UTF8_BONUS * (name == "utf-8" and share > 0.5) * share
    return max(scores, key=lambda name: scores[name])


def _is_single_byte(name: str) -> bool:
    return name.startswith(("cp125", "iso8859", "koi8", "cp874", "mac"))


def _utf8_share(sample: bytes, is_whole: bool) -> float:
    """Which share of what lies beyond ASCII is sound UTF-8."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample, is_whole)
    beyond = sum(character >= "\x80" for character in text)
    return 1 - text.count("\ufffd") / beyond if beyond else 0.0


def _sample(payload: bytes) -> tuple[bytes, bool]:
    """A stretch of the document from its first byte beyond ASCII, which is the first byte of a character; whether it is the rest."""
    found = re.search(rb"[\x80-\xff]", payload)
    start = found.start() if found else 0
    # The two bytes before it tell whether the character stands inside a word.
    return payload[max(0, start - 2) : start + SAMPLE_BYTES], start + SAMPLE_BYTES >= len(payload)


def _decode_as(payload: bytes, name: str) -> Decoded:
    try:
        return Decoded(payload.decode(name), name, is_repaired=False)
    except UnicodeDecodeError:
        return Decoded(payload.decode(name, "replace"), name, is_repaired=True)


def _either_neighbour(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where the character before or after is marked."""
    padded = np.concatenate(([False], marks, [False]))
    return padded[:-2] | padded[2:]


@cache
def _weights() -> NDArray[np.float64]:
    """Weight per code point up to U+1FFFF (every later one counts as the last)."""
    weights = np.full(0x20000, 0.3)
    weights[0x80:0xA0] = -3
    weights[0xA0:0xC0] = 0.1
    weights[0xC0:0x250] = 1
    weights[0x370:0x530] = 0.6
    weights[0x3400:0xA000] = 0
    weights[0xAC00:0xD7A4] = 0.8
    weights[0x3040:0x3100] = 0.8
    weights[0xE000:0xF900] = -3
    weights[0xFFF0:0x10000] = -3
    weights[0x1FFFF] = 0
    simplified, traditional = _common_chinese()
    for text, weight in ((traditional, 0.8), (simplified, 1), ("，。！？、；：（）《》【】“”‘’—…·「」～￥–•€", 1), ("†‡ˆ˜‰ƒ¤¨¸¬¯¦¶", -0.3)):
        weights[[ord(character) for character in text]] = weight
    return weights


def _common_chinese() -> tuple[str, str]:
    """The first level of GB 2312 (3,755 characters) and the frequent characters of Big5 (5,401)."""
    simplified = bytes(byte for lead in range(0xB0, 0xD8) for trail in range(0xA1, 0xFF) for byte in (lead, trail))
    trails = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    traditional = bytes(byte for lead in range(0xA4, 0xC7) for trail in trails for byte in (lead, trail))
    return simplified.decode("gb2312", "ignore"), traditional.decode("big5", "ignore")
