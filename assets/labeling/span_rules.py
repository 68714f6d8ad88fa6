"""Labeling functions that find spans: dates, money, handles, addresses, hashtags and names, in English and Chinese.

A span rule votes on every document: no span says "looked and found none" for the types it covers, and nothing about others. The rules
are plain patterns that favour being right over finding all, so labels made by them alone are silver. To add one: write a function
from a text to spans, put it into `SPAN_RULES` with the types it covers. Rules that give one label are in `rules.py`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from assets.answers import Span
from assets.labeling.names import find_names


@dataclass(frozen=True)
class SpanRule:
    """A labeling function for spans.

    Attributes:
        types: The labels it looks for.
        find: From a text to its spans.
    """

    types: frozenset[str]
    find: Callable[[str], Iterator[Span]]


_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?"
    r"|Dec(?:ember)?)\b\.?"
)
_DAY = r"(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:1[6-9]|20)\d\d"
_ZH_DIGITS = "〇零一二三四五六七八九十"
DATES = re.compile(
    rf"\b{_MONTH} {_DAY}(?:,? {_YEAR})?\b"
    rf"|\b{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR}\b)?"
    rf"|\b{_MONTH},? {_YEAR}\b"
    r"|\b(?:1[6-9]|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b"
    r"|(?<![\w/.$])(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|[12]\d|3[01])/(?:\d{4}|\d\d)(?![\w/])"
    r"|\b(?:January|February|April|June|July|August|September|October|November|December)\b"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
    r"|\b(?:[Tt]oday|[Yy]esterday|[Tt]omorrow)\b"
    rf"|(?<=\b[Ii]n ){_YEAR}(?![\w%,.-]*\w)|(?<=\b[Ss]ince ){_YEAR}(?![\w%,.-]*\w)|(?<=\b[Uu]ntil ){_YEAR}(?![\w%,.-]*\w)"
    r"|(?<!\w)(?:1[6-9]|20)\d0s\b"
    rf"|(?:\d{{4}}|(?<!\d)\d\d|[{_ZH_DIGITS}]{{4}})年(?:(?:\d{{1,2}}|[{_ZH_DIGITS}]{{1,3}})月(?:(?:\d{{1,2}}|[{_ZH_DIGITS}]{{1,3}})[日号])?)?"
    rf"|(?<![\d{_ZH_DIGITS}])(?:1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])月(?:(?:\d{{1,2}}|[{_ZH_DIGITS}]{{1,3}})[日号])"
    r"|(?:星期|礼拜)[一二三四五六日天]|(?<![一每])周[一二三四五六日](?!年)|今天|明天|昨天|后天|前天"
)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_SCALE = r"(?:[ -]?(?:thousand|million|billion|trillion)\b|(?:[kKmM]|bn)\b|[百千万亿]+)"
MONEY = re.compile(
    rf"(?:US|A|C|HK)?[$€£¥¥]\s?{_NUMBER}{_SCALE}?"
    rf"|(?<![\w.,$]){_NUMBER}{_SCALE}? ?(?:dollars?|bucks?|cents?|euros?|yuan|USD|EUR|RMB)\b"
    rf"|(?<!\d)(?<!\d[.,]){_NUMBER}[十百千万亿]*(?:块钱|美元|欧元|日元|英镑|港元|港币|人民币|元(?![旦素件宵音月]))"
    r"|[一二三四五六七八九十百千万亿两]{1,8}(?:块钱|美元|欧元|日元|英镑|港元|元(?![旦素件宵音月]))"
)
# A name after @; not the middle of an e-mail address.
HANDLES = re.compile(r"(?<![A-Za-z0-9_@/.+-])@[A-Za-z0-9_]{1,30}(?![\w.]*@)|(?<![A-Za-z0-9_@/.+-])@[\w\u4e00-\u9fff-]{1,30}")
_ENDINGS = "com|org|net|edu|gov|info|co|io|ly|me|tv|uk|us|de|fr|cn|jp|fm|gl"
URLS = re.compile(
    r"\bhttps?://[A-Za-z0-9][!#-;=?-Z\[\]_a-z~]*"
    r"|\bwww\.[A-Za-z0-9-]+\.[!#-;=?-Z\[\]_a-z~]+"
    rf"|(?<![@\w.-])(?:[A-Za-z0-9-]+\.)+(?:{_ENDINGS})(?:/[!#-;=?-Z\[\]_a-z~]*|\b(?![\w.@-]))",
    re.ASCII,
)
# `#话题#` of Weibo, and `#topic`; a number alone is none.
HASHTAGS = re.compile(r"#(?=[^#\s]*[\u4e00-\u9fff])[^#\s]{1,40}#|(?<![\w&/#])#(?=\w*[^\W\d_])\w+")
_TRAILING = ".,;:!?)]'\"…"


def find_dates(text: str) -> Iterator[Span]:
    """Calendar dates, months with a year, weekdays, decades, years after `in`; today and its neighbours."""
    return _matches(DATES, text, "DATE")


def find_money(text: str) -> Iterator[Span]:
    """Amounts with their currency."""
    return _matches(MONEY, text, "MONEY")


def find_handles(text: str) -> Iterator[Span]:
    """`@somebody`."""
    return _matches(HANDLES, text, "HANDLE")


def find_urls(text: str) -> Iterator[Span]:
    """Web addresses, with or without `https://`, without the punctuation behind them."""
    for found in URLS.finditer(text):
        yield Span(found.start(), found.start() + len(found[0].rstrip(_TRAILING)), "URL")


def find_hashtags(text: str) -> Iterator[Span]:
    """`#topic` and `#话题#`."""
    return _matches(HASHTAGS, text, "HASHTAG")


def find_capitalized_names(text: str) -> Iterator[Span]:
    """Names: see `names.py`."""
    return (Span(start, end, "NAME") for start, end in find_names(text))


def _matches(pattern: re.Pattern[str], text: str, label: str) -> Iterator[Span]:
    return (Span(found.start(), found.end(), label) for found in pattern.finditer(text))


SPAN_RULES: dict[str, SpanRule] = {
    "dates": SpanRule(frozenset({"DATE"}), find_dates),
    "money": SpanRule(frozenset({"MONEY"}), find_money),
    "handles": SpanRule(frozenset({"HANDLE"}), find_handles),
    "urls": SpanRule(frozenset({"URL"}), find_urls),
    "hashtags": SpanRule(frozenset({"HASHTAG"}), find_hashtags),
    "capitalized_names": SpanRule(frozenset({"NAME"}), find_capitalized_names),
}
