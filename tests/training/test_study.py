"""Learning curve and ablation: which rows are trained on, what is measured, and searches and studies in the graph."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from assets.answers import Span, encode_spans
from assets.pictures import embed
from assets.project import Project, Task
from assets.training.jobs import Cell, read_study_job
from assets.training.studies import study_run
from assets.training.studies.ablation import Removals, ablate_votes, answer_of, describe_ablation, hash_of_votes, vote_shares
from assets.training.studies.study import (
    StudyError,
    ablation_cells,
    curve_cells,
    describe_curve,
    describe_projection,
    fit_power_law,
    identify_study,
    project_onwards,
)
from assets.training.studies.study_figures import draw_ablation, draw_learning_curve
from assets.training.studies.study_results import ablation_rows, curve_rows
from assets.training.studies.study_run import pick_documents, replace_labels, run_study
from assets.training_settings import Studies
from dagster_project.runs import summarize

REPOSITORY = Path(__file__).resolve().parents[2]
CHINESE = Task(labels=("差评", "好评"))


@pytest.fixture
def project(task, recipe):
    sources = [{"kind": "files", "name": "shop", "path": "/data/*.jsonl"}]
    content = {"name": "test", "languages": ["en", "zh"], "sources": sources, "task": task.model_dump(), "training": recipe.model_dump()}
    studies = Studies(shares=(0.3, 1.0), few_shot_rows=(8,), epochs=1, bootstrap_samples=100)
    return Project.model_validate(content | {"studies": studies.model_dump()})


def votes_of(*rows):
    found = pd.DataFrame(rows, columns=["document_id", "annotator_id", "label"])
    return found.assign(voter_kind=["rule" if name.startswith("rule:") else "human" for name in found["annotator_id"]])


def train_of(votes, task, ids, weight=0.5):
    shares = vote_shares(pd.Series(ids), votes, task, weight)
    return pd.DataFrame({"document_id": ids, "label": [answer_of(row, task) for row in shares], "distribution": list(shares)})


VOTES = votes_of(
    ("a", "ann", "好评"),
    ("a", "rule:emoji", "差评"),
    ("b", "rule:emoji", "好评"),
    ("b", "rule:words", "好评"),
    ("c", "rule:emoji", "差评"),
    ("d", "ann", "差评"),
)


def test_leaving_out_a_labeling_function_changes_shares_labels_and_rows():
    removals = ablate_votes(train_of(VOTES, CHINESE, ["a", "b", "c", "d"]), VOTES, CHINESE, 0.5)
    emoji, words = removals.changed["rule:emoji"], removals.changed["rule:words"]
    assert emoji["document_id"].tolist() == ["a", "c"]
    assert emoji["label"].tolist() == ["好评", None]
    assert emoji["distribution"].iloc[0].tolist() == [0.0, 1.0]
    assert words.empty
    assert removals.stale_rows == 0


def test_rows_whose_votes_changed_since_the_freeze_keep_their_labels():
    train = train_of(VOTES, CHINESE, ["a", "b", "c", "d"])
    later = pd.concat([VOTES, votes_of(("a", "bob", "差评"))])
    removals = ablate_votes(train, later, CHINESE, 0.5)
    assert removals.stale_rows == 1
    assert removals.changed["rule:emoji"]["document_id"].tolist() == ["c"]
    assert hash_of_votes(later) != hash_of_votes(VOTES)


def test_sets_of_labels_keep_what_more_than_half_of_the_rest_chose():
    task = Task(kind="multi_label_classification", labels=("价格", "质量"))
    votes = votes_of(("a", "ann", '["价格"]'), ("a", "bob", '["价格","质量"]'), ("a", "rule:words", '["质量"]'))
    removals = ablate_votes(train_of(votes, task, ["a"], 1.0), votes, task, 1.0)
    changed = removals.changed["rule:words"]
    assert json.loads(changed["label"].item()) == ["价格"]
    assert changed["distribution"].item().tolist() == [1.0, 0.5]


def test_spans_that_one_function_alone_found_go_and_others_stay():
    task = Task(kind="token_classification", labels=("人名", "日期"))
    name, date = Span(0, 2, "人名"), Span(5, 7, "日期")
    votes = votes_of(
        ("a", "rule:names", encode_spans([name])), ("a", "rule:dates", encode_spans([date])), ("a", "ann", encode_spans([name]))
    )
    train = pd.DataFrame({"document_id": ["a"], "label": [encode_spans([name, date])], "distribution": [[1.0, 0.5]]})
    removals = ablate_votes(train, votes, task, 1.0)
    assert removals.changed["rule:names"].empty
    assert removals.changed["rule:dates"].to_dict("records") == [{"document_id": "a", "label": encode_spans([name]), "distribution": [1.0]}]


def test_shares_lie_within_each_other_and_heads_take_the_rows_asked_for(documents):
    train = documents(100, 1)
    small, large = (pick_documents(train, Cell(key="k", name="n", seed=1, share=share)) for share in (0.2, 0.6))
    assert set(small.index) < set(large.index)
    few, same, other = (pick_documents(train, Cell(key="k", name="n", seed=seed, rows=10)) for seed in (1, 1, 2))
    assert len(few) == 10
    assert few.index.tolist() == same.index.tolist()
    assert few.index.tolist() != other.index.tolist()
    assert set(pick_documents(train, Cell(key="k", name="n", seed=1, without_source="movies"))["source"]) == {"tweets"}


def test_labels_are_replaced_and_rows_without_one_left_out(documents):
    train = documents(4, 1).drop(columns="split")
    changed = pd.DataFrame(
        {"document_id": ["train-2", "train-0"], "label": [None, "negative"], "distribution": [[np.nan] * 3, [1.0, 0.0, 0.0]]}
    )
    found = replace_labels(train, changed)
    assert found.index.tolist() == [0, 1, 3]
    assert found.loc[0, "label"] == "negative"
    assert found.loc[0, "distribution"] == [1.0, 0.0, 0.0]
    assert found.loc[1, "label"] == train.loc[1, "label"]


def test_cells_are_named_by_what_decides_their_result(project):
    first, again = curve_cells(project, "d1", 100), curve_cells(project, "d1", 100)
    assert [cell.key for cell in first] == [cell.key for cell in again]
    assert len({cell.key for cell in first}) == len(first) == 3
    other = project.model_copy(update={"training": project.training.model_copy(update={"dropout": 0.4})})
    assert not {cell.key for cell in curve_cells(other, "d1", 100)} & {cell.key for cell in first}
    assert identify_study("curve", project, "d1") != identify_study("curve", project, "d2")
    assert identify_study("curve", project, "d1") != identify_study("curve", other, "d1")


def test_spans_have_no_heads_on_frozen_embeddings_and_small_data_sets_no_large_heads(project):
    spans = project.model_copy(update={"task": Task(kind="token_classification", labels=("NAME",))})
    assert {cell.method for cell in curve_cells(spans, "d1", 100)} == {"fine_tuning"}
    assert {cell.method for cell in curve_cells(project, "d1", 7)} == {"fine_tuning"}


def test_a_function_that_changes_nothing_is_not_trained_without(project, documents, tmp_path):
    changed = pd.DataFrame({"document_id": ["train-0"], "label": ["negative"], "distribution": [[1.0, 0.0, 0.0]]})
    removals = Removals({"rule:emoji": changed, "rule:words": changed.iloc[:0]}, 0)
    cells = ablation_cells(project, "d1", documents(20, 1), removals, tmp_path)
    assert list(cells) == [("all", ""), ("source", "movies"), ("source", "tweets"), ("labeling_function", "rule:emoji")]
    assert len({cell.key for found in cells.values() for cell in found}) == 4


def test_one_source_and_no_function_is_nothing_to_leave_out(project, documents, tmp_path):
    with pytest.raises(StudyError, match=r"at least two sources or one labeling function to leave out, found source \['tweets'\] alone"):
        ablation_cells(project, "d1", documents(4, 1).assign(source="tweets"), Removals({}, 0), tmp_path)


def dev_frame(documents, right):
    """Dev predictions of which a share is right."""
    dev = documents(60, 2, "dev")[["document_id", "source", "group_id", "label", "mean_rating"]]
    wrong = np.arange(60) >= 60 * right
    predicted = np.where(wrong, "neutral", dev["label"])
    return dev.assign(predicted=predicted, probabilities=[[0.2, 0.5, 0.3]] * 60, valence=np.linspace(-1, 1, 60), span_scores=None)


def test_the_ablation_says_what_was_lost_with_its_interval(project, documents):
    cells = {key: [Cell(key=key[1] or "all", name="n", seed=1)] for key in (("all", ""), ("source", "movies"), ("source", "tweets"))}
    results = {name: ({"train_rows": 10}, dev_frame(documents, right)) for name, right in (("all", 0.9), ("movies", 0.4), ("tweets", 0.9))}
    removals = Removals({"rule:words": pd.DataFrame({"document_id": []})}, 3)
    rows = ablation_rows("s", "d1", project, cells, results, documents(20, 1), removals)
    overall = rows[rows["slice"] == "overall"].set_index("removed")
    assert overall.loc["movies", "difference"] == pytest.approx(overall.loc["movies", "with_all"] - overall.loc["movies", "without"])
    assert overall.loc["movies", "low"] > 0.1
    assert tuple(overall.loc["tweets", ["difference", "low", "high"]]) == (0.0, 0.0, 0.0)
    assert (overall.loc["rule:words", "difference"], overall.loc["rule:words", "is_trained"]) == (0.0, False)
    assert overall["train_rows_changed"].to_dict() == {"movies": 10, "tweets": 10, "rule:words": 0}
    assert set(rows["slice"]) == {"overall", "source=movies", "source=tweets"}
    page = describe_ablation(rows, removals.stale_rows, 60)
    assert page.index("| movies |") < page.index("| tweets |")
    assert "| rule:words | labeling function | 0 |" in page
    assert "changes no label: not trained" in page
    assert "3 train rows have changed" in page
    picture = draw_ablation(rows[rows["slice"] == "overall"].assign(removed=["电影", "tweets", "rule:words"]))
    assert embed(page, {"ablation.png": picture}).count("](data:image/png;base64,") == 1


def curve_of(points, method="fine_tuning"):
    rows = [("s", "d1", method, 0.5, size, 13, "overall", "macro_f1", value) for size, value in points]
    columns = ["study_id", "dataset_version", "method", "share", "train_rows", "seed", "slice", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_a_power_law_is_found_again_and_carried_on():
    points = [(size, 1 - (0.2 + 2 * size**-0.5)) for size in (100, 200, 400, 800, 1600)]
    projection = project_onwards(curve_of(points))
    assert projection.doubled == pytest.approx(1 - (0.2 + 2 * 3200**-0.5), abs=0.002)
    assert projection.miss < 0.003
    sentence = describe_projection(projection)
    assert sentence.startswith("Trained on 1600 rows, macro F1 on dev is 0.7500; carried on, twice as many labels would give about 0.76")
    assert sentence.endswith("that is how far this one may be off.")
    page = describe_curve(curve_of(points), projection)
    assert "| fine tuning | 1600 | 0.7500 | 0.7500 to 0.7500 |" in page
    assert "must not have seen test" in page
    assert draw_learning_curve(curve_of(points), "macro_f1", projection.curve()).startswith(b"\x89PNG")


@pytest.mark.parametrize("points", [[(100, 0.5), (200, 0.6)], [(100, 0.6), (200, 0.55), (400, 0.5)], [(100, 0.6), (200, 1.0), (400, 0.9)]])
def test_a_curve_that_does_not_rise_is_not_carried_on(points):
    assert project_onwards(curve_of(points)) is None
    assert "no falling error" in describe_projection(None)


def test_a_noisy_curve_says_that_its_gain_is_none():
    projection = project_onwards(curve_of([(100, 0.3), (200, 0.6), (400, 0.55), (800, 0.56)]))
    assert describe_projection(projection).endswith("so read no gain out of this.")
    assert fit_power_law(np.array([1.0, 2.0]), np.array([0.5, 0.0])) is None


@pytest.fixture
def study_job(training_job, tmp_path, project):
    """A job over the small data set, without a test split."""
    (tmp_path / "dataset" / "test.parquet").unlink()
    job = json.loads(training_job.read_text())
    for key in ("output_folder", "model_id"):
        del job[key]
    job["training"]["epochs"] = 2
    job["cells"] = [cell.model_dump(mode="json") for cell in curve_cells(project, "d1", 160)]
    job["results_folder"] = str(tmp_path / "results")
    training_job.write_text(json.dumps(job))
    return training_job


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_study_trains_every_cell_once(study_job, task, capsys):
    job = read_study_job(study_job)
    run_study(job)
    events = events_of(capsys.readouterr().out)
    assert [event["event"] for event in events if event["event"] != "notice"] == ["cell", "cell", "cell", "done"]
    results = {
        cell.key: (
            json.loads((job.results_folder / f"{cell.key}.json").read_text()),
            pd.read_parquet(job.results_folder / f"{cell.key}.parquet"),
        )
        for cell in job.cells
    }
    rows = curve_rows("s", "d1", job.cells, results, task)
    assert set(rows["slice"]) == {"overall", "source=movies", "source=tweets"}
    assert set(rows["metric"]) == {"macro_f1", "micro_f1", "accuracy", "pearson_r", "ece"}
    sizes = rows.drop_duplicates(["method", "train_rows"]).set_index("method")["train_rows"]
    assert sizes["few_shot_head"] == 8
    assert sizes["fine_tuning"].max() == 160
    overall = rows[(rows["slice"] == "overall") & (rows["metric"] == "macro_f1")]
    assert overall["value"].tolist() == pytest.approx([results[cell.key][0]["dev_macro_f1"] for cell in job.cells])
    run_study(job)
    assert events_of(capsys.readouterr().out) == [{"event": "done", "message": "0 trained, 3 known from before"}]


def test_a_cell_without_rows_is_an_error(study_job):
    job = read_study_job(study_job)
    empty = job.cells[0].model_copy(update={"key": "empty", "share": 1e-9})
    with pytest.raises(ValueError, match="expected train rows, found none; take larger shares in studies"):
        run_study(job.model_copy(update={"cells": (empty,)}))


def test_a_wrong_command_line_says_how_to_call(capsys):
    assert study_run.main([]) == 2
    assert "usage: python -m assets.training.studies.study_run JOB.json" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_study_keeps_what_it_had_trained(study_job, capsys):
    command = [sys.executable, "-m", "assets.training.studies.study_run", str(study_job)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    for line in process.stdout:
        if json.loads(line)["event"] == "cell":
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=240)
    known = len(list(read_study_job(study_job).results_folder.glob("*.json")))
    assert known >= 1
    run_study(read_study_job(study_job))
    assert events_of(capsys.readouterr().out)[-1]["message"] == f"{3 - known} trained, {known} known from before"


PLAIN = ["the", "film", "is", "a", "table", "电", "影", "是", "桌", "子"]
DECISIVE = (("bad", "awful", "坏"), ("table", "桌", "film"), ("good", "lovely", "好"))


def records(count, odd=7):
    """Texts of a few words, one of which decides how they are rated."""
    for number in range(count):
        kind = number % 3
        words = [PLAIN[(number * step) % len(PLAIN)] for step in (1, 3, 7)]
        text = " ".join([*words, DECISIVE[kind][number // 3 % 3], f"number {number * odd} of {number * odd * odd}"])
        yield {"id": f"n{number}", "text": text, "ratings": [(kind - 1) * 3] * 3}


def materialize(platform, *names):
    """Run some assets with their checks, without those that follow."""
    selection = {dg.AssetKey(name) for name in names}
    job = platform.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection=selection)
    return summarize(job.execute_in_process(instance=platform.instance, raise_on_error=False), job, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_search_studies_and_the_winner_by_name_in_the_graph(platform, project_of, files_source, tiny_base):
    training = {"base_model": str(tiny_base), "epochs": 1, "learning_rate": 0.01, "batch_tokens": 256, "export": "off"}
    sections = {
        "search": {"name": "spring", "trials": 2, "share": "all", "space": {"learning_rate": [0.02, 0.03]}},
        "studies": {"shares": [0.5, 1.0], "few_shot_rows": [8], "ablation_share": 1.0, "bootstrap_samples": 100},
    }
    sources = [
        files_source("shop", list(records(90))),
        files_source("forum", list(records(60, odd=11))),
    ]
    platform.configure(project_of(sources, training=training | {"recipe": "spring"}, **sections))
    assert platform.run("refresh").succeeded
    failed = materialize(platform, "training_dataset", "fine_tuned_model")
    assert "out of [], found 'spring'. Run `textmill run search`" in failed.failed_steps["fine_tuned_model"]
    searched = platform.run("search")
    assert searched.succeeded, searched
    (params,) = [json.loads(params) for params, is_best in platform.rows("hyperparameter_search", "params", "is_best") if is_best]
    assert materialize(platform, "fine_tuned_model").succeeded
    ((key, recipe),) = platform.rows("fine_tuned_model", "model_key", "recipe")
    manifest = json.loads(platform.resources["object_store"].get(f"{key}/manifest.json"))
    assert manifest["recipe"]["learning_rate"] == params["learning_rate"]
    assert manifest["recipe"]["recipe"] == "spring"
    assert json.loads(recipe)["training"]["learning_rate"] == params["learning_rate"]
    assert platform.run("search").steps[0].summary == "nothing new"
    studied = platform.run("study")
    assert studied.succeeded, studied
    assert {(method, seed) for method, seed in platform.rows("learning_curve", "method", "seed")} == {
        ("fine_tuning", 13),
        ("few_shot_head", 13),
    }
    removed = platform.rows("ablation_report", "kind", "removed", "is_trained")
    assert {("source", "forum", True), ("source", "shop", True)} <= set(removed)
    assert [step.summary for step in platform.run("study").steps] == ["nothing new", "nothing new"]
