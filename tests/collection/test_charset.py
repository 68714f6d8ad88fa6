"""Bytes come out as the text that was meant, whatever the header says."""

import codecs

import pytest

from assets.collection.charset import Decoded, decode, decode_lines, known_charset, plausibility, storable_text

CHINESE = [
    "你好",
    "价格：100元",
    "5G手机",
    "A股今天大涨",
    "今天天气很好。",
    "服务态度差",
    "Hello世界",
    "物流很快，包装完好",
    "繁體中文測試",
    "好",
    "垃圾",
]
WESTERN = [
    "café",
    "naïve",
    "Müller",
    "Größe",
    "ação",
    "¿Qué?",
    "25°C",
    "€50",
    "“quoted”",
    "it’s",
    "© 2020",
    "smörgåsbord",
    "L’été à la plage",
    "GRÜSSE",
    "fiancée",
]


@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1", "gb2312", "GBK", "nonsense"])
@pytest.mark.parametrize("text", CHINESE)
def test_gbk_bytes_come_out_right_whatever_is_declared(text, declared):
    assert decode(text.encode("gbk"), declared, "text/html") == Decoded(text, "gb18030", is_repaired=False)


@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1", "windows-1252", "ascii"])
@pytest.mark.parametrize("text", WESTERN)
def test_western_bytes_come_out_right_whatever_is_declared(text, declared):
    assert decode(text.encode("cp1252"), declared, "text/plain") == Decoded(text, "cp1252", is_repaired=False)


@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1", "gbk", "big5", "shift_jis"])
@pytest.mark.parametrize("text", ["你好，世界", "服务态度差", "繁體中文測試", "smörgåsbord – résumé", "😀 fine", "这个产品真不错"])
def test_utf_8_comes_out_right_whatever_is_declared(text, declared):
    assert decode(text.encode(), declared, "text/plain") == Decoded(text, "utf-8", is_repaired=False)


def test_characters_of_four_bytes_are_read_as_gb18030():
    text = "生僻字𠮷和㐀也要读对"
    assert decode(text.encode("gb18030"), "gb2312", "text/html") == Decoded(text, "gb18030", is_repaired=False)


@pytest.mark.parametrize(
    ("text", "charset", "declared"),
    [
        ("繁體中文測試", "big5", "big5"),
        ("臺灣很好", "big5", "Big5"),
        ("こんにちは世界", "shift_jis", "Shift_JIS"),
        ("日本語です", "euc_jp", "euc-jp"),
        ("日本語", "iso2022_jp", "iso-2022-jp"),
        ("한국어 문장", "euc_kr", "euc-kr"),
        ("Привет мир", "koi8-r", "koi8-r"),
        ("Привет", "cp1251", "windows-1251"),
        ("中文 text", "utf-16-le", "utf-16le"),
    ],
)
def test_a_right_declaration_is_followed(text, charset, declared):
    decoded = decode(text.encode(charset), declared, "text/plain")
    assert (decoded.text, decoded.is_repaired) == (text, False)


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides_and_is_dropped(charset):
    assert decode("中文 and text".encode(charset), "gbk", "text/plain").text == "中文 and text"


@pytest.mark.parametrize(
    "head",
    [
        b'<meta charset="gb2312">',
        b"<META http-equiv=Content-Type content='text/html; charset=GBK'>",
        b'<?xml version="1.0" encoding="gb18030"?>',
    ],
)
def test_a_page_may_declare_its_own_charset(head):
    decoded = decode(head + "<p>喆</p>".encode("gb18030"), None, "text/html")
    assert decoded.text.endswith("<p>喆</p>")


@pytest.mark.parametrize(
    ("payload", "declared", "expected"),
    [
        ("这是一个很好的产品".encode()[:-1], None, Decoded("这是一个很好的产\ufffd", "utf-8", is_repaired=True)),
        (b"caf\xc3\xa9 and \xff na\xc3\xafve", "utf-8", Decoded("café and \ufffd naïve", "utf-8", is_repaired=True)),
        ("这是一个很好的产品".encode("gbk")[:-1], "gbk", Decoded("这是一个很好的产\ufffd", "gb18030", is_repaired=True)),
        (b"cr\x81me caf\xe9", None, Decoded("cr\ufffdme café", "cp1252", is_repaired=True)),
    ],
)
def test_broken_bytes_become_replacement_characters_and_are_flagged(payload, declared, expected):
    assert decode(payload, declared, "text/plain") == expected


@pytest.mark.parametrize("payload", [b"", b"plain"])
def test_ascii_needs_no_guess(payload):
    assert decode(payload, "gbk", "text/plain") == Decoded(payload.decode(), "utf-8", is_repaired=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, None),
        ("", None),
        ("utf8", "utf-8"),
        ('"GB2312"', "gb18030"),
        ("latin1", "cp1252"),
        ("hex", None),
        ("rot13", None),
        ("unicode_escape", None),
        ("idna", None),
        ("utf-7", None),
        ("x\x00y", None),
    ],
)
def test_only_charsets_of_text_are_known(name, expected):
    assert known_charset(name) == expected


def test_sound_text_is_more_plausible_than_the_same_text_decoded_wrongly():
    assert plausibility("ascii only") == 0
    assert plausibility("你好") == 1
    assert plausibility("naïve") == 1
    assert plausibility("你好".encode("gbk").decode("latin-1")) < 0
    assert plausibility("\ufffd") == -3


def test_a_late_first_character_beyond_ascii_still_decides():
    text = "plain line\n" * 50_000 + "你好"
    assert decode(text.encode("gbk"), None, "application/x-ndjson").text == text


@pytest.mark.parametrize(
    ("text", "expected"), [("\ud83d\ude00", "😀"), ("a\ud83d", "a\ufffd"), ("a\0\0b", "a\ufffd\ufffdb"), ("中文", "中文"), ("", "")]
)
def test_what_no_table_can_hold_is_joined_or_replaced(text, expected):
    assert storable_text(text) == expected


@pytest.mark.parametrize("declared", [None, "utf-8", "hz-gb-2312", "HZ", "gb2312", "iso-8859-1"])
@pytest.mark.parametrize("text", ["这家酒店的服务很好", "Re: 你好 and ~50% off", "价格：100元\n第二行"])
def test_hz_comes_out_right_whatever_is_declared(text, declared):
    assert decode(text.encode("hz"), declared, "text/plain") == Decoded(text, "hz", is_repaired=False)


@pytest.mark.parametrize("text", ["a ~{ b", "~{!!~}", "if (x) ~{y~} z", "~~ and ~{", "cost ~100 ~{abc", "~{QQ~} ~{zz~}"])
def test_tildes_and_braces_in_plain_text_are_left_alone(text):
    assert decode(text.encode(), None, "text/plain") == Decoded(text, "utf-8", is_repaired=False)


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["plain English text", "这家酒店 is good, 5 of 5", "naïve café", "a"])
def test_utf_16_without_a_mark_is_known_by_its_zeros(text, charset):
    assert decode(text.encode(charset), None, "text/plain") == Decoded(text, charset, is_repaired=False)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"text\x00with a zero", b"\x00\x00\x00\x00", "你好".encode() + b"\x00"])
def test_stray_zeros_make_no_utf_16(payload):
    assert decode(payload, None, "text/plain").charset in ("utf-8", "cp1252", "gb18030")


MIXED = [
    "服务态度很好，推荐",
    "服务态度差",
    "plain English",
    "",
    "naïve café – résumé",
    "这个产品真不错 very good",
    "联通的信号不好",
    "😀 好",
]


def mixed(*charsets):
    """Lines of records in turn in some charsets; what one cannot say is said in UTF-8."""
    lines = []
    for number, text in enumerate(MIXED * 3):
        try:
            lines.append(text.encode(charsets[number % len(charsets)]))
        except UnicodeEncodeError:
            lines.append(text.encode())
    return b"\n".join(lines)


@pytest.mark.parametrize("declared", [None, "utf-8", "gbk"])
@pytest.mark.parametrize(
    "charsets", [["utf-8"], ["gb18030"], ["utf-8", "gb18030"], ["gb18030", "gb18030", "utf-8"], ["utf-8"] * 6 + ["gb18030"]]
)
def test_lines_of_several_charsets_come_out_right_each(charsets, declared):
    assert decode_lines(mixed(*charsets), declared, "application/jsonl").split("\n") == MIXED * 3


def test_western_lines_among_those_in_utf_8_come_out_right():
    lines = ["smörgåsbord", "déjà vu", "¿qué tal?", "plain"]
    payload = b"\n".join(line.encode("cp1252" if number % 3 == 1 else "utf-8") for number, line in enumerate(lines * 4))
    assert decode_lines(payload, None, "text/csv").split("\n") == lines * 4


@pytest.mark.parametrize("charset", ["utf-16", "utf-8-sig", "utf-16-le", "big5", "cp932"])
def test_lines_of_one_other_charset_are_decoded_as_a_whole(charset):
    text = "臺灣的天氣很好\n今天很好吃" if charset != "cp932" else "とても良いホテルでした\nサービスが悪い"
    text = f"a line with plain English words in it, to begin with\n{text}"
    declared = charset if charset in ("big5", "cp932") else None
    assert decode_lines(text.encode(charset), declared, "application/jsonl") == text


def test_a_mark_before_lines_of_several_charsets_is_dropped():
    assert decode_lines(codecs.BOM_UTF8 + "好\n".encode() + "很好的酒店".encode("gbk"), None, "text/csv") == "好\n很好的酒店"


def test_a_line_that_could_be_anything_is_read_as_the_others():
    lines = ["服务态度很好", "猫", "这家酒店不错"]  # 猫 in GBK is è in UTF-8
    for charset in ("gb18030", "utf-8"):
        assert decode_lines("\n".join(lines).encode(charset), None, "text/csv").split("\n") == lines
