import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from transformers import AutoModel

from assets.training import run as run_module
from assets.training import score as score_module
from assets.training.jobs import JobError, emit, read_scoring_job, read_split, read_training_job
from assets.training.manifests import ModelFolderError, read_manifest
from assets.training.run import run_job
from assets.training.scoring.scorer import load_model

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, tiny_base, task, recipe, documents):
    """A finished model, trained once for all tests that only read it."""
    folder = tmp_path_factory.mktemp("trained")
    for number, (split, rows) in enumerate([("train", 160), ("dev", 40), ("test", 40)]):
        documents(rows, number, split).to_parquet(folder / f"{split}.parquet", index=False)
    job = {
        "dataset_folder": str(folder),
        "dataset_version": "d1",
        "work_folder": str(folder / "work"),
        "output_folder": str(folder / "model"),
        "model_id": "m1",
        "code_version": "c1",
        "task": task.model_dump(mode="json"),
        "training": recipe.model_dump(mode="json"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    run_job(read_training_job(folder / "job.json"))
    return folder / "model"


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def change_job(path, **changes):
    job = json.loads(path.read_text())
    for key, value in changes.items():
        job[key] = {**job[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(job))


def start_process(job, first="pass"):
    """Run a training job in a process of its own, on one thread; `first` is Python to run before."""
    script = (
        "import sys; from assets.training import run; from assets.training.learning import hardware, records; "
        f"hardware.cores_available = lambda: 1; {first}; "
    )
    command = [sys.executable, "-c", script + "sys.exit(run.main(sys.argv[1:]))", str(job)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_the_manifest_says_what_the_model_is(model_folder):
    manifest = read_manifest(model_folder)
    assert {
        key: manifest[key] for key in ("model_id", "dataset_version", "code_version", "seed", "train_rows", "train_share", "device")
    } == {
        "model_id": "m1",
        "dataset_version": "d1",
        "code_version": "c1",
        "seed": 13,
        "train_rows": 160,
        "train_share": 1.0,
        "device": "cpu",
    }
    assert len(manifest["base_model_fingerprint"]) == 64
    assert manifest["training_seconds"] > 0
    assert {"model.safetensors", "head.safetensors", "config.json", "tokenizer.json", "history.json"} <= set(manifest["files"])


def test_predictions_hold_every_dev_and_test_row_in_order(model_folder):
    predictions = pd.read_parquet(model_folder / "predictions.parquet")
    columns = ["document_id", "split", "source", "label", "predicted", "probabilities", "valence", "span_scores"]
    assert list(predictions.columns) == columns
    assert predictions["document_id"].tolist() == [f"{split}-{number}" for split in ("dev", "test") for number in range(40)]
    assert np.stack(predictions["probabilities"].tolist()).sum(axis=1) == pytest.approx(1.0)


def test_a_loaded_model_scores_as_it_did_after_training(model_folder):
    test = pd.read_parquet(model_folder.parent / "test.parquet")
    predictions = pd.read_parquet(model_folder / "predictions.parquet").query("split == 'test'")
    scored = load_model(model_folder, "cpu", "fp32").predict(test["text"].tolist())
    assert scored["label"].tolist() == predictions["predicted"].tolist()
    assert test["label"].tolist() == predictions["label"].tolist()
    np.testing.assert_allclose(np.stack(scored["probabilities"]), np.stack(predictions["probabilities"].tolist()), atol=1e-6)
    np.testing.assert_allclose(scored["valence"], predictions["valence"], atol=1e-6)


def test_the_order_of_texts_does_not_change_their_probabilities(model_folder):
    scorer = load_model(model_folder, "cpu", "fp32")
    texts = ["good film", "电影好", "the table is a film bad", "", "坏"]
    found, reversed_ = (np.stack(scorer.predict(order)["probabilities"]) for order in (texts, texts[::-1]))
    np.testing.assert_allclose(found, reversed_[::-1], atol=1e-6)
    assert scorer.predict([]).shape == (0, 4)


def test_the_encoder_of_a_model_folder_loads_with_plain_transformers(model_folder):
    encoder = AutoModel.from_pretrained(model_folder, local_files_only=True)
    assert encoder.config.id2label == {0: "negative", 1: "neutral", 2: "positive"}


def test_a_second_run_with_the_same_job_has_the_same_weights(training_job, capsys):
    job = read_training_job(training_job)
    weights = []
    for _ in range(2):
        run_job(job)
        weights.append({**load_file(job.output_folder / "model.safetensors"), **load_file(job.output_folder / "head.safetensors")})
    assert [name for name in weights[0] if not np.array_equal(weights[0][name], weights[1][name])] == []
    assert [event["event"] for event in events_of(capsys.readouterr().out)].count("done") == 2


def test_a_share_of_the_train_split_is_recorded(training_job):
    change_job(training_job, training={"share": 0.5, "epochs": 1})
    job = read_training_job(training_job)
    run_job(job)
    manifest = read_manifest(job.output_folder)
    assert manifest["train_share"] == 0.5
    assert 40 < manifest["train_rows"] < 120


def test_a_task_without_ratings_trains_on_labels_alone(training_job):
    change_job(training_job, task={"rating": None, "positive_label": None, "negative_label": None}, training={"epochs": 1})
    job = read_training_job(training_job)
    run_job(job)
    assert np.isnan(load_model(job.output_folder).predict(["good film"])["valence"]).all()


def test_a_process_killed_while_training_goes_on_and_ends_with_the_same_weights(training_job, tmp_path):
    change_job(training_job, training={"epochs": 12, "patience": 100})
    whole = read_training_job(training_job).model_copy(update={"output_folder": tmp_path / "whole", "work_folder": tmp_path / "work-whole"})
    run_job(whole)
    often = "policy = records.CheckpointPolicy; run.CheckpointPolicy = lambda folder, identity: policy(folder, identity, every_steps=9)"
    work, output = tmp_path / "work", tmp_path / "model"
    first = start_process(training_job, often)
    while len(list(work.glob("step-*"))) < 2 and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert not output.exists()
    out, err = start_process(training_job, often).communicate()
    done = events_of(out)[-1]
    assert done["event"] == "done", err
    assert done["resumed_from_step"] >= 9
    assert not work.exists()
    for name in ("model.safetensors", "head.safetensors"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_polite_kill_leaves_a_checkpoint_and_says_so(training_job, tmp_path):
    change_job(training_job, training={"epochs": 3000, "patience": 100000})
    process = start_process(training_job)
    while json.loads(process.stdout.readline())["event"] != "progress":
        pass
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert events_of(out)[-1]["event"] == "interrupted"
    assert "Stopped on request after step" in err
    assert len(list((tmp_path / "work").glob("step-*"))) == 1


def test_a_missing_base_model_ends_the_process_with_a_clear_error(training_job):
    change_job(training_job, training={"base_model": "nobody/nothing-of-this-name"})
    process = start_process(training_job)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert events_of(out)[-1]["kind"] == "BaseModelError"
    assert "Base model 'nobody/nothing-of-this-name': expected an installed package" in err


@pytest.mark.parametrize("module", [run_module, score_module])
def test_a_wrong_command_line_says_how_to_call(module, capsys):
    assert module.main([]) == 2
    assert "JOB.json" in capsys.readouterr().err


@pytest.mark.parametrize("module", [run_module, score_module])
def test_errors_are_one_event_and_one_line_and_status_1(module, tmp_path, capsys):
    assert module.main([str(tmp_path / "missing.json")]) == 1
    shown = capsys.readouterr()
    assert events_of(shown.out)[-1]["kind"] == "JobError"
    assert "expected a readable JSON file, found FileNotFoundError" in shown.err


@pytest.mark.parametrize("read", [read_training_job, read_scoring_job])
@pytest.mark.parametrize("text", ["{}", "not json", '{"unknown_key": 1}'])
def test_a_job_file_with_wrong_keys_is_refused(read, text, tmp_path):
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(JobError, match=r"expected the keys of (Training|Scoring)Job, found"):
        read(tmp_path / "job.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: None, r"expected train.parquet, found \[\]"),
        (lambda frame: frame.drop(columns=["text"]), r"found 6 rows, missing columns \['text'\]"),
        (lambda frame: frame.iloc[:0], r"found 0 rows"),
        (lambda frame: frame.assign(label="糟糕"), r"document train-0: expected labels out of .*, found \['糟糕'\]"),
        (lambda frame: frame.assign(distribution=[[1.0]] * 6), r"document train-0: expected a share for each of the labels .*, found 1"),
    ],
)
def test_a_split_that_is_not_as_expected_is_refused(documents, task, tmp_path, change, message):
    frame = change(documents(6, 0))
    if frame is not None:
        frame.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(JobError, match=message):
        read_split(tmp_path, "train", task)


def copy_model(folder, target):
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "expected manifest.json, found none. The model was not written to the end"),
        (lambda folder: (folder / "head.safetensors").write_bytes(b"x"), r"found \['head.safetensors'\] changed"),
        (lambda folder: (folder / "config.json").unlink(), r"found \['config.json'\] missing"),
        (lambda folder: (folder / "extra.txt").write_text("x"), r"and \['extra.txt'\] not listed"),
        (
            lambda folder: (folder / "pytorch_model.bin").write_text("x"),
            r"safetensors only, found \['pytorch_model.bin'\], which could run code",
        ),
    ],
)
def test_a_model_folder_that_was_changed_is_not_opened(model_folder, tmp_path, damage, message):
    folder = copy_model(model_folder, tmp_path / "copy")
    damage(folder)
    with pytest.raises(ModelFolderError, match=message):
        load_model(folder)


def test_scoring_a_file_writes_probabilities_row_by_row(model_folder, tmp_path, capsys):
    pd.DataFrame({"document_id": ["a", "b"], "text": ["good film", "电影坏"]}).to_parquet(tmp_path / "texts.parquet")
    job = {"model_folder": str(model_folder), "texts": str(tmp_path / "texts.parquet"), "output": str(tmp_path / "scored.parquet")}
    (tmp_path / "job.json").write_text(json.dumps({**job, "device": "cpu", "precision": "fp32"}))
    assert score_module.main([str(tmp_path / "job.json")]) == 0
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    assert scored["document_id"].tolist() == ["a", "b"]
    expected = load_model(model_folder, "cpu", "fp32").predict(["good film", "电影坏"])
    assert scored["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(np.stack(scored["probabilities"].tolist()), np.stack(expected["probabilities"]), atol=1e-6)
    assert events_of(capsys.readouterr().out)[-1]["labels"] == ["negative", "neutral", "positive"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "expected a Parquet file of texts"),
        (pd.DataFrame({"text": ["a"]}), r"expected columns document_id and text, missing \['document_id'\]"),
    ],
)
def test_a_wrong_file_of_texts_is_refused(model_folder, tmp_path, frame, message):
    if frame is not None:
        frame.to_parquet(tmp_path / "texts.parquet")
    job = {"model_folder": str(model_folder), "texts": str(tmp_path / "texts.parquet"), "output": str(tmp_path / "scored.parquet")}
    (tmp_path / "job.json").write_text(json.dumps(job))
    with pytest.raises(JobError, match=message):
        score_module.score_file(read_scoring_job(tmp_path / "job.json"))


def test_few_labels_fit_a_head_only(training_job, capsys):
    change_job(training_job, training={"few_shot_below": 1000})
    job = read_training_job(training_job)
    run_job(job)
    assert read_manifest(job.output_folder)["method"] == "few_shot_head"
    messages = [event["message"] for event in events_of(capsys.readouterr().out) if event["event"] == "notice"]
    assert messages[1] == "160 train rows are fewer than training.few_shot_below, 1000: only a head is fitted"
    assert len(load_model(job.output_folder).predict(["good film", "电影坏"])) == 2


def test_few_rows_are_gone_over_several_times_and_the_log_says_so(training_job, capsys):
    change_job(training_job, training={"min_steps": 130, "epochs": 1})
    job = read_training_job(training_job)
    run_job(job)
    messages = [event["message"] for event in events_of(capsys.readouterr().out) if event["event"] == "notice"]
    assert messages[1] == "160 train rows give few steps: an epoch is 6 passes over them (training.min_steps, 130)"
    assert read_manifest(job.output_folder)["steps"] > 100


def test_adapters_are_merged_into_the_model_that_is_written(training_job):
    change_job(training_job, training={"lora": {"rank": 4}, "epochs": 1})
    job = read_training_job(training_job)
    run_job(job)
    assert read_manifest(job.output_folder)["method"] == "adapters"
    assert not [name for name in load_file(job.output_folder / "model.safetensors") if "lora" in name]
    assert len(load_model(job.output_folder).predict(["good film", "电影坏"])) == 2


def test_token_ids_are_kept_for_the_next_run(training_job, tmp_path, monkeypatch):
    change_job(training_job, cache_folder=str(tmp_path / "tokens"), training={"epochs": 1})
    job = read_training_job(training_job)
    run_job(job)
    first = load_file(job.output_folder / "model.safetensors")
    assert len(list((tmp_path / "tokens").iterdir())) == 3
    monkeypatch.setattr("assets.training.learning.encoding._encode", None)
    run_job(job)
    assert [
        name for name, weight in load_file(job.output_folder / "model.safetensors").items() if not np.array_equal(weight, first[name])
    ] == []


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated:DeprecationWarning")  # by torch's own compiler
def test_a_compiled_network_trains_on_the_cpu_as_a_plain_one_does(training_job, tmp_path):
    losses = []
    for compile_ in (False, True):
        change_job(training_job, training={"epochs": 1, "share": 0.2, "dropout": 0.0, "compile": compile_})
        job = read_training_job(training_job)
        run_job(job)
        losses.append(read_manifest(job.output_folder)["dev_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_events_are_lines_of_json_in_any_language(capsys):
    emit("notice", message="第一行\n第二行")
    assert events_of(capsys.readouterr().out) == [{"event": "notice", "message": "第一行\n第二行"}]
