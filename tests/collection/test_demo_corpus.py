"""The demo corpus, from a small archive of the same shape, through all four kinds of channel."""

import io
import json
import sqlite3
import tarfile
import urllib.error
import urllib.request
import zipfile

import pytest

from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.collection.records import to_raw_annotations, to_raw_documents
from assets.source_settings import FieldMapping
from dagster_project.demo import DemoCorpus, DemoError, prepare_demo, read_rated_texts
from dagster_project.demo_server import serve_demo
from resources.channels.bucket import BucketChannel
from resources.channels.feeds import FeedChannel
from resources.channels.fetched import CursorMove, Fetched
from resources.channels.files import FilesChannel
from resources.channels.sql import SqlChannel
from resources.web.policy import FetchPolicy

SENTENCES = [
    ("1_1", "The council of Hirschl &amp;amp; Adler decided to keep the library open for one more year."),
    ("1_2", "Why?"),
    ("1_3", "Three thousand readers had asked for it in letters, and ''they'' were heard."),
    ("1_4", "Why?"),
    ("2_1", "A second editorial speaks of a harbour that nobody has used since the war ended."),
    ("2_2", "It should be given back to the people who live around it."),
]
PARTS = {
    "tweets": [("1", "LMAO, AMAZING!"), ("2", "so sad :(")],
    "movieReviewSnippets": [("1", "Touché!"), ("2", "Crummy.")],
    "amazonReviewSnippets": [("1_1", "it works ."), ("1_2", "then it froze ."), ("2_1", "fine player .")],
    "nytEditorialSnippets": SENTENCES,
}


def corpus_files():
    files = {}
    for name, texts in PARTS.items():
        truth = "\r\n".join(f"{text_id}\t0.5\t{text}" for text_id, text in texts)
        ratings = "\r\n".join(f"{text_id}\t0.5\t0.1\t[{number}, -1, 2]" for number, (text_id, _) in enumerate(texts))
        files[f"{name}_GroundTruth.txt"] = truth.encode()
        files[f"{name}_anonDataRatings.txt"] = b"\xef\xbb\xbf" + ratings.encode()
    return files


def inner_archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("hutto_ICWSM_2014/evil.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


def write_archive(folder, files, ending="zip"):
    folder.mkdir(exist_ok=True)
    inner = inner_archive(files)
    name = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    if ending == "zip":
        with zipfile.ZipFile(folder / "vaderSentiment-0.5.zip", "w") as outer:
            outer.writestr(name, inner)
    else:
        with tarfile.open(folder / "vaderSentiment-0.5.tar.gz", "w:gz") as outer:
            member = tarfile.TarInfo(name)
            member.size = len(inner)
            outer.addfile(member, io.BytesIO(inner))
    return folder


@pytest.fixture(params=["zip", "tar"])
def archives(request, tmp_path):
    return write_archive(tmp_path / "archives", corpus_files(), request.param)


@pytest.fixture
def home(tmp_path):
    prepare_demo(tmp_path / "home", write_archive(tmp_path / "archives", corpus_files()))
    return tmp_path / "home"


def stamps(home):
    return {file.relative_to(home).as_posix(): file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()}


def test_preparing_twice_changes_nothing(archives, tmp_path):
    first = prepare_demo(tmp_path / "home", archives)
    before = stamps(tmp_path / "home")
    second = prepare_demo(tmp_path / "home", archives)
    counts = {"tweets": 2, "products": 3, "movies": 2, "newspaper": 6}
    ratings = {name: 3 * count for name, count in counts.items()}
    assert first == DemoCorpus(counts, ratings, written_files=8)
    assert second == DemoCorpus(counts, ratings, written_files=0)
    assert stamps(tmp_path / "home") == before
    assert not [name for name in before if ".new" in name]


def test_a_damaged_file_is_written_again_and_others_are_left(home, tmp_path):
    before = stamps(home)
    (home / "demo" / "tweets" / "tweets-01.jsonl").write_text("damaged")
    (home / "demo" / "products.sqlite").write_text("damaged" * 100)
    assert prepare_demo(home, tmp_path / "archives").written_files == 2
    unchanged = {name for name, stamp in stamps(home).items() if before[name] == stamp}
    assert set(before) - unchanged == {"demo/tweets/tweets-01.jsonl", "demo/products.sqlite"}
    with sqlite3.connect(home / "demo" / "products.sqlite") as connection:
        rows = connection.execute("SELECT * FROM reviews").fetchall()
    connection.close()
    assert rows[1] == (2, "1_2", "1", "then it froze .", "[1, -1, 2]")


def test_a_missing_archive_is_an_error_that_says_how_to_get_it(tmp_path):
    with pytest.raises(DemoError, match=r"expected the archive of vaderSentiment 0.5 in .*, found none; get it with: pip download"):
        prepare_demo(tmp_path / "home", tmp_path)


@pytest.mark.parametrize("content", [b"no archive", b"PK\x05\x06" + b"\0" * 18])
def test_a_wrong_archive_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "vaderSentiment-0.5.zip").write_bytes(content)
    with pytest.raises(DemoError, match=r"expected .*vaderSentiment-0.5.zip to hold hutto_ICWSM_2014.tar.gz, found: .*; delete it"):
        prepare_demo(tmp_path / "home", tmp_path)


@pytest.mark.parametrize(
    "damage", [{"tweets_anonDataRatings.txt": b"1\t0\t0\t[1]"}, {"tweets_anonDataRatings.txt": b"1"}, {"tweets_GroundTruth.txt": b"1"}]
)
def test_a_text_without_ratings_is_an_error(damage):
    with pytest.raises(DemoError, match="expected texts with ratings in the corpus's part 'tweets', found"):
        read_rated_texts(corpus_files() | damage, "tweets")


def collect(name, channel, fields, segment="page"):
    """Documents and votes of a source, as the platform makes them."""
    outcomes = list(channel.fetch({}))
    assert {type(item) for item in outcomes} <= {Fetched, CursorMove}
    raws = [
        RawObject(item.payload, str(number), item.uri, item.media_type, item.charset, item.role, item.parent_id, item.published_at)
        for number, item in enumerate(outcomes)
        if isinstance(item, Fetched)
    ]
    parsed = parse_objects(raws, fields=fields, segment=segment)
    assert parsed.rejected.empty
    known = parsed.documents.iloc[:0].assign(document_id="", revision=1)
    rows = to_raw_documents(parsed.documents, source=name, known=known, now=parsed.documents["published_at"].max()).rows
    votes = to_raw_annotations(parsed.votes, rows, source=name, now=parsed.documents["published_at"].max())
    assert votes.rejected.empty
    return rows, votes.rows


def test_every_text_and_rating_comes_through_its_channel(home):
    fields = FieldMapping(votes="ratings")
    shop = FieldMapping(external_id="sentence_id", parent_id="review_id", votes="ratings")
    query = "SELECT * FROM reviews WHERE id > :cursor ORDER BY id"
    tweets, tweet_votes = collect("tweets", FilesChannel(f"{home}/demo/tweets/*.jsonl"), fields)
    movies, movie_votes = collect("movies", BucketChannel(f"{home.as_uri()}/demo/bucket/movies"), fields)
    products, product_votes = collect("products", SqlChannel(f"sqlite:///{home}/demo/products.sqlite", query, "id"), shop)
    policy = FetchPolicy(allow_private_hosts=("127.0.0.1",), requests_per_second=10_000)
    with serve_demo(home, 0) as url:
        news, news_votes = collect("newspaper", FeedChannel(f"{url}/feed.xml", policy), FieldMapping(), "paragraph")
    assert list(tweets["text"]) == [text for _, text in PARTS["tweets"]]
    assert list(movies["text"]) == [text for _, text in PARTS["movieReviewSnippets"]]
    assert list(zip(products["external_id"], products["parent_id"], strict=True)) == [("1_1", "1"), ("1_2", "1"), ("2_1", "2")]
    assert list(news["text"]) == [text.replace("&amp;amp;", "&") for _, text in SENTENCES]
    assert list(news["parent_id"]) == ["editorial-1"] * 4 + ["editorial-2"] * 2
    assert [len(votes) for votes in (tweet_votes, movie_votes, product_votes, news_votes)] == [6, 6, 9, 18]
    first = news_votes[news_votes["annotator_id"] == "anonymous:01"]
    assert list(zip(first["external_id"], first["value"], strict=True)) == [
        ("editorial-1#1", 0.0),
        ("editorial-1#2", 1.0),
        ("editorial-1#3", 2.0),
        ("editorial-1#4", 3.0),
        ("editorial-2#1", 4.0),
        ("editorial-2#2", 5.0),
    ]


def get(url, **headers):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with opener.open(request, timeout=5) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_the_feed_is_the_same_version_on_every_port(home):
    with serve_demo(home, 0) as one, serve_demo(home, 0) as two:
        first, second = get(f"{one}/feed.xml"), get(f"{two}/feed.xml")
    assert first[1]["ETag"] == second[1]["ETag"]
    assert f"{one}/articles/editorial-1.html?v=".encode() in first[2]
    assert f"{two}/votes/editorial-2.json?v=".encode() in second[2]
    assert b"{{" not in first[2]


def test_conditional_requests_are_answered_with_304(home):
    with serve_demo(home, 0) as url:
        _, headers, _ = get(f"{url}/feed.xml")
        assert get(f"{url}/feed.xml", If_None_Match=headers["ETag"])[0] == 304
        assert get(f"{url}/feed.xml", If_None_Match="*")[0] == 304
        assert get(f"{url}/feed.xml", If_None_Match='"other"')[0] == 200
        assert get(f"{url}/feed.xml", If_Modified_Since=headers["Last-Modified"])[0] == 304
        assert get(f"{url}/feed.xml", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT")[0] == 200
        assert get(f"{url}/feed.xml", If_Modified_Since="nonsense")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/products.sqlite", "/articles/../../products.sqlite", "/articles/editorial-9.html", "/%2e%2e/products.sqlite"]
)
def test_nothing_but_the_newspaper_is_served(home, path):
    with serve_demo(home, 0) as url:
        assert get(f"{url}{path}")[0] == 404


def test_votes_are_served_as_json(home):
    with serve_demo(home, 0) as url:
        status, headers, body = get(f"{url}/votes/editorial-2.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)[1] == {"text": SENTENCES[5][1], "ratings": [5, -1, 2]}


def test_a_port_with_the_same_newspaper_is_shared_and_survives(home):
    with serve_demo(home, 0) as url:
        port = int(url.rpartition(":")[2])
        with serve_demo(home, port) as again:
            assert again == url
        assert get(f"{url}/feed.xml")[0] == 200


def test_a_port_taken_by_something_else_is_an_error(home, tmp_path):
    other = tmp_path / "other"
    (other / "demo" / "newspaper").mkdir(parents=True)
    (other / "demo" / "newspaper" / "feed.xml").write_text("<rss/>")
    with serve_demo(other, 0) as url:
        port = int(url.rpartition(":")[2])
        with (
            pytest.raises(DemoError, match=f"expected to listen on 127.0.0.1:{port}, found: Address already in use; stop what"),
            serve_demo(home, port),
        ):
            pass


def test_a_newspaper_that_was_not_prepared_is_an_error(tmp_path):
    with (
        pytest.raises(DemoError, match=r"expected the demo's newspaper in .*, found none; prepare the demo first"),
        serve_demo(tmp_path, 0),
    ):
        pass
