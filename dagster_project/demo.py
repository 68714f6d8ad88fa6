"""The demo corpus: real texts with real human ratings, laid out as the four kinds of source that the demo project collects.

The texts and ratings come from the archive of `vaderSentiment==0.5` (MIT); cite C.J. Hutto and E. Gilbert, "VADER: A
Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014. Only the pages around the newspaper's
sentences are made up. Serving them is in `demo_server.py`; downloading the archive is the Makefile's part.
"""

import hashlib
import html
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ARCHIVES = ("vaderSentiment-0.5.zip", "vadersentiment-0.5.zip", "vaderSentiment-0.5.tar.gz", "vadersentiment-0.5.tar.gz")
CORPUS = "hutto_ICWSM_2014"
MOST_BYTES = 32_000_000
TEXTS_PER_FILE = 1_500
BASE_URL = "{{base_url}}"


class DemoError(Exception):
    """The demo corpus cannot be prepared or served."""


@dataclass(frozen=True)
class RatedText:
    """One text of the corpus: its id, the text, and the ratings of independent people from -4 to 4."""

    text_id: str
    text: str
    ratings: tuple[int, ...]

    @property
    def parent_id(self) -> str:
        """The article or review that a sentence was cut from: `12` of `12_3`."""
        return self.text_id.partition("_")[0]


@dataclass(frozen=True)
class DemoCorpus:
    """What was prepared.

    Attributes:
        texts: Number of texts by source.
        ratings: Number of ratings by source.
        written_files: Files that were missing or different; 0 when everything was there.
    """

    texts: dict[str, int]
    ratings: dict[str, int]
    written_files: int


def prepare_demo(home: Path, archives: Path) -> DemoCorpus:
    """Lays the corpus out under `home/demo`. Files that are already right are left alone, so nothing looks changed.

    Args:
        home: The platform's data folder.
        archives: Folder with the downloaded source archive.

    Raises:
        DemoError: The archive is missing or is not the expected one.
    """
    folder = home / "demo"
    corpus = open_corpus(archives)
    tweets = read_rated_texts(corpus, "tweets")
    products = read_rated_texts(corpus, "amazonReviewSnippets")
    movies = read_rated_texts(corpus, "movieReviewSnippets")
    news = read_rated_texts(corpus, "nytEditorialSnippets")
    written = _write_json_lines(folder / "tweets", "tweets", tweets)
    written += _write_json_lines(folder / "bucket" / "movies", "movies", movies)
    written += _write_products(folder / "products.sqlite", products)
    written += sum(write_if_changed(folder / "newspaper" / name, content) for name, content in newspaper_files(news))
    by_source = {"tweets": tweets, "products": products, "movies": movies, "newspaper": news}
    return DemoCorpus(
        texts={name: len(texts) for name, texts in by_source.items()},
        ratings={name: sum(len(text.ratings) for text in texts) for name, texts in by_source.items()},
        written_files=written,
    )


def read_rated_texts(corpus: dict[str, bytes], name: str) -> list[RatedText]:
    """Texts of one part of the corpus, joined with their ratings by id.

    Args:
        corpus: Contents by file name.
        name: The part, for example `tweets`.

    Raises:
        DemoError: A file is missing, or a text has no ratings.
    """
    try:
        ratings = {row[0]: row[3] for row in _tab_rows(corpus[f"{name}_anonDataRatings.txt"])}
        texts = [(row[0], row[2]) for row in _tab_rows(corpus[f"{name}_GroundTruth.txt"])]
        return [RatedText(text_id, text, tuple(json.loads(ratings[text_id]))) for text_id, text in texts]
    except (KeyError, IndexError, ValueError) as error:
        raise DemoError(
            f"expected texts with ratings in the corpus's part {name!r}, found: {error!r}; download the archive again"
        ) from error


def newspaper_files(texts: list[RatedText]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the feed, of one page per article and of one file of votes per article.

    The corpus spells ampersands as entities; a page shows characters, and so do its votes.
    """
    articles: dict[str, list[RatedText]] = {}
    for text in texts:
        articles.setdefault(text.parent_id, []).append(text)
    items: list[str] = []
    for number, sentences in articles.items():
        page = _article_page(number, [_shown(sentence.text) for sentence in sentences])
        votes = to_json([{"text": _shown(sentence.text), "ratings": sentence.ratings} for sentence in sentences])
        yield f"articles/editorial-{number}.html", page
        yield f"votes/editorial-{number}.json", votes
        items.append(_feed_item(number, hashlib.sha256(page + votes).hexdigest(), len(votes)))
    yield "feed.xml", _FEED.replace("{{items}}", "".join(items)).encode()


def open_corpus(archives: Path) -> dict[str, bytes]:
    """Files of the corpus by name, read in memory: nothing is ever extracted to a path that an archive names."""
    archive = next((archives / name for name in ARCHIVES if (archives / name).is_file()), None)
    if archive is None:
        command = f"pip download --no-deps --no-binary :all: vaderSentiment==0.5 -d {archives}"
        raise DemoError(f"expected the archive of vaderSentiment 0.5 in {archives}, found none; get it with: {command}")
    try:
        with tarfile.open(fileobj=io.BytesIO(_inner_archive(archive)), mode="r:gz") as inner:
            return {
                Path(member.name).name: read_member(inner, member) for member in inner if member.isfile() and member.name.endswith(".txt")
            }
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise DemoError(f"expected {archive} to hold {CORPUS}.tar.gz, found: {error}; delete it and download it again") from error


def _inner_archive(archive: Path) -> bytes:
    """The bytes of the archive within the source archive."""
    ending = f"{CORPUS}.tar.gz"
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as outer:
            info = next((info for info in outer.infolist() if info.filename.endswith(ending) and info.file_size <= MOST_BYTES), None)
            if info is not None:
                return outer.read(info)
    else:
        with tarfile.open(archive, "r:gz") as outer_tar:
            for member in outer_tar:
                if member.isfile() and member.name.endswith(ending):
                    return read_member(outer_tar, member)
    raise tarfile.TarError(f"no member {ending} of at most {MOST_BYTES} bytes")


def read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The bytes of a file in an archive.

    Raises:
        tarfile.TarError: It is no file, or larger than anything expected here.
    """
    opened = archive.extractfile(member)
    if opened is None or member.size > MOST_BYTES:
        raise tarfile.TarError(f"member {member.name} is no file of at most {MOST_BYTES} bytes")
    return opened.read()


def _tab_rows(payload: bytes) -> list[list[str]]:
    return [line.split("\t") for line in payload.decode("utf-8-sig").split("\r\n") if line]


def _write_json_lines(folder: Path, name: str, texts: list[RatedText]) -> int:
    """Files of at most `TEXTS_PER_FILE` lines; returns how many had to be written."""
    written = 0
    for number, start in enumerate(range(0, len(texts), TEXTS_PER_FILE), start=1):
        rows = ({"id": text.text_id, "text": text.text, "ratings": text.ratings} for text in texts[start : start + TEXTS_PER_FILE])
        written += write_if_changed(folder / f"{name}-{number:02d}.jsonl", b"".join(to_json(row) for row in rows))
    return written


def _write_products(path: Path, texts: list[RatedText]) -> int:
    """The table `reviews`: one row per sentence, with the review that it comes from."""
    rows = [(number, text.text_id, text.parent_id, text.text, json.dumps(text.ratings)) for number, text in enumerate(texts, start=1)]
    if path.is_file() and _read_products(path) == rows:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    connection = sqlite3.connect(temporary)
    try:
        with connection:
            connection.execute("CREATE TABLE reviews (id INTEGER PRIMARY KEY, sentence_id TEXT, review_id TEXT, text TEXT, ratings TEXT)")
            connection.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?, ?)", rows)
    finally:
        connection.close()
    temporary.replace(path)
    return 1


def _read_products(path: Path) -> list[tuple[object, ...]] | None:
    """Rows of the table; None when the file is no such database, which is then written anew."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT id, sentence_id, review_id, text, ratings FROM reviews ORDER BY id").fetchall()
    except sqlite3.DatabaseError:
        return None
    finally:
        connection.close()


def write_if_changed(path: Path, content: bytes) -> int:
    """Writes a file unless it holds just this; returns 1 when it was written."""
    if path.is_file() and path.read_bytes() == content:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
    return 1


def to_json(content: object) -> bytes:
    """One line of JSON."""
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()


def _shown(text: str) -> str:
    """Characters for entities, also where the corpus escaped them twice."""
    return html.unescape(html.unescape(text))


_FEED = f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0">
<channel>
<title>The Daily Demo: editorials</title>
<link>{BASE_URL}/</link>
<description>Rated sentences of 498 editorials (Hutto and Gilbert, ICWSM 2014).</description>
{{{{items}}}}</channel>
</rss>
"""


def _feed_item(number: str, content_hash: str, votes_bytes: int) -> str:
    """An item whose link changes with the content, as the corpus gives no dates."""
    version = content_hash[:8]
    return (
        f"<item><title>Editorial {number}</title>"
        f"<link>{BASE_URL}/articles/editorial-{number}.html?v={version}</link>"
        f'<guid isPermaLink="false">editorial-{number}</guid>'
        f'<enclosure url="{BASE_URL}/votes/editorial-{number}.json?v={version}" length="{votes_bytes}" type="application/json"/></item>\n'
    )


def _article_page(number: str, sentences: list[str]) -> bytes:
    """A page with what surrounds an article on real ones: navigation, a side column, a footer."""
    paragraphs = "\n".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return _PAGE.replace("{{number}}", number).replace("{{paragraphs}}", paragraphs).encode()


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Editorial {{number}} - The Daily Demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script>window.dataLayer = window.dataLayer || [];</script>
</head>
<body>
<header class="site-header"><a class="logo" href="/">The Daily Demo</a>
<nav class="main-navigation"><ul><li><a href="/">Home</a></li><li><a href="/opinion">Opinion</a></li><li><a href="/world">World</a></li>
<li><a href="/business">Business</a></li><li><a href="/subscribe">Subscribe</a></li></ul></nav></header>
<main>
<article class="article-body">
<h1>Editorial {{number}}</h1>
{{paragraphs}}
</article>
<aside class="sidebar"><h2>Most read</h2><ul><li><a href="/articles/a">What the council decided</a></li>
<li><a href="/articles/b">Ten walks for the weekend</a></li></ul></aside>
</main>
<footer class="site-footer"><p>Copyright The Daily Demo. All rights reserved.</p>
<ul><li><a href="/terms">Terms</a></li><li><a href="/privacy">Privacy</a></li></ul></footer>
</body>
</html>
"""
