"""A search for training settings: its trials, its record, its winner."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from assets.project import Project
from assets.training.jobs import JobError, read_search_job
from assets.training.learning.records import DevScore
from assets.training.studies import search_run
from assets.training.studies.search import (
    SearchError,
    apply_winner,
    best_trial,
    describe_search,
    identify_search,
    is_finished,
    trial_rows,
)
from assets.training.studies.search_run import describe_params, run_search
from assets.training.studies.study_figures import draw_history, draw_importance
from assets.training.studies.trials import Budget, TrialFailedError, TrialPrunedError, importance_of, open_study, rows_of, run_trials
from assets.training_settings import Search, SearchRange, Training

REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH = Search(trials=12, seed=3, space={"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}, "epochs": {"low": 1, "high": 4}})
OWN = {"learning_rate": 1e-3, "epochs": 2}


class Killed(BaseException):
    """What a kill looks like from inside."""


def score_of(params, step=10):
    """Best at a learning rate of 1e-2; the epochs hardly matter."""
    distance = abs(float(pd.Series([params["learning_rate"]]).map("{:.12e}".format).map(float).iloc[0] / 1e-2 - 1))
    value = max(0.0, 0.9 - 0.1 * min(distance, 8) - 0.001 * params["epochs"])
    return DevScore(step, 1.0, 0.5, 1 - value, value)


def run(folder, search=SEARCH, train=lambda trial: score_of(trial.params), budget=None, **options):
    with open_study(folder, search, OWN) as study:
        run_trials(study, search, budget or Budget(search.trials, 1e9), train, **options)
        return rows_of(study)


def params_of(rows):
    return [row["params"] for row in rows]


def test_the_projects_own_settings_are_tried_first(tmp_path):
    assert run(tmp_path)[0]["params"] == OWN


def test_own_settings_outside_the_space_are_not_tried(tmp_path):
    search = SEARCH.model_copy(update={"space": SEARCH.space | {"epochs": SearchRange(low=3, high=5)}})
    rows = run(tmp_path, search)
    assert all(3 <= row["params"]["epochs"] <= 5 for row in rows)
    assert all(isinstance(row["params"]["epochs"], int) for row in rows)


def test_the_same_seed_tries_the_same_settings_and_another_seed_others(tmp_path):
    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    other = run(tmp_path / "c", SEARCH.model_copy(update={"seed": 4}))
    assert params_of(first) == params_of(second)
    assert params_of(first)[1:] != params_of(other)[1:]


def test_a_search_given_more_trials_goes_on_as_one_that_never_stopped(tmp_path):
    whole = run(tmp_path / "whole")
    trained = []

    def train(trial):
        trained.append(trial.number)
        return score_of(trial.params)

    for trials in (3, 7, 12):
        found = run(tmp_path / "parts", train=train, budget=Budget(trials, 1e9))
        assert len(found) == trials
    assert trained == list(range(12))
    assert params_of(found) == params_of(whole)


@pytest.mark.parametrize("killed_in", [0, 1, 6])
def test_a_killed_trial_is_marked_and_its_settings_are_tried_again(tmp_path, killed_in):
    def die(trial):
        if trial.number == killed_in:
            raise Killed
        return score_of(trial.params)

    with pytest.raises(Killed):
        run(tmp_path / "killed", train=die)
    trained = []

    def train(trial):
        trained.append(trial.params)
        return score_of(trial.params)

    rows = run(tmp_path / "killed", train=train)
    assert [row["trial"] for row in rows if row["state"] == "interrupted"] == [killed_in]
    assert rows[killed_in]["reason"] == "its process ended; tried again"
    assert rows[killed_in]["params"] == trained[0]
    finished = [row for row in rows if row["state"] != "interrupted"]
    assert params_of(finished) == params_of(run(tmp_path / "whole"))
    assert len(trained) == 12 - killed_in


def test_half_a_line_and_a_lock_that_a_kill_left_are_mended(tmp_path):
    run(tmp_path, budget=Budget(3, 1e9))
    with (tmp_path / "journal.log").open("ab") as journal:
        journal.write('{"op_code": 4, "worker_id": "好'.encode()[:-1])
    (tmp_path / "journal.log.lock").touch()
    started = time.monotonic()
    assert [row["state"] for row in run(tmp_path, budget=Budget(5, 1e9))] == ["complete"] * 5
    assert time.monotonic() - started < 10


def test_two_processes_do_not_work_on_one_search(tmp_path):
    with open_study(tmp_path, SEARCH, OWN), pytest.raises(SearchError, match="expected to be alone with the search in"):
        run(tmp_path)


def test_a_trial_worse_than_others_is_given_up(tmp_path):
    def train(trial):
        for step in range(1, 5):
            value = 0.1 if trial.number >= 5 else 0.5 + trial.number / 100
            trial.watch(DevScore(step, step / 2, 0.5, 1 - value + step / 1000, value))
        return DevScore(1, 0.5, 0.5, 1 - value, value)

    rows = run(tmp_path, train=train, budget=Budget(7, 1e9))
    assert [row["state"] for row in rows] == ["complete"] * 5 + ["pruned"] * 2
    assert rows[5]["reason"] == "worse than others at evaluation 2"
    assert rows[5]["dev_macro_f1"] == 0.1


@pytest.mark.parametrize(("pruner", "state"), [("none", "complete"), ("hyperband", "complete")])
def test_other_pruners_can_be_chosen(tmp_path, pruner, state):
    def train(trial):
        trial.watch(score_of(trial.params))
        return score_of(trial.params)

    assert run(tmp_path, SEARCH.model_copy(update={"pruner": pruner}), train, Budget(2, 1e9))[0]["state"] == state


def test_settings_that_cannot_be_trained_fail_and_the_search_goes_on(tmp_path):
    def train(trial):
        if trial.number == 1:
            raise TrialFailedError("expected a finite loss, found nan")
        return score_of(trial.params)

    rows = run(tmp_path, train=train, budget=Budget(3, 1e9))
    assert [(row["state"], row["reason"]) for row in rows][1] == ("failed", "expected a finite loss, found nan")
    assert len(rows) == 3


def test_minutes_count_over_all_runs_but_one_trial_is_always_finished(tmp_path):
    now = [0.0]

    def train(trial):
        now[0] += 40
        trial.watch(score_of(trial.params))
        return score_of(trial.params)

    rows = run(tmp_path, train=train, budget=Budget(12, 30), clock=lambda: now[0])
    assert [row["state"] for row in rows] == ["complete"]
    assert len(run(tmp_path, train=train, budget=Budget(12, 40), clock=lambda: now[0])) == 1
    rows = run(tmp_path, train=train, budget=Budget(12, 100), clock=lambda: now[0])
    assert [(row["state"], row["reason"], row["seconds"]) for row in rows] == [
        ("complete", None, 40.0),
        ("complete", None, 40.0),
        ("pruned", "out of time", 40.0),
    ]


def test_what_is_lowest_wins_when_the_loss_is_the_metric(tmp_path):
    rows = run(tmp_path, SEARCH.model_copy(update={"metric": "dev_loss"}))
    frame = pd.DataFrame(rows)
    assert best_trial(frame, "dev_loss") == int(frame.sort_values(["dev_loss", "trial"])["trial"].iloc[0])


def test_importance_names_the_setting_that_matters(tmp_path):
    search = SEARCH.model_copy(update={"trials": 20})
    with open_study(tmp_path, search, OWN) as study:
        run_trials(study, search, Budget(3, 1e9), lambda trial: score_of(trial.params))
        assert importance_of(study, 1) == {}
        for trials in (10, 20):
            run_trials(study, search, Budget(trials, 1e9), lambda trial: score_of(trial.params))
            found = importance_of(study, 1)
            assert next(iter(found)) == "learning_rate", found
            assert sum(found.values()) == pytest.approx(1)


@pytest.fixture
def project(task, recipe):
    sources = [{"kind": "files", "name": "shop", "path": "/data/*.jsonl"}]
    content = {"name": "test", "languages": ["en", "zh"], "sources": sources, "task": task.model_dump(), "training": recipe.model_dump()}
    return Project.model_validate(content | {"search": SEARCH.model_dump()})


def with_search(project, **changes):
    return project.model_copy(update={"search": project.search.model_copy(update=changes)})


def with_training(project, **changes):
    return project.model_copy(update={"training": project.training.model_copy(update=changes)})


def test_a_search_is_known_by_data_and_settings_but_not_by_its_budget(project):
    same = identify_search(project, "d1", [], again=False)
    assert same.startswith("default-")
    assert identify_search(with_search(project, trials=99, minutes=1.0), "d1", [], again=False) == same
    assert identify_search(with_training(project, learning_rate=0.5, recipe="default", device="auto"), "d1", [], again=False) == same
    others = [
        identify_search(project, "d2", [], again=False),
        identify_search(with_search(project, seed=4), "d1", [], again=False),
        identify_search(with_search(project, share=0.5), "d1", [], again=False),
        identify_search(with_training(project, dropout=0.5), "d1", [], again=False),
    ]
    assert len({same, *others}) == 5


def test_a_search_asked_for_again_is_another_and_later_runs_go_on_with_the_newest(project):
    first = identify_search(project, "d1", [], again=True)
    assert identify_search(project, "d1", [first], again=False) == first
    second = identify_search(project, "d1", [first], again=True)
    assert second == f"{first}.2"
    assert identify_search(project, "d1", [second, first, "default-other"], again=False) == second


def rows_for(project, states=("complete", "pruned", "failed", "interrupted", "complete")):
    trials = [
        {
            "trial": number,
            "state": state,
            "params": {"learning_rate": 0.001 * (number + 1), "epochs": number + 1},
            "dev_macro_f1": None if state in ("failed", "interrupted") else 0.5 + number / 100,
            "dev_loss": None if state in ("failed", "interrupted") else 0.9,
            "best_epoch": None if state in ("failed", "interrupted") else 1.0,
            "seconds": 6.0,
            "reason": None if state == "complete" else "because",
        }
        for number, state in enumerate(states)
    ]
    return trial_rows("default-x", project, "d1", trials)


def test_the_record_has_one_winner_and_only_complete_trials_win(project):
    rows = rows_for(project)
    assert rows["is_best"].tolist() == [False, False, False, False, True]
    assert json.loads(rows["params"].iloc[4]) == {"epochs": 5, "learning_rate": 0.005}
    assert not rows_for(project, ("pruned", "failed"))["is_best"].any()
    assert rows_for(project, ("complete", "pruned"))["is_best"].tolist() == [True, False]


def test_a_search_without_trials_is_an_error(project):
    with pytest.raises(SearchError, match=r"expected at least one trial, found none; raise search\.minutes"):
        trial_rows("default-x", project, "d1", [])


@pytest.mark.parametrize(
    ("changes", "states", "expected"),
    [
        ({"trials": 4}, ("complete", "pruned", "failed", "interrupted"), False),
        ({"trials": 3}, ("complete", "pruned", "failed", "interrupted"), True),
        ({"trials": 9, "minutes": 0.2}, ("complete", "pruned"), True),
        ({"trials": 9, "minutes": 0.2}, ("pruned", "pruned"), False),
        ({"trials": 9, "minutes": 0.3}, ("complete", "pruned"), False),
    ],
)
def test_a_search_is_finished_when_its_budget_is_used_up(project, changes, states, expected):
    assert is_finished(rows_for(project, states), with_search(project, **changes)) is expected


def test_the_winners_settings_take_the_place_of_the_projects(recipe):
    winner = pd.DataFrame({"params": ['{"epochs": 4, "dropout": null, "learning_rate": 0.25}']})
    trained = apply_winner(recipe.model_copy(update={"recipe": "spring", "dropout": 0.3}), winner, ["spring"])
    assert (trained.epochs, trained.dropout, trained.learning_rate, trained.recipe) == (4, None, 0.25, "spring")
    assert trained.max_tokens == recipe.max_tokens


def test_a_search_that_is_not_there_is_an_error_that_says_what_to_run(recipe):
    with pytest.raises(SearchError, match=r"out of \['autumn'\], found 'spring'. Run `textmill run search` with search.name: spring"):
        apply_winner(recipe.model_copy(update={"recipe": "spring"}), pd.DataFrame({"params": []}), ["autumn"])


def test_the_page_shows_the_winner_its_settings_and_pictures(project):
    page = describe_search(rows_for(project), "dev_macro_f1", {"learning_rate": 1.0})
    assert "5 trials (2 complete, 1 pruned, 1 failed, 1 interrupted) in 0.5 minutes" in page
    assert "Best: trial 4 with dev_macro_f1 0.5400, against 0.5000 of the first trial" in page
    assert "`training: {recipe: default}`" in page
    assert "| learning_rate | 0.005 |" in page
    assert "![importance](importance.png)" in page
    assert "no winner" in describe_search(rows_for(project, ("pruned",)), "dev_macro_f1", {})


def test_pictures_are_drawn(project):
    for picture in (
        draw_history(rows_for(project), "dev_macro_f1"),
        draw_history(rows_for(project, ("failed",)), "dev_loss"),
        draw_importance({"a": 0.7, "b": 0.3}),
    ):
        assert picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1]}, "learning_rat"),
        ({"epochs": {"low": 3, "high": 2}}, "expected low < high"),
        ({"learning_rate": {"low": 0, "high": 2, "log": True}}, "low > 0 with log"),
        ({"epochs": [0]}, "greater than or equal to 1"),
        ({"dropout": []}, "expected a range or values, found none"),
        ({}, "at least 1 item"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        Search(space=space)


def test_the_loss_cannot_judge_settings_that_change_it():
    with pytest.raises(ValueError, match="expected dev_macro_f1 while valence_weight is searched"):
        Search(metric="dev_loss")


@pytest.fixture
def search_job(training_job, tmp_path):
    """A job over the small data set, without a test split: nobody may look at it."""
    (tmp_path / "dataset" / "test.parquet").unlink()
    job = json.loads(training_job.read_text())
    for key in ("output_folder", "model_id"):
        del job[key]
    space = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": [1, 2, 3], "valence_weight": [1.0, 4.0]}
    job["search"] = Search(name="spring", trials=3, share=0.5, space=space).model_dump(mode="json")
    job["cache_folder"] = str(tmp_path / "tokens")
    training_job.write_text(json.dumps(job))
    return training_job


def events_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_search_trains_on_a_share_and_reports_every_trial(search_job, capsys):
    run_search(read_search_job(search_job))
    events = events_of(capsys.readouterr().out)
    done = events[-1]
    assert [event["state"] for event in events if event["event"] == "trial"] == ["complete"] * 3
    assert done["event"] == "done"
    assert [row["trial"] for row in done["trials"]] == [0, 1, 2]
    assert all(0 <= row["dev_macro_f1"] <= 1 and row["dev_loss"] > 0 and row["seconds"] > 0 for row in done["trials"])
    run_search(read_search_job(search_job))
    assert events_of(capsys.readouterr().out)[-1]["trials"] == done["trials"]


def test_a_loss_that_is_not_a_number_fails_the_trial_and_nothing_that_trains_is_an_error(search_job):
    change = json.loads(search_job.read_text())
    change["search"]["space"] = {"learning_rate": [1e30]}
    change["search"]["trials"] = 2
    search_job.write_text(json.dumps(change))
    with pytest.raises(SearchError, match=r"expected a trial that completes, found none: .*finite loss.*change search.space"):
        run_search(read_search_job(search_job))


def test_a_setting_that_changes_nothing_for_the_task_is_not_searched(search_job):
    job = read_search_job(search_job)
    plain = job.task.model_copy(update={"positive_label": None, "negative_label": None, "rating": None})
    assert "valence_weight" not in search_run.searchable(job.model_copy(update={"task": plain})).space
    alone = job.search.model_copy(update={"space": {"valence_weight": (1.0, 2.0)}})
    with pytest.raises(SearchError, match="found valence_weight alone"):
        search_run.searchable(job.model_copy(update={"task": plain, "search": alone}))


def start_process(job):
    script = (
        "import sys; from assets.training.learning import hardware; from assets.training.studies import many_trainings, search_run; "
        "hardware.cores_available = lambda: 1; "
        "policy = many_trainings.CheckpointPolicy; "
        "many_trainings.CheckpointPolicy = lambda folder, identity: policy(folder, identity, every_steps=5); "
        "many_trainings.SECONDS_BETWEEN_REPORTS = 0.0; sys.exit(search_run.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", script, str(job)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
def test_a_search_killed_in_the_middle_goes_on_where_it_was(search_job, tmp_path, capsys, number, status):
    content = json.loads(search_job.read_text())
    content["search"]["space"]["epochs"] = [6, 7, 8]
    search_job.write_text(json.dumps(content))
    job = read_search_job(search_job)
    run_search(job.model_copy(update={"work_folder": tmp_path / "whole"}))
    whole = events_of(capsys.readouterr().out)[-1]["trials"]
    process = start_process(search_job)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["training"] == "trial 1":
            process.send_signal(number)
            break
    process.communicate(timeout=240)
    assert process.returncode == status
    run_search(job)
    events = events_of(capsys.readouterr().out)
    rows = events[-1]["trials"]
    (interrupted,) = [row["trial"] for row in rows if row["state"] == "interrupted"]
    assert interrupted >= 1
    assert [event["trial"] for event in events if event["event"] == "trial"] == list(range(interrupted + 1, 4))
    finished = [row for row in rows if row["state"] != "interrupted"]
    keys = ("params", "dev_macro_f1", "dev_loss")
    assert [[row[key] for key in keys] for row in finished] == [[row[key] for key in keys] for row in whole]


def test_settings_are_described_in_one_line():
    assert describe_params({"learning_rate": 0.00123456, "epochs": 2, "dropout": None}) == "learning_rate 0.00123, epochs 2, dropout None"


def test_a_wrong_command_line_or_job_is_an_error(tmp_path, capsys):
    assert search_run.main([]) == 2
    assert "usage: python -m assets.training.studies.search_run JOB.json" in capsys.readouterr().err
    (tmp_path / "job.json").write_text("{}")
    assert search_run.main([str(tmp_path / "job.json")]) == 1
    assert events_of(capsys.readouterr().out)[-1]["kind"] == "JobError"
    with pytest.raises(JobError, match="expected the keys of SearchJob"):
        read_search_job(tmp_path / "job.json")


def test_a_pruned_trial_leaves_no_checkpoints(search_job, monkeypatch, capsys):
    job = read_search_job(search_job)
    policy = search_run.Trainer.train

    def prune(self, training, name, documents=None, watch=None):
        (self.job.work_folder / "checkpoints" / "x").mkdir(parents=True)
        raise TrialPrunedError("worse than others") if name == "trial 1" else FloatingPointError("nan")

    monkeypatch.setattr(search_run.Trainer, "train", prune)
    with pytest.raises(SearchError, match="worse than others"):
        run_search(job)
    assert policy is not prune
    assert not (job.work_folder / "checkpoints").exists()
    assert Training(recipe="spring").recipe == "spring"
    capsys.readouterr()
