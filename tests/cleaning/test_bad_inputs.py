"""Bad inputs tried on cleaning, and what each one got: the table in `docs/cleaning.md` is made of these cases.

When a case is added, `test_the_documented_table_is_this_one` fails and shows the table to put into the document.
"""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from assets.cleaning.documents import clean
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, DUPLICATE_VERSION, deduplicate
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.rules import RULES
from assets.cleaning.shingles import sketch
from assets.cleaning_settings import PERSONAL_DATA, Cleaning
from assets.schemas import RAW_DOCUMENTS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cleaning.md"
NOW = datetime(2026, 5, 4, tzinfo=UTC)
PSEUDONYMIZER = Pseudonymizer(frozenset(PERSONAL_DATA), ("CN", "US"), b"a key for tests")
SETTINGS = Cleaning(max_chars=2_000, refuse_other_languages=True)

PROSE = "The station was built in a year that nobody here remembers, and it has been closed for as long as I have lived in this town. "
STORY = (
    PROSE + "My father used to say that trains would come back with the spring, but he said it with a smile. We walked there on Sundays "
    "to look at the clock, which had stopped at ten past four, and to count the windows that were still whole."
)
HEADLINES = (
    "Mayor promises to repair the bridge before winter",
    "School opens its doors for children from abroad",
    "Nobody was hurt when a crane fell at the harbour",
    "Farmers hope for rain after a long and dry spring",
    "The old library will be sold to a hotel company",
)
CHINESE_HEADLINES = (
    "市长承诺在冬天到来之前修好横跨两岸的那座老桥并重新通车",
    "几所学校开始接收来自国外的孩子并为他们准备了语言课程",
    "港口一台起重机昨天夜里倒下所幸没有任何工人因此受伤",
    "农民在漫长干旱的春天之后盼望今年夏天能有充足的雨水",
    "老图书馆即将出售给一家酒店公司改建工程预计明年完工",
)
SEARCH_TERMS = (
    "cheap summer dresses women sale discount online shop fast delivery blue red yellow cotton silk wedding party evening beach holiday "
    "large small medium size linen sunglasses fashion brand new collection designer shoes sandals handbags perfume makeup beauty "
    "hair skin care best price offer coupon code free shipping return policy customer reviews top rated gifts birthday christmas mother"
)
CHINESE = "这座车站建于何年，如今镇上已经没有人记得了，从我出生起它就一直关着门。父亲常说火车会和春天一起回来，可他说的时候总是带着笑。"
CHINESE_STORY = CHINESE + "星期天我们走到那里去看大钟，钟停在四点十分，然后我们数一数还有几扇窗户没有破，再沿着河边慢慢地走回家去吃晚饭。"

# What was tried; the text; what it became.
REPAIRED = [
    ("UTF-8 read as Latin-1", "Our cafÃ© has been open for a very long time", "Our café has been open for a very long time"),
    ("Chinese UTF-8 read as Latin-1", "服务很好，下次还来".encode().decode("latin-1"), "服务很好，下次还来"),
    ("an entity", "Tom &amp; Jerry are back", "Tom & Jerry are back"),
    ("an entity of an entity", "Tom &amp;amp; Jerry are back", "Tom & Jerry are back"),
    ("numeric entities", "&#22909;&#x4E66;，值得一读", "好书，值得一读"),
    ("an entity without its semicolon", "See /a?x=1&copy=2 for more", "See /a?x=1&copy=2 for more"),
    ("a byte order mark", "\ufeffHello to all of you", "Hello to all of you"),
    ("zero-width spaces within words", "free\u200b mo\u200bney for all", "free money for all"),
    ("a zero-width space in Chinese", "这本\u200b书很好看", "这本书很好看"),
    ("soft hyphens", "an extra\u00adordinary book", "an extraordinary book"),
    ("text turned around by direction marks", "\u202eevil\u202c is written here", "evil is written here"),
    ("control characters", "all\x00 is\x07 well here", "all is well here"),
    ("halves of an emoji", "\ud83d\ude00 很好用的手机", "😀 很好用的手机"),
    ("half of an emoji", "very \ud83d good indeed", "very \ufffd good indeed"),
    ("accents as marks of their own", "cafe\u0301 with a view", "café with a view"),
    ("line breaks of three systems", "one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
    ("white space of many kinds", "a\u00a0\u00a0very\u2003wide \t line", "a very wide line"),
    ("ideographic spaces", "　　这本书　　很好看　", "这本书 很好看"),
    ("invisible tags after an emoji", "\U0001f600\U000e0067\U000e0062 well done all", "\U0001f600 well done all"),
    ("a family of joined emoji, which is whole", "👨\u200d👩\u200d👧 一家人都很满意", "👨\u200d👩\u200d👧 一家人都很满意"),
    ("full-width signs, which are right in Chinese", "很好！！（真的）", "很好！！（真的）"),
    ("an address of an e-mail", "Write to ann@example.com please", "Write to [EMAIL_*] please"),
    ("a mobile number in full-width digits", "电话：１３８００１３８０００，谢谢", "电话：[PHONE_*]，谢谢"),
    ("a password in an address", "see https://ann:secret@example.com/a now", "see https://[SECRET_*]@example.com/a now"),
]
# What was tried; the text; the reason for which it was refused.
REFUSED = [
    ("no text", None, "missing_text"),
    ("a missing number for a text", float("nan"), "missing_text"),
    ("an empty text", "", "missing_text"),
    ("white space of all kinds", " \t\u3000\u00a0\n", "missing_text"),
    ("invisible characters only", "\u200b\u200e\ufeff", "missing_text"),
    ("entities of spaces only", "&nbsp;&nbsp;", "missing_text"),
    ("replacement characters", "caf\ufffd \ufffd\ufffd la", "undecodable"),
    ("replacement characters in Chinese", "这本\ufffd\ufffd很好", "undecodable"),
    ("two letters", "ok", "too_short"),
    ("two Chinese characters", "京东", "too_short"),
    ("a text beyond the limit", STORY * 8, "too_long"),
    ("a Chinese text beyond the limit", CHINESE_STORY * 20, "too_long"),
    ("dots", "......", "too_few_words"),
    ("dashes", "————", "too_few_words"),
    ("emoji", "😀😀😀", "too_few_words"),
    ("mostly symbols", "a!?#$%", "too_many_symbols"),
    ("mostly Chinese symbols", "好，。、！", "too_many_symbols"),
    ("a notice of a photo service", "Just posted a photo http://t.example/a", "automatic_text"),
    ("a notice of a video service", "I liked a @YouTube video https://youtu.be/x Kitten", "automatic_text"),
    ("a notice of a place", "I'm at Central Park (in New York, NY)", "automatic_text"),
    ("a deleted message", "[deleted]", "automatic_text"),
    ("an absent colleague", "Out of office: I will be back on Monday", "automatic_text"),
    ("a review that the shop filled in", "此用户没有填写评价。", "automatic_text"),
    ("a review by default", "系统默认好评！", "automatic_text"),
    ("an answering machine", "自动回复：您好，客服稍后与您联系", "automatic_text"),
    ("a forward without words", "转发微博", "automatic_text"),
    ("a link", "https://example.com/a/b?c=d", "links_only"),
    ("links and a handle", "@amy https://example.com/a, https://example.com/b", "links_only"),
    ("a handle with Chinese separators", "@小明 、 @amy 。", "links_only"),
    ("an advertisement", "Earn $500 a day, work from home! Click here now: http://x.example", "advertising"),
    ("a Chinese advertisement", "兼职日结，日赚三百，名额有限，加微信 abc123", "advertising"),
    ("a Chinese advertisement with an address", "高仿名表，限时特价，点击链接 http://x.example", "advertising"),
    ("a cookie notice", "We use cookies.\nSee our cookie policy and privacy policy.", "boilerplate"),
    ("filler of designers", "Lorem ipsum dolor sit amet, consectetur", "boilerplate"),
    ("the foot of a Chinese page", "版权所有，未经授权禁止转载\n京ICP备12345678号\n返回首页", "boilerplate"),
    ("one word again and again", "buy " * 25, "repeated_words"),
    ("one Chinese word again and again", "一般！！" * 20, "repeated_words"),
    ("a line again and again", "Great phone, fast and light.\n" * 3 + "It came on a Monday.\nThe box was blue.", "repeated_lines"),
    ("a Chinese line again and again", "手机很好用，推荐购买。\n" * 3 + "星期一到货。\n盒子是蓝色的。", "repeated_lines"),
    ("a phrase again and again", STORY + " best price ever" * 12, "repeated_phrase"),
    ("a Chinese phrase again and again", CHINESE_STORY + "全网最低价，" * 8, "repeated_phrase"),
    ("a passage twice", f"{STORY} {STORY}", "repeated_passages"),
    ("a Chinese passage twice", CHINESE_STORY + CHINESE_STORY, "repeated_passages"),
    ("search terms", SEARCH_TERMS, "few_stop_words"),
    ("letters with spaces between them", " ".join("thequickbrownfoxjumpsoverthelazydogandthenrunsawayfromit"), "short_words"),
    ("codes", " ".join(f"{number:02}abcdefgh{number * 7919:x}" for number in range(10, 65)), "long_words"),
    ("a table of numbers", " ".join(f"{number * 7919}" for number in range(100, 160)), "few_letters"),
    (
        "a Chinese list of goods",
        "、".join(f"{a}{b}{c}" for a in "红黄蓝绿" for b in "长短宽窄圆" for c in ("衣架", "雨伞")),
        "few_stop_words",
    ),
    (
        "a list of points",
        "\n".join(f"- the part with number {word} is in the box." for word in ("one", "two", "three", "four", "five")),
        "list_of_bullets",
    ),
    ("a Chinese list of points", "\n".join(f"{number}、盒子里有第{number}号零件。" for number in range(1, 7)), "list_of_bullets"),
    ("beginnings of articles", "\n".join(f"{line}…" for line in HEADLINES), "cut_off_lines"),
    ("beginnings of Chinese articles", "\n".join(f"{line}……" for line in CHINESE_HEADLINES), "cut_off_lines"),
    ("headlines", "\n".join(HEADLINES), "unfinished_lines"),
    ("Chinese headlines", "\n".join(CHINESE_HEADLINES), "unfinished_lines"),
    ("a menu", "Home.\nNews today.\nSports.\nOur town.\nContact us.", "short_lines"),
    ("a Chinese menu", "首页。\n新闻中心。\n体育。\n关于我们。\n联系方式。", "short_lines"),
    ("another language", "Das ist eindeutig ein deutscher Satz.", "other_language"),
]
# What was tried; a text, and the one after it; the reason for which the second was refused.
FOLLOWED = [
    ("the same text", STORY, STORY, "exact_duplicate"),
    ("the same text in capitals, with other spaces", "Very  good lamp", "VERY GOOD LAMP", "exact_duplicate"),
    ("the same Chinese text", "这本书很好看", "这本书很好看", "exact_duplicate"),
    ("the same text with a word more", STORY, STORY + " Always.", "near_duplicate"),
    ("the same Chinese text with a word less", CHINESE_STORY, CHINESE_STORY.replace("慢慢地", ""), "near_duplicate"),
    ("a retweet whose link is another one", f"{PROSE}http://t.example/a", f"{PROSE}http://t.example/b", "near_duplicate"),
    ("full-width digits for others", f"２０２６，{CHINESE}", f"2026，{CHINESE}", "near_duplicate"),
]


def cleaned(*texts):
    ids = [f"d{number}" for number in range(len(texts))]
    columns = {"document_id": ids, "external_id": ids, "parent_id": ids, "text": pd.Series(texts, dtype=object)}
    frame = pd.DataFrame(columns).assign(source="shop", revision=1, raw_sha256="", locator="", collected_at=NOW, ai_training_allowed=True)
    raw = frame.reindex(columns=RAW_DOCUMENTS.column_names()).assign(
        published_at=pd.Series([pd.NaT] * len(texts), dtype="datetime64[us, UTC]")
    )
    return clean(raw, settings=SETTINGS, languages=("en", "zh"), pseudonymizer=PSEUDONYMIZER, now=NOW)


@pytest.mark.parametrize(("tried", "text", "expected"), REPAIRED, ids=[case[0] for case in REPAIRED])
def test_a_damaged_text_is_repaired_and_kept(tried, text, expected):
    (found,) = cleaned(text).kept["text"]
    before, star, after = expected.partition("*")
    assert (
        (found.startswith(before), found.endswith(after), len(found) >= len(expected)) == (True, True, True) if star else found == expected
    )


@pytest.mark.parametrize(("tried", "text", "reason"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_bad_text_is_refused_for_one_reason(tried, text, reason):
    refused = cleaned(text).rejected
    assert refused["reason"].tolist() == [reason]
    assert refused["detail"].str.fullmatch(r"expected .+, found .+").all()
    assert refused["rule_version"].tolist() == [RULES[reason].version]


@pytest.mark.parametrize(("tried", "first", "second", "reason"), FOLLOWED, ids=[case[0] for case in FOLLOWED])
def test_a_repetition_is_refused_and_names_what_it_repeats(tried, first, second, reason):
    kept = cleaned(first, second).kept
    nothing = pd.DataFrame({name: [] for name in CANDIDATE_COLUMNS})
    refused = deduplicate(kept, sketch(kept), nothing, threshold=SETTINGS.near_duplicate_similarity, now=NOW).rejected
    assert refused[["document_id", "reason", "duplicate_of", "rule_version"]].to_numpy().tolist() == [
        ["d1", reason, "d0", DUPLICATE_VERSION]
    ]


def test_every_rule_is_tried():
    assert {reason for *_, reason in REFUSED} == set(RULES)


@pytest.mark.parametrize("text", [STORY, CHINESE_STORY, PROSE, CHINESE])
def test_good_prose_passes_every_rule(text):
    assert cleaned(text).rejected.empty


def table():
    """The list of what was tried in Markdown."""
    rows = [(tried, "repaired") for tried, *_ in REPAIRED] + [(case[0], f"`{case[-1]}`") for case in (*REFUSED, *FOLLOWED)]
    return "\n".join(["| tried | got |", "| --- | --- |", *(f"| {tried} | {got} |" for tried, got in rows)])


def test_the_documented_table_is_this_one():
    assert len(REPAIRED) + len(REFUSED) + len(FOLLOWED) >= 60
    assert table() in DOCUMENT.read_text(encoding="utf-8"), f"put this table into {DOCUMENT.name}:\n{table()}"
