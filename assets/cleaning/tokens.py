"""Cuts texts into the words that search and the baselines look at; queries are cut by the same function.

Stop words are in `stop_words.py`; the words that rules and shingles count are in `words.py`.

- Han characters are segmented by rjieba in search mode: it finds the words and the shorter words inside them (中国科学院 also gives 中国
  and 科学院), as jieba does, at sixteen times the speed. Whatever language the document is in, so that a Chinese name in English text
  is found.
- Other words are lower-cased and stemmed by Snowball (Porter 2001), English unless the language has a stemmer of its own. Undetermined
  and Chinese texts use English too: most foreign words in them are English, and queries are.
- Addresses are left out.
"""

import re
import threading
import unicodedata
from functools import cache, lru_cache
from typing import Protocol

import pandas as pd

from assets.cleaning.frames import as_table, require_columns
from assets.cleaning.stop_words import stop_words
from assets.cleaning.words import HAN, NEGATIONS, URL, find_words
from assets.schemas import TOKENS

_HAN_RUN = re.compile(f"[{HAN}]+")
# Separates words as well as a space does, and a text without it is normalized already, as most are: that takes a tenth of the time.
_WIDE_PUNCTUATION = re.compile("[，！？：；（）…～]")
_STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
    "und": "english",
    "zh": "english",
}
# Snowball stemmers keep the word they work on in themselves: two threads of a service must not share one at the same time.
_STEMMER_LOCK = threading.Lock()


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802 (the library's name)


def tokenize(documents: pd.DataFrame) -> pd.DataFrame:
    """Cuts every document.

    Args:
        documents: One row per clean document, with `document_id`, `source`, `language` and `text`.

    Returns:
        One row per document, in the same order: the columns of `tokens`.

    Raises:
        ValueError: A column is missing.
    """
    require_columns(documents, ("document_id", "source", "language", "text"), "documents to tokenize")
    pairs = zip(documents["text"].tolist(), documents["language"].tolist(), strict=True)
    tokens = [tokenize_text(text, language) for text, language in pairs]
    frame = documents[["document_id", "source", "language"]].assign(
        tokens=pd.Series([" ".join(each) for each in tokens], index=documents.index, dtype="str"),
        tokens_count=pd.Series([len(each) for each in tokens], index=documents.index, dtype="int64"),
    )
    return as_table(frame, TOKENS)


def tokenize_text(text: str, language: str) -> list[str]:
    """Cuts one text, or a query, into tokens in the order of the text.

    Args:
        text: One text.
        language: ISO 639-1 code of its language; `und` when undetermined. A query takes the language of the documents it looks for.

    Returns:
        Words, lower-cased, stemmed, without stop words; none holds white space.
    """
    plain = _WIDE_PUNCTUATION.sub(" ", URL.sub(" ", text))
    folded = unicodedata.normalize("NFKC", plain).lower().replace("’", "'")
    stops = stop_words(language)
    if folded.isascii():
        return _without(stops, find_words(folded), language)
    return _segment(folded, stops, language)


def _segment(text: str, stops: frozenset[str], language: str) -> list[str]:
    """Tokens of a text that may hold Han: its Han runs cut by dictionary, the rest as it is.

    All runs are cut by one call, with a line feed between them, over which no word reaches.
    """
    import rjieba  # loads its dictionary: not while definitions load

    cut = rjieba.cut_for_search("\n".join(_HAN_RUN.findall(text)))
    between = _HAN_RUN.split(text)
    if not find_words("\n".join(between)):
        return [word for word in cut if word not in stops and word != "\n"]
    others = (_without(stops, find_words(part), language) if part else [] for part in between)
    tokens = next(others)
    for word in cut:
        if word == "\n":
            tokens += next(others)
        elif word not in stops:
            tokens.append(word)
    return tokens + [word for rest in others for word in rest]


def _without(stops: frozenset[str], words: list[str], language: str) -> list[str]:
    return [_stem(word, language) for word in words if word not in stops]


@lru_cache(maxsize=1 << 17)
def _stem(word: str, language: str) -> str:
    stemmer = _stemmer(language)
    if stemmer is None or word in NEGATIONS:
        return word
    with _STEMMER_LOCK:
        return stemmer.stemWord(word)


@cache
def _stemmer(language: str) -> _Stemmer | None:
    import snowballstemmer  # not while definitions load

    name = _STEMMERS.get(language)
    return snowballstemmer.stemmer(name) if name else None
