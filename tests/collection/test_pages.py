"""Main text of pages: paragraphs in order, without what surrounds them."""

from datetime import UTC, datetime

import pytest

from assets.collection.pages import extract_page
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.source_settings import FieldMapping

ENGLISH = [
    "The council decided on Tuesday to keep the library open for another year.",
    "Why?",
    "Readers had asked for it in three thousand letters & cards.",
]
CHINESE = ["市议会周二决定让图书馆再开放一年，居民们对此表示欢迎。", "为什么？", "三千名读者曾写信提出这一要求，他们的意见得到了采纳。"]


def page_of(paragraphs, head=""):
    body = "\n".join(f"<p>{text.replace('&', '&amp;')}</p>" for text in paragraphs)
    return (
        f"<!DOCTYPE html><html><head>{head}<title>Local   news</title></head><body><nav><ul><li><a href='/'>Home</a></li></ul></nav>"
        f"<main><article><h1>Heading</h1>{body}</article></main><footer><p>All rights reserved.</p></footer></body></html>"
    )


@pytest.mark.parametrize("paragraphs", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_paragraphs_come_back_exactly_without_navigation_heading_and_footer(paragraphs):
    page = extract_page(page_of(paragraphs))
    assert page.paragraphs == tuple(paragraphs)
    assert page.title == "Local news"


def test_lists_and_quotations_come_item_by_item():
    html = page_of(ENGLISH).replace("</article>", "<ul><li>First reason of several.</li><li>Second reason of several.</li></ul></article>")
    assert extract_page(html).paragraphs == (*ENGLISH, "First reason of several.", "Second reason of several.")


@pytest.mark.parametrize("html", ["", " ", "<html></html>", "no markup", "<p", "<html><body><nav><a href='/'>Home</a></nav></body></html>"])
def test_a_page_without_an_article_has_no_paragraphs(html):
    raw = RawObject(html.encode(), "0" * 64, "http://site/a", "text/html")
    found = parse_objects([raw], fields=FieldMapping())
    assert (len(found.documents), list(found.rejected["reason"])) == (0, ["no_main_text"])


def parsed_page(payload, segment, charset=None):
    raw = RawObject(payload, "0" * 64, "http://site/a", "text/html", charset, parent_id="entry-1")
    return parse_objects([raw], fields=FieldMapping(text="ignored"), segment=segment).documents


def test_a_page_is_one_document_or_one_per_paragraph():
    whole = parsed_page(page_of(ENGLISH).encode(), "page")
    assert list(zip(whole["external_id"], whole["text"], strict=True)) == [("entry-1", "\n".join(ENGLISH))]
    parts = parsed_page(page_of(ENGLISH).encode(), "paragraph")
    assert list(parts["external_id"]) == ["entry-1#1", "entry-1#2", "entry-1#3"]
    assert list(parts["text"]) == ENGLISH
    assert set(parts["parent_id"]) == {"entry-1"}
    assert set(parts["title"]) == {"Local news"}
    assert list(parts["locator"]) == ["paragraph 1", "paragraph 2", "paragraph 3"]


@pytest.mark.parametrize("declared", [None, "gb2312", "utf-8", "iso-8859-1"])
def test_a_gbk_page_comes_out_right_whatever_the_header_says(declared):
    payload = page_of(CHINESE, head='<meta charset="gb2312">').encode("gbk")
    assert list(parsed_page(payload, "paragraph", declared)["text"]) == CHINESE


def test_an_xml_declaration_does_not_decode_a_second_time():
    payload = ('<?xml version="1.0" encoding="gbk"?>' + page_of(CHINESE)).encode("gbk")
    assert list(parsed_page(payload, "paragraph")["text"]) == CHINESE


SAID_BY = [
    ('<meta name="author" content="Ann Lee; Bo Chan">', ("Ann Lee", "Bo Chan")),
    ('<meta property="article:author" content="By Ann Lee">', ("Ann Lee",)),
    (
        '<script type="application/ld+json">{"@context":"https://schema.org","@type":"NewsArticle","headline":"x",'
        '"author":{"@type":"Person","name":"张三"}}</script>',
        ("张三",),
    ),
    ('<meta name="Author" content="张三">', ("张三",)),
    ('<meta name="author" content="https://site.example/people/7">', None),
    ("", None),
]


@pytest.mark.parametrize(("head", "authors"), SAID_BY)
@pytest.mark.parametrize("segment", ["page", "paragraph"])
def test_who_wrote_a_page_is_read_where_it_says_so(head, authors, segment):
    found = parsed_page(page_of(ENGLISH, head).encode(), segment)
    assert set(found["authors"]) == {authors}


def test_a_chinese_byline_is_read_without_what_leads_to_the_name():
    html = page_of(CHINESE).replace("<h1>", '<div class="byline">作者：张三、李四</div><h1>')
    assert set(parsed_page(html.encode(), "page")["authors"]) == {("张三", "李四")}


@pytest.mark.parametrize(
    ("head", "url", "day"),
    [
        ('<meta property="article:published_time" content="2024-03-05T10:11:12+00:00">', "http://site/a", "2024-03-05"),
        ('<script type="application/ld+json">{"@type":"NewsArticle","datePublished":"2023-01-02"}</script>', "http://site/a", "2023-01-02"),
        ("", "http://site/2022/11/30/story.html", "2022-11-30"),
        ("", "http://site/a", "NaT"),
    ],
)
def test_the_day_of_a_page_is_read_where_markup_or_address_say_so(head, url, day):
    page = page_of([*ENGLISH, "On 12 March 2020 it had been closed."], head).encode()
    found = parse_objects([RawObject(page, "0" * 64, url, "text/html")], fields=FieldMapping()).documents
    assert str(found["published_at"][0])[:10] == day


def test_the_time_of_a_feed_goes_before_the_day_of_a_page():
    page = page_of(ENGLISH, '<meta property="article:published_time" content="2024-03-05">').encode()
    moment = datetime(2024, 3, 5, 10, 11, tzinfo=UTC)
    raw = RawObject(page, "0" * 64, "http://site/a", "text/html", published_at=moment)
    assert parse_objects([raw], fields=FieldMapping()).documents["published_at"][0] == moment
