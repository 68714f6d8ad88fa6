"""Outliers: by what can be counted, by meaning, on the graph and in the queue."""

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.cleaning.outliers import EXPLANATIONS, outlier_table, to_outliers, unlike_in_meaning
from assets.schemas import OUTLIER_MEASURES

WORDS = ("lamp", "cable", "phone", "screen", "battery", "charger", "keyboard", "camera")
CHINESE = ("台灯", "数据线", "手机", "屏幕", "电池", "充电器", "键盘", "相机")


def ordinary(number):
    word, other = WORDS[number % 8], WORDS[number // 8 % 8]
    return f"The {word} came on day {number} and works well, the {other} too. " + "I like it. " * (number % 3)


def ordinary_chinese(number):
    return f"{CHINESE[number % 8]}第{number}天到货，用起来很好，{CHINESE[number // 8 % 8]}也不错。" + "我很喜欢。" * (number % 3)


ODD = {
    "length": ("The lamp works well. " * 300, "手机用起来很好。" * 300),
    "entropy": ("The lamp is g" + "o" * 70 + "d", "手机很好用，好好好好好好好好好好好好好好好好好好好"),
    "digits": ("The lamp 123123 456456 789789 12 34 56", "手机型号一二三 123456789 987654321 13579"),
    "addresses": ("See http://lamp.example/a/very/long/address/with/parts", "网址 http://phone.example/a/very/long/address/with/parts"),
    "unknown_words": ("Zorblatt quixle frumious bandersnatch slithy tove", "魑魅魍魉饕餮貔貅麒麟凤凰"),
}


@pytest.mark.slow
def test_texts_unlike_the_others_of_their_source_are_flagged_with_a_reason_and_asked_about(platform, files_source, project_of):
    rules = {"skip_rules": ["few_stop_words", "repeated_words", "repeated_phrase", "repeated_passages"], "max_chars": 20_000}
    sources = []
    for place, make in enumerate((ordinary, ordinary_chinese)):
        records = [{"id": f"o{number}", "text": make(number)} for number in range(60)]
        records += [{"id": measure, "text": texts[place]} for measure, texts in ODD.items()]
        sources.append(files_source(f"shop{place}", records))
    platform.configure(project_of(sources, cleaning=rules, labeling={"queue_mix": {"outlier": 1.0}, "queue_budget": 50}))
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows("labeling_queue", "strategy") == []
    assert platform.run("issues").failed_steps == {}
    found = platform.rows("text_outliers JOIN clean_documents USING (document_id, source)", "source", "external_id", "measure")
    for measure in ODD:
        assert {source for source, external_id, by in found if (external_id, by) == (measure, measure)} == {"shop0", "shop1"}, measure
    assert [row for row in found if row[1].startswith("o")] == []
    queue = platform.rows("labeling_queue JOIN clean_documents USING (document_id)", "external_id", "strategy")
    assert set(queue) == {(measure, "outlier") for measure in ODD}
    metadata = platform.instance.get_latest_materialization_event(dg.AssetKey("text_outliers")).asset_materialization.metadata
    assert "of the characters are in addresses; typical of its source is 0%" in metadata["farthest"].md_str
    assert len(platform.rows("clean_documents", "document_id")) == 130


def embedded(count, sources=("shop",), seed=1):
    vectors = np.random.default_rng(seed).normal(0, 0.1, (count, 8)) + np.eye(8)[0]
    return pd.DataFrame(
        {
            "document_id": [f"d{number:03}" for number in range(count)],
            "source": [sources[number % len(sources)] for number in range(count)],
            "embedding": list(vectors),
        }
    )


def test_a_text_about_something_else_is_unlike_in_meaning():
    documents = embedded(200)
    strange = pd.DataFrame(
        {"document_id": ["odd", "odder"], "source": "shop", "embedding": [np.eye(8)[3] + np.eye(8)[0] * 0.5, -np.eye(8)[0]]}
    )
    found = unlike_in_meaning(documents, [documents, strange], 6.0, 10)
    assert found["document_id"].tolist() == ["odder", "odd"]
    assert found["measure"].tolist() == ["meaning", "meaning"]
    assert found["value"].iloc[0] == pytest.approx(2, abs=0.1)
    assert unlike_in_meaning(documents, [documents, strange], 6.0, 1)["document_id"].tolist() == ["odder"]
    outliers = to_outliers(found)
    assert outliers["explanation"].iloc[0].startswith("its nearest texts are 1.9")
    assert "| odder | shop | meaning |" in outlier_table(outliers)


def test_a_document_is_not_its_own_neighbour():
    documents = pd.concat([embedded(60), pd.DataFrame({"document_id": ["alone"], "source": "shop", "embedding": [np.eye(8)[5]]})])
    assert unlike_in_meaning(documents.reset_index(drop=True), [documents.tail(1)], 6.0, 10)["document_id"].tolist() == ["alone"]


@pytest.mark.parametrize("documents", [embedded(29), embedded(58, ("a", "b"))])
def test_of_few_documents_nobody_can_say_what_is_typical(documents):
    strange = pd.DataFrame({"document_id": ["odd"], "source": documents["source"].iloc[0], "embedding": [-np.eye(8)[0]]})
    assert unlike_in_meaning(documents, [strange], 6.0, 10).empty


def test_every_measure_can_be_explained():
    assert set(EXPLANATIONS) == set(OUTLIER_MEASURES)
    assert EXPLANATIONS["length"](np.log(1200), np.log(80)) == "1,200 characters; typical of its source are 80"
