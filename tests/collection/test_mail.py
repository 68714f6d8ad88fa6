"""Mailboxes: charsets, parts, threads and quotations, in English and Chinese."""

import base64
import quopri
from email.message import EmailMessage

import pytest

from assets.collection.mail import strip_quotes
from assets.collection.parsing import parse_objects
from assets.collection.reading import RawObject
from assets.source_settings import FieldMapping

TEXT = "你好，订单还没有到。朱镕基，喆，𠮷。"
TRADITIONAL = "您好，訂單還沒有到，請問什麼時候會到貨？"


def message(body=b"text", subject=b"subject", **headers):
    lines = [b"Subject: " + subject, b"From: Amy <amy@shop.example>", b"To: bob@shop.example"]
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    return b"\n".join(lines) + b"\n\n" + body


def mailbox(*messages):
    return b"".join(b"From amy@shop.example Fri Jan  2 03:04:05 2026\n" + content + b"\n\n" for content in messages)


def parse(*messages, strips_quotes=False, payload=None):
    raw = RawObject(mailbox(*messages) if payload is None else payload, "0" * 64, "file:///a.mbox", "application/mbox")
    return parse_objects([raw], fields=FieldMapping(), strips_quotes=strips_quotes)


def test_a_message_is_a_document_with_subject_time_and_thread():
    found = parse(
        message("内容".encode(), Message_ID="<1@a>", Date="Fri, 02 Jan 2026 11:04:05 +0800", Content_Type="text/plain; charset=utf-8")
    )
    row = found.documents.iloc[0]
    assert (row["external_id"], row["parent_id"], row["title"], row["text"]) == ("1@a", "1@a", "subject", "内容")
    assert (row["published_at"].isoformat(), row["locator"]) == ("2026-01-02T03:04:05+00:00", "message 1")


def test_of_the_people_in_a_message_only_its_author_is_read():
    found = parse(message(Message_ID="<1@a>"))
    assert found.documents["authors"].tolist() == [("amy@shop.example",)]
    assert "bob" not in str(found.documents.to_dict())


@pytest.mark.parametrize(
    ("header", "authors"),
    [
        ("Amy Lee <Amy@Shop.example>", ("Amy@Shop.example",)),
        ('"Lee, Amy" <amy@shop.example>', ("amy@shop.example",)),
        ("=?gb2312?B?1cXI/Q==?= <zhang@shop.example>", ("zhang@shop.example",)),
        ("=?gb2312?B?1cXI/Q==?=", ("张三",)),
        ("amy@shop.example, bob@shop.example", ("amy@shop.example", "bob@shop.example")),
        ("Amy Lee", ("Amy Lee",)),
        ("", None),
    ],
)
def test_a_mail_is_by_its_address_or_else_by_its_name(header, authors):
    found = parse(message(Message_ID="<1@a>").replace(b"From: Amy <amy@shop.example>", f"From: {header}".encode()))
    assert found.documents["authors"].tolist() == [authors]


@pytest.mark.parametrize(
    ("declared", "codec", "text"),
    [
        ("utf-8", "utf-8", TEXT),
        ("gb18030", "gb18030", TEXT),
        ("gbk", "gb18030", TEXT),
        ("gb2312", "gb18030", TEXT),
        ("GB2312", "gbk", "朱镕基和喆在北京的一家饭店见面。"),
        ("big5", "big5", TRADITIONAL),
        ("iso-8859-1", "cp1252", "The café’s “menu” costs 5 €."),
        ("utf-16", "utf-16", TEXT),
        ("unknown-8bit", "gb18030", TEXT),
        (None, "gb18030", TEXT),
        ("klingon", "utf-8", TEXT),
    ],
)
@pytest.mark.parametrize("transfer", ["base64", "quoted-printable", "8bit"])
def test_charsets_come_out_right_in_text_and_subject(declared, codec, text, transfer):
    raw = text.encode(codec)
    if transfer == "8bit" and codec == "utf-16":
        pytest.skip("two bytes to a letter cannot travel as lines")
    body = {"base64": base64.encodebytes(raw), "quoted-printable": quopri.encodestring(raw), "8bit": raw}[transfer]
    kind = f"text/plain; charset={declared}" if declared else "text/plain"
    subject = b"=?%s?B?%s?=" % ((declared or "gb18030").encode(), base64.b64encode(raw))
    found = parse(message(body, subject, Content_Type=kind, Content_Transfer_Encoding=transfer)).documents.iloc[0]
    assert (found["text"], found["title"]) == (text, text)


def test_a_letter_cut_in_two_between_encoded_words_is_one_letter_again():
    raw = "你好世界".encode("gbk")
    words = [b"=?gb2312?B?" + base64.b64encode(part) + b"?=" for part in (raw[:3], raw[3:])]
    found = parse(message(subject=b"\n ".join(words)), message(subject="原始标题".encode("gbk")))
    assert found.documents["title"].tolist() == ["你好世界", "原始标题"]


def test_the_plain_part_is_taken_before_html_and_attachments_are_left_out():
    mail = EmailMessage()
    mail["Message-ID"] = "<2@a>"
    mail.set_content("plain 文字\n")
    mail.add_alternative("<p>html</p>", subtype="html")
    mail.add_attachment("secret notes", filename="notes.txt")
    only_html = EmailMessage()
    only_html.set_content("<html><style>p{}</style><p>第一段</p><p>second&nbsp;one</p></html>", subtype="html")
    assert parse(mail.as_bytes(), only_html.as_bytes()).documents["text"].tolist() == ["plain 文字", "第一段\nsecond one"]


def test_threads_are_found_by_references_and_by_chains_of_answers():
    found = parse(
        message(Message_ID="<1@a>"),
        message(Message_ID="<2@a>", In_Reply_To="<1@a>"),
        message(Message_ID="<3@a>", In_Reply_To="<2@a>"),
        message(Message_ID="<4@a>", References="<1@a> <2@a>", In_Reply_To="<3@a>"),
        message(Message_ID="<5@a>", References="<elsewhere@b> <x@b>"),
    )
    assert found.documents["parent_id"].tolist() == ["1@a", "1@a", "1@a", "1@a", "elsewhere@b"]


def test_lines_that_begin_like_a_message_are_text_when_escaped():
    found = parse(message(b"one\n>From the start\n>>From quoted\nFrom within a paragraph\n\ntwo"))
    assert found.documents["text"].tolist() == ["one\nFrom the start\n>From quoted\nFrom within a paragraph\n\ntwo"]


def test_a_message_without_an_id_is_known_by_its_bytes():
    once, twice = parse(message(b"one")), parse(message(b"two"), message(b"one"))
    assert once.documents["external_id"].tolist() == twice.documents["external_id"].tolist()[1:]


ENGLISH_REPLY = "Thanks!\n\nOn Fri, Jan 2, 2026, Amy <amy@a> wrote:\n> Here it is.\n>\n> Amy\n\nBob"
CHINESE_REPLY = "谢谢！\n\n2026年1月2日，小王 <w@a> 写道：\n> 在这里。\n\n小李"
OUTLOOK_REPLY = "收到。\n\n-----原始邮件-----\n发件人：小王\n内容在此"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (ENGLISH_REPLY, "Thanks!\n\nBob"),
        (CHINESE_REPLY, "谢谢！\n\n小李"),
        (OUTLOOK_REPLY, "收到。"),
        ("A\n-- Original Message --\nB", "A"),
        ("No quote > here", "No quote > here"),
        ("> all\n> quoted", ""),
    ],
)
def test_what_is_quoted_can_be_left_out(text, kept):
    assert strip_quotes(text) == kept


def test_quotations_stay_unless_the_source_says_otherwise():
    mail = message(ENGLISH_REPLY.encode(), Content_Type="text/plain; charset=utf-8")
    assert parse(mail).documents["text"].tolist() == [ENGLISH_REPLY]
    assert parse(mail, strips_quotes=True).documents["text"].tolist() == ["Thanks!\n\nBob"]
    assert parse(message(b"> all"), strips_quotes=True).rejected["reason"].tolist() == ["missing_text"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed_mailbox"),
        ("没有信".encode(), "malformed_mailbox"),
        (mailbox(b""), "missing_text"),
        (mailbox(message(b"!!!", Content_Transfer_Encoding="base64")), "missing_text"),
        (mailbox(b"Content-Type: multipart/mixed\n\nno boundary"), "missing_text"),
        (mailbox(b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: image/png\n\nx\n--a--"), "missing_text"),
    ],
)
def test_a_mailbox_or_a_message_of_no_use_is_refused(payload, reason):
    found = parse(payload=payload)
    assert (found.documents["text"].tolist(), found.rejected["reason"].tolist()) == ([], [reason])


def test_a_message_nested_without_end_is_refused_or_read_but_never_a_crash():
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(2000))
    found = parse(nested, message(b"after"))
    assert found.documents["text"].tolist()[-1:] == ["after"]
    assert len(found.documents) + len(found.rejected) == 2


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Jan 2026 99:99:99", "Fri, 02 Jan 2026 03:04:05"])
def test_a_date_that_is_none_is_missing(date):
    times = parse(message(Date=date)).documents["published_at"]
    assert times.isna().tolist() == [not date.endswith("03:04:05")]
