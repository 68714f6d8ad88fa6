"""Out-of-fold answers: no model answers what it learnt from, and a run that was cut short goes on."""

import json

import numpy as np
import pandas as pd
import pytest

from assets.training.jobs import JobError, read_folds_job
from assets.training.learning.records import TrainingInterruptedError
from assets.training.studies import folds_run
from assets.training.studies.folds_run import groups_that_choose, run_folds


@pytest.fixture
def folds_job(training_job, tmp_path, documents):
    """A job over 500 documents in two folds of whole groups; some labels are not sure."""
    path = tmp_path / "dataset" / "train.parquet"
    documents = documents(500, 0)
    number = documents["document_id"].str.removeprefix("train-").astype(int)
    documents.assign(fold=number // 2 % 2, is_learnt_from=number % 7 > 0).to_parquet(path, index=False)
    job = json.loads(training_job.read_text()) | {"results_folder": str(tmp_path / "results")}
    for name in ("output_folder", "model_id"):
        del job[name]
    training_job.write_text(json.dumps(job))
    return training_job


def answers_of(folder):
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)


def test_every_document_is_answered_by_a_model_that_learnt_from_other_groups(folds_job, tmp_path, monkeypatch):
    learnt = []
    train = folds_run.Trainer.train

    def watch(self, training, name, documents=None, *rest, dev=None):
        learnt.append((set(documents["group_id"]), set(dev["group_id"]), documents["is_learnt_from"].all()))
        return train(self, training, name, documents, *rest, dev=dev)

    monkeypatch.setattr(folds_run.Trainer, "train", watch)
    assert folds_run.main([str(folds_job)]) == 0
    documents = pd.read_parquet(tmp_path / "dataset" / "train.parquet").set_index("document_id")
    assert len(learnt) == 2
    for fold, (taught, chose, is_sure) in enumerate(learnt):
        held = set(documents.loc[documents["fold"] == fold, "group_id"])
        assert is_sure
        assert len(taught) > len(chose) > 0
        assert not (taught | chose) & held
        assert not taught & chose
    answers = answers_of(tmp_path / "results")
    assert sorted(answers["document_id"]) == sorted(documents.index)
    assert np.stack(answers["probabilities"].tolist()).sum(axis=1) == pytest.approx(np.ones(500), abs=1e-5)
    assert (answers["predicted"] == documents.loc[answers["document_id"], "label"].to_numpy()).mean() > 0.7


def test_a_run_that_was_cut_short_goes_on_with_the_folds_it_lacks(folds_job, tmp_path, monkeypatch):
    job = read_folds_job(folds_job)
    asked = iter(range(10_000))
    with pytest.raises(TrainingInterruptedError):
        run_folds(job, lambda: (tmp_path / "results" / "0.parquet").exists() and next(asked) > 3)
    first = (tmp_path / "results" / "0.parquet").stat().st_mtime_ns
    assert not (tmp_path / "results" / "1.parquet").exists()
    run_folds(job)
    assert len(answers_of(tmp_path / "results")) == 500
    assert (tmp_path / "results" / "0.parquet").stat().st_mtime_ns == first


def test_documents_without_a_fold_are_refused(folds_job, tmp_path):
    path = tmp_path / "dataset" / "train.parquet"
    pd.read_parquet(path).drop(columns="fold").to_parquet(path, index=False)
    with pytest.raises(JobError, match=r"expected columns fold and is_learnt_from, missing \['fold'\]"):
        run_folds(read_folds_job(folds_job))


def test_one_group_is_not_enough_to_learn_from(folds_job, tmp_path):
    path = tmp_path / "dataset" / "train.parquet"
    documents = pd.read_parquet(path)
    documents.assign(group_id=documents["fold"].astype(str)).to_parquet(path, index=False)
    with pytest.raises(JobError, match="expected documents of two groups or more to learn from, found 1"):
        run_folds(read_folds_job(folds_job))


def test_the_groups_that_choose_weights_are_few_and_always_the_same():
    groups = pd.Series([f"g{number}" for number in range(200)])
    assert len(groups_that_choose(groups)) == 10
    assert groups_that_choose(groups) == groups_that_choose(groups.sample(frac=1, random_state=1))
    assert len(groups_that_choose(groups[:3])) == 1
