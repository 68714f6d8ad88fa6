"""Suites as Dagster checks: their names, what they block, what they say about partitions, and that they quote no data."""

import dagster as dg
import pytest

from assets.quality.checks import build_checks
from assets.quality.suites import expect_fact, expect_rows, suite
from resources.increments import increment

NO_MAIL = expect_rows("no_mail", "No note holds an address.", "column_values_to_not_match_regex", column="text", regex="@")
SHORT = expect_rows("short", "Notes are short.", "column_value_lengths_to_be_between", severity="WARN", column="text", max_value=9)
PRIVATE = ("someone@example.com", "某人@example.cn")
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def suites(audited):
    return [suite(audited.notes, NO_MAIL, SHORT), suite(audited.refused)]


def failed(evaluations) -> dict[str, dg.AssetCheckSeverity]:
    return {name: evaluation.severity for name, evaluation in evaluations.items() if not evaluation.passed}


def test_there_is_one_check_per_expectation_and_errors_block(suites):
    specs = {spec.name: spec for spec in build_checks("notes", suites, ["notes"]).check_specs}
    expected = {expectation.name for expectation in suites[0].expectations}
    assert set(specs) == expected | {f"refused__{expectation.name}" for expectation in suites[1].expectations}
    assert {name for name, spec in specs.items() if not spec.blocking} == {"short"}
    assert {spec.asset_key.to_user_string() for spec in specs.values()} == {"notes"}
    assert specs["no_mail"].description == "No note holds an address."


def test_tables_that_are_assets_carry_their_own_checks(suites):
    specs = build_checks("notes", suites, ["notes", "refused"]).check_specs
    assert {spec.name for spec in specs if spec.asset_key.to_user_string() == "refused"} == {e.name for e in suites[1].expectations}


def test_good_rows_pass_every_check_and_are_published(audited, suites):
    audited.stage(["fine", "很好"], "r1")
    evaluations = audited.check(suites)
    assert (len(evaluations), failed(evaluations), audited.states()) == (12, {}, {"": "approved"})
    assert {evaluation.metadata["increments"].value for evaluation in evaluations.values()} == {1}


def test_a_broken_promise_blocks_rejects_and_publishes_no_value_of_the_data(audited, suites):
    audited.stage([*PRIVATE, "fine"], "r1")
    evaluations = audited.check(suites)
    assert (failed(evaluations), audited.states()) == ({"no_mail": ERROR, "short": WARN}, {"": "rejected"})
    assert evaluations["no_mail"].metadata["unexpected_count"].value == 2.0
    assert evaluations["no_mail"].metadata["verdict"].value == "No note holds an address. This does not hold."
    assert not [value for value in PRIVATE if value in repr(evaluations)]
    assert "example" not in repr(evaluations)


def test_a_warning_neither_blocks_nor_rejects(audited, suites):
    audited.stage(["a rather long note", "短"], "r1")
    assert (failed(audited.check(suites)), audited.states()) == ({"short": WARN}, {"": "approved"})


def test_an_expectation_that_cannot_run_rejects_and_says_why_without_data(audited):
    broken = expect_rows("broken", "Notes are large.", "column_values_to_be_between", column="text", min_value=1)
    absent = expect_fact("absent", "People agree.", "agreement", minimum=0)
    audited.stage([*PRIVATE], "r1")
    evaluations = audited.check([suite(audited.notes, broken, absent), suite(audited.refused)])
    assert (failed(evaluations), audited.states()) == ({"broken": ERROR, "absent": ERROR}, {"": "rejected"})
    assert evaluations["absent"].metadata["verdict"].value == "could not be run: expected columns ['agreement'], missing ['agreement']"
    assert evaluations["broken"].metadata["verdict"].value.startswith("could not be run on columns ['text']: ")
    assert "example" not in repr(evaluations)


def test_one_rejected_partition_is_a_warning_so_that_the_others_go_on(audited, suites):
    audited.stage(["fine"], "r1", "good")
    audited.stage([PRIVATE[1]], "r1", "bad")
    evaluations = audited.check(suites)
    assert failed(evaluations) == {"no_mail": WARN, "short": WARN}
    assert audited.states() == {"good": "approved", "bad": "rejected"}
    assert evaluations["no_mail"].metadata["bad: unexpected_count"].value == 1.0
    assert audited.lakehouse.read("SELECT text FROM notes")["text"].tolist() == ["fine"]


def test_partitions_that_are_all_rejected_block(audited, suites):
    audited.stage([PRIVATE[0]], "r1", "p1")
    audited.stage([PRIVATE[1]], "r1", "p2")
    assert failed(audited.check(suites))["no_mail"] == ERROR
    assert audited.states() == {"p1": "rejected", "p2": "rejected"}


def test_nothing_new_fails_until_something_was_approved_and_passes_then(audited, suites):
    evaluations = audited.check(suites)
    assert (len(evaluations), set(failed(evaluations).values())) == (12, {ERROR})
    assert evaluations["no_mail"].description == (
        "Expected an approved increment of notes, found that none was ever approved: there was nothing to read yet "
        "(do its paths and addresses name something?), or what was read was rejected."
    )
    audited.stage(["fine"], "r1")
    audited.check(suites)
    evaluations = audited.check(suites)
    assert (len(evaluations), failed(evaluations)) == (12, {})
    assert evaluations["no_mail"].description == "Nothing new to audit; the last verdict stands."


def test_asking_again_after_a_rejection_does_not_turn_the_checks_green(audited, suites):
    audited.stage(["fine"], "r1")
    audited.check(suites)
    audited.stage([PRIVATE[0]], "r2")
    audited.check(suites)
    evaluations = audited.check(suites)
    assert set(failed(evaluations).values()) == {WARN}
    assert evaluations["no_mail"].description.startswith("Expected the newest increment to be approved, found it rejected.")


def test_a_run_whose_increment_was_replaced_fails(audited, suites):
    run_id = "5f6f1d2e-7a51-4c3c-9b8f-0d4e6a1b2c3d"
    audited.stage(["fine"], run_id)
    audited.stage(["fine"], "r2")
    audited.check(suites)
    evaluations = audited.check(suites, run_id)
    assert (len(failed(evaluations)), set(failed(evaluations).values())) == (12, {ERROR})
    assert evaluations["no_mail"].description.endswith("found that it was rejected or that another run replaced it. Materialize again.")


def test_rows_are_validated_chunk_by_chunk_to_the_last(audited, suites, monkeypatch):
    original = audited.lakehouse.staged_rows
    monkeypatch.setattr(audited.lakehouse, "staged_rows", lambda *arguments: original(*arguments, chunk_rows=2))
    audited.stage(["a", "b", "c", "四", PRIVATE[1], "f", PRIVATE[0]], "r1")
    assert audited.check(suites)["no_mail"].metadata["unexpected_count"].value == 2.0


def test_tables_of_one_producer_are_approved_or_rejected_together(audited):
    with increment(audited.lakehouse, "notes", run_id="r1", code_version="1") as step:
        for table, text in (("notes", "fine"), ("refused", PRIVATE[0])):
            step.write(table, audited.lakehouse.read(f"SELECT 'k' AS key, '{text}' AS text"))
        step.count(rows_in=1, rows_out=1)
    evaluations = audited.check([suite(audited.notes), suite(audited.refused, NO_MAIL)])
    assert failed(evaluations) == {"refused__no_mail": ERROR}
    assert audited.lakehouse.read("SELECT count(*) AS n FROM notes")["n"].item() == 0
