import json

import pandas as pd
import pytest
import yaml

from assets.project import Task
from assets.training.gate.behaviours import BehaviourFileError, Case, case_id, judge_cases, make_cases, original_id, read_cases, texts_of
from assets.training.gate.edits import CHINESE_NAMES, ENGLISH_NAMES
from assets.training_settings import Promotion

POLAR = Task(labels=("负面", "中性", "正面"), positive_label="正面", negative_label="负面")
TOPICS = Task(labels=("sports", "money"), kind="multi_label_classification")
NER = Task(labels=("PERSON",), kind="token_classification")
TEST = pd.DataFrame({"document_id": ["d1", "d2"], "text": ["The film is great, Peter says.", "电影不好看，王伟说。"]})


def cases_of(task, **settings):
    return make_cases(Promotion(**settings), task, ["en", "zh"], TEST, 1)


def answer(cases, task, label_of, valence_of=lambda text: 0.0):
    """A model as two functions of the text."""
    texts = texts_of(cases)
    scored = texts.assign(label=texts["text"].map(label_of), valence=texts["text"].map(valence_of))
    return {result.suite: result for result in judge_cases(cases, scored, task)}


def test_a_constant_model_keeps_its_answers_and_fails_only_what_it_must_know():
    cases = cases_of(POLAR)
    found = answer(cases, POLAR, lambda text: "正面")
    assert {name: result.pass_rate for name, result in found.items() if name != "negation"} == dict.fromkeys(
        ("typos", "names", "emoji", "punctuation", "casing", "whitespace"), 1.0
    )
    assert found["negation"].pass_rate == pytest.approx(1 / 3)


def test_a_model_that_looks_at_every_character_fails():
    cases = cases_of(POLAR)
    found = answer(cases, POLAR, lambda text: POLAR.labels[sum(map(ord, text)) % 3])
    assert all(found[name].pass_rate < 0.7 for name in ("names", "punctuation"))
    assert found["names"].examples
    assert not [example for example in found["names"].examples if " " in example or "说" in example]


def test_an_angry_emoji_must_not_raise_the_valence_nor_a_friendly_one_lower_it():
    cases = cases_of(POLAR, behaviours=("emoji",), min_behaviour_pass_rate={})
    right = answer(cases, POLAR, lambda text: "中性", lambda text: 0.5 * ("😊" in text) - 0.5 * ("😡" in text))
    wrong = answer(cases, POLAR, lambda text: "中性", lambda text: 0.5 * ("😡" in text))
    unknown = answer(cases, POLAR, lambda text: "中性", lambda text: float("nan"))
    assert (right["emoji"].pass_rate, wrong["emoji"].pass_rate, unknown["emoji"].pass_rate) == (1.0, 0.5, 0.0)


def test_negated_praise_is_not_positive_and_negated_blame_not_negative():
    def understands(text):
        return "中性" if any(word in text for word in ("not", "n't", "Nobody", "不", "没有")) else "正面"

    cases = cases_of(POLAR, behaviours=("negation",), min_behaviour_pass_rate={})
    assert answer(cases, POLAR, understands)["negation"].failures == 0
    assert {case.name[:2] for case in cases} == {"en", "zh"}


@pytest.mark.parametrize(
    ("task", "suites"),
    [
        (POLAR, {"typos", "names", "emoji", "punctuation", "casing", "whitespace", "negation"}),
        (TOPICS, {"typos", "names", "emoji", "punctuation", "casing", "whitespace"}),
        (NER, {"typos", "names", "emoji", "punctuation", "whitespace"}),
        (
            Task(labels=("works_for", "none"), kind="relation_extraction"),
            {"typos", "names", "emoji", "punctuation", "casing", "whitespace"},
        ),
        (Task(labels=("answer",), kind="question_answering"), {"typos", "names", "emoji", "punctuation", "whitespace"}),
    ],
    ids=["polarity", "many labels", "spans", "relations", "questions"],
)
def test_every_kind_of_task_has_the_tests_that_suit_it(task, suites):
    cases = cases_of(task)
    assert {case.suite for case in cases} == suites
    markers = {"relation_extraction": "[E1]", "question_answering": "[Q]"}.get(task.kind, "")
    assert all(markers in case.text for case in cases if "template" in case.name)


def test_spans_are_expected_where_the_edit_moved_them():
    def find_names(text):
        names = (*ENGLISH_NAMES, *CHINESE_NAMES)
        found = sorted((text.index(name), text.index(name) + len(name)) for name in names if name in text)
        return json.dumps([{"start": start, "end": end, "label": "PERSON"} for start, end in found], separators=(",", ":"))

    cases = cases_of(NER, behaviours=("names", "emoji", "punctuation", "whitespace"), min_behaviour_pass_rate={})
    assert {name: result.failures for name, result in answer(cases, NER, find_names).items()} == {
        "names": 0,
        "emoji": 0,
        "punctuation": 0,
        "whitespace": 0,
    }
    blind = answer(cases, NER, lambda text: '[{"start":0,"end":3,"label":"PERSON"}]')
    assert blind["names"].failures > 0


def test_a_text_without_an_answer_fails_its_case():
    cases = cases_of(POLAR, behaviours=("whitespace",), min_behaviour_pass_rate={})
    texts = texts_of(cases).assign(label="正面", valence=0.0)
    (gone,) = judge_cases(cases, texts[texts["document_id"] != case_id(cases[0])], POLAR)
    (original_gone,) = judge_cases(cases, texts[texts["document_id"] != original_id(cases[0])], POLAR)
    (empty,) = judge_cases(cases, texts.assign(label=None), POLAR)
    assert (gone.failures, original_gone.failures, empty.pass_rate) == (1, 1, 0.0)


def test_cases_are_the_same_for_the_same_seed_and_as_many_as_asked_for():
    assert cases_of(POLAR) == cases_of(POLAR)
    few = cases_of(POLAR, behaviour_cases=1, behaviours=("whitespace",), min_behaviour_pass_rate={})
    assert len([case for case in few if not case.name.startswith("template")]) == 1


def test_originals_are_scored_once():
    texts = texts_of(cases_of(POLAR))
    assert texts["document_id"].is_unique
    assert len(texts[texts["text"] == TEST["text"][0]]) == 1


RECORDS = [
    {"suite": "refunds", "text": "I want my money back", "answer": "负面"},
    {"suite": "refunds", "text": "我要退款", "answers": ["负面", "中性"]},
    {"suite": "synonyms", "text": "The movie is great", "same_as": "The film is great"},
]


@pytest.mark.parametrize("name", ["own.yaml", "own.jsonl"])
def test_cases_of_ones_own_come_from_yaml_or_jsonl(tmp_path, name):
    path = tmp_path / name
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)
    path.write_text(lines if name.endswith("jsonl") else yaml.safe_dump(RECORDS, allow_unicode=True), encoding="utf-8")
    cases = read_cases(path, POLAR)
    assert cases[1] == Case("refunds", "case-2", "我要退款", "one_of", answers=("负面", "中性"))
    found = answer(cases, POLAR, lambda text: "负面" if "back" in text or "movie" in text else "正面")
    assert {suite: result.failures for suite, result in found.items()} == {"refunds": 1, "synonyms": 1}


def test_spans_and_label_lists_may_be_written_as_lists(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("- {suite: a, text: 王伟来了, answer: [{start: 0, end: 2, label: PERSON}]}", encoding="utf-8")
    assert read_cases(path, NER)[0].answers == ('[{"start":0,"end":2,"label":"PERSON"}]',)
    path.write_text("- {suite: a, text: 涨了, answer: [money, sports]}", encoding="utf-8")
    assert read_cases(path, TOPICS)[0].answers == ('["sports","money"]',)


@pytest.mark.parametrize(
    ("content", "task", "message"),
    [
        ("[", POLAR, "expected behavioural cases in YAML or JSONL"),
        ("a: 1", POLAR, "expected a list of behavioural cases, found dict"),
        ("[]", POLAR, "expected a list of behavioural cases, found list with none"),
        ("- {suite: a, text: b}", POLAR, "case 1: expected suite, text and one of answer, answers, same_as, found keys"),
        ("- {suite: a, text: b, answer: 正面, same_as: c}", POLAR, "case 1: expected suite, text and one of"),
        ("- {suite: a, text: b, answer: 正面, expcet: 1}", POLAR, "case 1: expected suite, text and one of"),
        ("- {suite: a, text: b, answer: 好}", POLAR, "case 1: expected labels out of"),
        ("- {suite: a, text: b, same_as: c}", NER, "case 1: expected answer, not same_as"),
    ],
)
def test_a_file_of_cases_that_is_wrong_says_where(tmp_path, content, task, message):
    path = tmp_path / "own.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BehaviourFileError, match=message):
        read_cases(path, task)


def test_a_missing_file_of_cases_is_an_error(tmp_path):
    with pytest.raises(BehaviourFileError, match=r"none\.jsonl: expected behavioural cases in YAML or JSONL \(UTF-8\), found FileNotFound"):
        read_cases(tmp_path / "none.jsonl", POLAR)
