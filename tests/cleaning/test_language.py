import logging
import socket

import pytest

from assets.cleaning.language import Language, identify_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("This is clearly written in English, is it not?", "en"),
        ("THIS IS SHOUTED BUT STILL ENGLISH TEXT", "en"),
        ("Read https://example.com/seite/mit/viel/deutschem/text/ueber/uns/und/andere before you answer me, please", "en"),
        ("这本书真的很好看，推荐给大家", "zh"),
        ("很好", "zh"),
        ("這本書真的很好看", "zh"),
        ("屏幕不错，安装了windows xp，驱动都好用", "zh"),
        ("この本はとても面白いです", "ja"),
        ("이 책은 정말 재미있어요 漢字", "ko"),
        ("Das ist eindeutig ein deutscher Satz über das Wetter.", "de"),
        ("Visited 北京 today and it was a really wonderful experience for all of us", "en"),
    ],
)
def test_languages_are_identified(text, code):
    assert identify_language(text, min_confidence=0.4).code == code


@pytest.mark.parametrize("text", ["", "12345 !!!", "：）", "https://example.com/a/b"])
def test_a_text_without_letters_is_undetermined(text):
    assert identify_language(text, min_confidence=0.0) == Language("und", 0.0)


def test_a_guess_below_the_threshold_is_undetermined_but_keeps_its_confidence():
    trusted = identify_language("a piece of junk.", min_confidence=0.0)
    doubted = identify_language("a piece of junk.", min_confidence=0.99)
    assert trusted.code == "en"
    assert doubted == Language("und", trusted.confidence)


def test_chinese_confidence_is_the_share_of_han_with_five_letters_to_a_character():
    assert identify_language("好好好好abcde", min_confidence=0.4) == Language("zh", 0.8)


def test_identification_needs_no_network_and_says_nothing(monkeypatch, capfd, caplog):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the identifier opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with caplog.at_level(logging.DEBUG):
        identify_language("An English sentence, long enough to be cut. " * 50, min_confidence=0.4)
        identify_language("第一行\n第二行 with a line break", min_confidence=0.4)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
