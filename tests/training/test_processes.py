"""Training in two processes of this machine, and processes that are killed: every test here starts real ones."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}

# Runs a job in children that it kills; a child is forked after the imports, so that it costs little.
# Prints one list per child: its exit status, its last step, the step of the newest checkpoint it began with.
KILLER = """
import json, mmap, os, random, shutil, signal, sys, time
from pathlib import Path
import torch
from assets.training.learning import checkpoints, finetuning, hardware, records
from assets.training import run
hardware.cores_available = lambda: 1
torch.set_num_threads(1)
policy = records.CheckpointPolicy
run.CheckpointPolicy = lambda folder, identity: policy(folder, identity, every_steps=EVERY)
steps = mmap.mmap(-1, 8)
train_one_step = finetuning.FineTuning._train_one_step
def count_step(self):
    tokens = train_one_step(self)
    steps[:] = self.position.step.to_bytes(8, "big")
    return tokens
finetuning.FineTuning._train_one_step = count_step
resume = finetuning.FineTuning._resume
begun = mmap.mmap(-1, 8)
def tell_resume(self):
    found = resume(self)
    begun[:] = (found or 0).to_bytes(8, "big")
    return found
finetuning.FineTuning._resume = tell_resume

def run_child(job, kill_after):
    begun[:] = steps[:] = bytes(8)
    begun[:] = b"\\xff" * 8
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        os._exit(run.main([job]))
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), int.from_bytes(steps[:], "big"), int.from_bytes(begun[:], "big")]), flush=True)

started = time.monotonic()
run_child(sys.argv[1], None)
whole = time.monotonic() - started
random = random.Random(5)
for _ in range(KILLS):
    run_child(sys.argv[2], random.uniform(0.02, 0.6) * whole)
run_child(sys.argv[2], None)
"""


def change_job(path, name="job.json", **changes):
    """A job like another, in a file beside it."""
    job = json.loads(path.read_text())
    for key, value in changes.items():
        job[key] = {**job[key], **value} if isinstance(value, dict) else value
    (path.parent / name).write_text(json.dumps(job))
    return path.parent / name


def start_process(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def train_job(job, several=False):
    """Run a job to its end, in one process or in several; its exit status, its events, what it said on standard error."""
    process = start_process("-m", "assets.training.launch" if several else "assets.training.run", job)
    out, err = process.communicate(timeout=240)
    events = [json.loads(line) for line in out.splitlines()]
    assert events, err
    return process.returncode, events, err


def weights_in(folder):
    return {**load_file(folder / "model.safetensors"), **load_file(folder / "head.safetensors")}


EXACT = {"dropout": 0.0, "average_decay": 0.8, "layer_decay": 0.9}


@pytest.fixture
def one_and_two(training_job):
    """The same job in one process and in two."""

    def make(**training):
        folder = training_job.parent
        alone, both = (
            change_job(
                training_job,
                f"{count}.json",
                output_folder=str(folder / f"model-{count}"),
                work_folder=str(folder / f"work-{count}"),
                cache_folder=str(folder / f"tokens-{count}"),
                training={**EXACT, **training, "processes": count},
            )
            for count in (1, 2)
        )
        return alone, both, folder / "model-1", folder / "model-2"

    return make


def test_two_processes_train_as_one_does(one_and_two):
    alone, both, model_alone, model_both = one_and_two()
    assert train_job(alone)[0] == 0
    status, events, err = train_job(both, several=True)
    assert (status, [event["event"] for event in events]) == (0, ["notice", "progress", "progress", "done"]), err
    assert events[-1]["processes"] == 2
    first, second = weights_in(model_alone), weights_in(model_both)
    assert first.keys() == second.keys()
    for name, weight in first.items():
        np.testing.assert_allclose(second[name], weight, atol=2e-3, err_msg=name)
    first, second = (json.loads((model / "history.json").read_text())["evaluations"] for model in (model_alone, model_both))
    assert [entry["step"] for entry in second] == [entry["step"] for entry in first]
    for key in ("train_loss", "dev_loss", "dev_macro_f1"):
        assert [entry[key] for entry in second] == pytest.approx([entry[key] for entry in first], rel=1e-4)
    first, second = (pd.read_parquet(model / "predictions.parquet") for model in (model_alone, model_both))
    np.testing.assert_allclose(np.stack(second["probabilities"]), np.stack(first["probabilities"]), atol=1e-3)


def test_a_batch_with_fewer_rows_than_processes_trains_as_in_one(one_and_two):
    alone, both, model_alone, model_both = one_and_two(batch_tokens=8, epochs=1, share=0.2)
    assert train_job(alone)[0] == 0
    assert train_job(both, several=True)[0] == 0
    losses = [json.loads((model / "history.json").read_text())["evaluations"][-1]["dev_loss"] for model in (model_alone, model_both)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_two_processes_stop_politely_and_go_on_to_the_same_weights(one_and_two, tmp_path):
    _, both, _, whole = one_and_two(epochs=20, patience=1000, dropout=0.1)
    assert train_job(both, several=True)[0] == 0
    again = change_job(both, "again.json", output_folder=str(tmp_path / "again"), work_folder=str(tmp_path / "work-again"))
    process = start_process("-m", "assets.training.launch", again)
    while json.loads(process.stdout.readline())["event"] != "progress":
        pass
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 143, err
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["interrupted"]
    assert len(list((tmp_path / "work-again").glob("step-*"))) == 1
    assert not (tmp_path / "again").exists()
    status, events, err = train_job(again, several=True)
    assert status == 0, err
    assert events[-1]["resumed_from_step"] >= 10
    first, second = weights_in(whole), weights_in(tmp_path / "again")
    assert [name for name, weight in first.items() if not np.array_equal(weight, second[name])] == []
    first, second = (json.loads((folder / "history.json").read_text()) for folder in (whole, tmp_path / "again"))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage: python -m assets.training.launch JOB.json"),
        (["missing.json"], 1, "JobError: Job missing.json"),
    ],
)
def test_processes_are_not_started_without_a_job(arguments, status, said):
    process = start_process("-m", "assets.training.launch", *arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert said in err


def test_an_error_in_one_of_two_processes_is_said_once_in_words_and_ends_all(one_and_two):
    _, both, _, model = one_and_two(base_model="nobody/nothing-of-this-name")
    status, events, err = train_job(both, several=True)
    assert status == 1
    assert {event["kind"] for event in events} == {"BaseModelError"}
    assert "Base model 'nobody/nothing-of-this-name': expected an installed package" in err
    assert "Expected all 2 processes to end well, found that number" in err
    assert not model.exists()


def test_two_processes_end_when_the_one_that_started_them_is_killed(one_and_two):
    _, both, _, _ = one_and_two(epochs=4000, patience=10**6)
    process = start_process("-m", "assets.training.launch", both)
    while json.loads(process.stdout.readline())["event"] != "progress":
        pass
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=240)  # ends when the last of them has closed its output
    assert json.loads(out.splitlines()[-1])["event"] == "interrupted"


def test_twenty_kills_at_random_moments_change_no_bit_and_lose_at_most_one_checkpoint_of_work(training_job, tmp_path):
    every, kills = 5, 20
    recipe = {"epochs": 3, "patience": 1000, "average_decay": 0.8, "layer_decay": 0.8, "dropout": 0.1}
    broken = change_job(training_job, "broken.json", training=recipe)
    whole = change_job(broken, "whole.json", output_folder=str(tmp_path / "whole"), work_folder=str(tmp_path / "work-whole"))
    script = KILLER.replace("EVERY", str(every)).replace("KILLS", str(kills))
    process = start_process("-c", script, whole, broken)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    children = [json.loads(line) for line in out.splitlines()]
    assert children[0][0] == children[-1][0] == 0, err
    killed = [child for child in children[1:-1] if child[0] == -signal.SIGKILL]
    assert len(killed) >= kills // 2
    reached, total = 0, children[0][1]
    for status, last, begun in children[1:]:
        if begun < 2**63:  # it came as far as to look for a checkpoint
            assert begun >= reached - every or reached == total  # killed after the model was written
            reached = 0 if status == 0 else max(last, begun)
    for name in ("model.safetensors", "head.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
