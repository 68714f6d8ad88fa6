import json

import numpy as np
import pytest
import torch

from assets.training.jobs import JobError, read_training_job
from assets.training.learning import preparing
from assets.training.learning.preparing import prepare, prepare_hardware
from assets.training.learning.processes import Processes


@pytest.fixture
def prepared(training_job):
    """What a job is prepared to, with other settings."""

    def make(**training):
        job = json.loads(training_job.read_text())
        job["task"] = training.pop("task", job["task"])
        job["training"] |= training
        training_job.write_text(json.dumps(job))
        return prepare(read_training_job(training_job))

    return make


def test_every_split_is_there_with_tokens_and_targets(prepared):
    found = prepared()
    assert {split: len(part.documents) for split, part in found.examples.items()} == {"train": 160, "dev": 40, "test": 40}
    for part in found.examples.values():
        assert len(part.texts) == len(part.documents) == len(part.targets["distribution"])
    assert (found.is_few_shot, found.settings.max_tokens, found.processes.count) == (False, 16, 1)


def test_a_share_of_train_takes_tokens_and_targets_along(prepared):
    whole, part = prepared().examples["train"], prepared(share=0.4).examples["train"]
    assert 40 < len(part.documents) < 90
    places = [whole.documents["document_id"].tolist().index(name) for name in part.documents["document_id"]]
    np.testing.assert_array_equal(part.targets["distribution"], whole.targets["distribution"][places])
    assert part.texts.ids.tolist() == whole.texts.take(np.array(places)).ids.tolist()


@pytest.mark.parametrize(("limit", "is_few_shot"), [(0, False), (160, False), (161, True)])
def test_few_rows_fit_a_head_only(prepared, limit, is_few_shot):
    assert prepared(few_shot_below=limit).is_few_shot is is_few_shot


def test_few_marked_pairs_are_fine_tuned(prepared):
    found = prepared(few_shot_below=161, task={"kind": "relation_extraction", "labels": ["negative", "neutral", "positive"]})
    assert not found.is_few_shot


def test_the_head_is_drawn_from_the_seed(prepared):
    weights = []
    for seed in (13, 13, 14):
        torch.rand(3)
        weights.append(prepared(seed=seed).model.head.linear.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_missing_split_is_an_error(prepared, training_job):
    (training_job.parent / "dataset" / "dev.parquet").unlink()
    with pytest.raises(JobError, match=r"expected dev.parquet, found \['test.parquet', 'train.parquet'\]"):
        prepared()


@pytest.mark.parametrize(("cores", "processes", "pinned", "threads"), [(8, 2, 4, 4), (3, 2, 4, 1), (1, 2, 1, 1)])
def test_processes_share_the_cores_and_the_cpu_time_of_their_container(recipe, monkeypatch, cores, processes, pinned, threads):
    monkeypatch.setattr("assets.training.learning.hardware.cores_available", lambda: cores)
    monkeypatch.setattr(preparing, "join_processes", lambda device: Processes(1, processes, device))
    monkeypatch.setattr(preparing, "pin_to_cores", lambda rank, count: pinned)
    before = torch.get_num_threads()
    hardware, joined = prepare_hardware(recipe.model_copy(update={"processes": processes}))
    assert (hardware.threads, torch.get_num_threads(), joined.rank) == (threads, threads, 1)
    torch.set_num_threads(before)
