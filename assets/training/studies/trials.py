"""The trials of a search: what is tried next, what is given up early, and a record on disk that outlives a kill at any moment.

The record is Optuna's journal, an append-only file. One process at a time works on a search (a lock of the file system, which ends with
its process), so what a dead process left behind can be mended: its lock, half a line, and the trial it was in.

Sources: Akiba et al., Optuna, KDD 2019 (arXiv 1907.10902); TPE: Bergstra et al., NeurIPS 2011; importance: Hutter et al., ICML 2014
(fANOVA), for short searches Watanabe et al., IJCAI 2023 (PED-ANOVA, arXiv 2304.10255).
Does not belong here: training a trial (`search_run.py`), the lake's rows (`search.py`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from assets.training.learning.records import DevScore
from assets.training.studies.search import SearchError
from assets.training_settings import Search, SearchRange, SearchSpace, Training

STARTUP_TRIALS = 8
"""Trials drawn at random before the model of good settings is asked."""
TRIALS_BEFORE_PRUNING = 4
TRIALS_FOR_IMPORTANCE = 4
TRIALS_FOR_FANOVA = 16
"""With fewer complete trials fANOVA's forests say little, and PED-ANOVA is asked instead."""
INTERRUPTED = "interrupted"

Params = dict[str, Any]
State = Literal["complete", "pruned", "failed"]


class TrialPrunedError(RuntimeError):
    """Raised by `watch` within a trial that is not worth going on with."""


class TrialFailedError(RuntimeError):
    """Settings with which training does not work; the search goes on."""


@dataclass(frozen=True)
class Trial:
    """A trial about to be trained.

    Attributes:
        number: Its number.
        params: Settings to try.
        watch: To be called with every evaluation on dev; raises `TrialPrunedError`.
    """

    number: int
    params: Params
    watch: Callable[[DevScore], None]


@dataclass(frozen=True)
class Budget:
    """How long a search may go on, over all its runs."""

    trials: int
    seconds: float


@contextmanager
def open_study(folder: Path, search: Search, own: Params) -> Iterator[optuna.Study]:
    """The study in a folder, mended and ready to go on; a new one begins with the project's own settings, if the space holds them.

    Args:
        folder: The study's own.
        search: Space, direction and pruner.
        own: The project's own values of the settings that are searched.

    Raises:
        SearchError: Another process works on it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "owner.lock", timeout=0):
            study = _load_study(folder / "journal.log", search)
            _try_interrupted_again(study)
            if not study.get_trials(deepcopy=False) and _is_within(search.space, own):
                study.enqueue_trial(own)
            yield study
    except Timeout as error:
        raise SearchError(f"expected to be alone with the search in {folder}, found another process at work; wait for it to end") from error


def run_trials(
    study: optuna.Study,
    search: Search,
    budget: Budget,
    train: Callable[[Trial], DevScore],
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Try settings until the budget is used up. What `train` raises, other than the two errors of this module, ends the search.

    Args:
        study: From `open_study`.
        search: Metric, space and seed.
        budget: Trials and seconds, those of earlier runs included; a search without a complete trial is not ended by time.
        train: Trains a trial and returns its best evaluation.
        report: Called with the row (`row_of`) of every trial that has ended.
        clock: Seconds.
    """
    used = sum(found.user_attrs.get("seconds", 0.0) for found in study.get_trials(deepcopy=False))
    started = clock()

    def is_out_of_time() -> bool:
        return used + clock() - started >= budget.seconds and bool(_trials_in(study, TrialState.COMPLETE))

    while len(_counted(study)) < budget.trials and not is_out_of_time():
        study.sampler = _sampler(search.seed, len(_counted(study)))
        asked = study.ask()
        trial_started = clock()
        trial = Trial(asked.number, suggest(asked, search.space), _watcher(asked, search.metric, is_out_of_time))
        state, reason, score = _try(trial, train)
        asked.set_user_attr("reason", reason)
        asked.set_user_attr("seconds", clock() - trial_started)
        if score is not None:
            _keep_score(asked, score)
        value = getattr(score, search.metric) if score is not None else None
        study.tell(asked, value, TrialState.COMPLETE) if state == "complete" else study.tell(asked, state=_STATES[state])
        report(rows_of(study)[-1])


def suggest(trial: optuna.Trial, space: SearchSpace) -> Params:
    """Settings of a trial."""
    return {name: _suggest_one(trial, name, wanted) for name, wanted in space.items()}


def _suggest_one(trial: optuna.Trial, name: str, wanted: SearchRange | tuple[float | int | None, ...]) -> object:
    if not isinstance(wanted, SearchRange):
        return trial.suggest_categorical(name, wanted)
    if Training.model_fields[name].annotation is int:
        return trial.suggest_int(name, int(wanted.low), int(wanted.high), log=wanted.log)
    return trial.suggest_float(name, wanted.low, wanted.high, log=wanted.log)


def rows_of(study: optuna.Study) -> list[dict[str, Any]]:
    """Every trial that has ended, in order: `trial`, `state`, `params`, `dev_macro_f1`, `dev_loss`, `best_epoch`, `seconds`, `reason`."""
    interrupted = _interrupted(study)
    return [
        {"trial": trial.number, "state": _NAMES[trial.state], "params": trial.params}
        | {name: trial.user_attrs.get(name) for name in ("dev_macro_f1", "dev_loss", "best_epoch")}
        | {"seconds": trial.user_attrs.get("seconds", 0.0), "reason": trial.user_attrs.get("reason")}
        | ({"state": INTERRUPTED, "reason": "its process ended; tried again"} if trial.number in interrupted else {})
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]


def importance_of(study: optuna.Study, seed: int) -> dict[str, float]:
    """Share of the results' spread that each setting explains, greatest first; empty with too few or equal results."""
    complete = _trials_in(study, TrialState.COMPLETE)
    varied = sorted({name for trial in complete for name in trial.params if len({str(other.params.get(name)) for other in complete}) > 1})
    if len(complete) < TRIALS_FOR_IMPORTANCE or not varied or len({trial.value for trial in complete}) < 2:
        return {}
    is_short = len(complete) < TRIALS_FOR_FANOVA
    evaluator = PedAnovaImportanceEvaluator(evaluate_on_local=True) if is_short else FanovaImportanceEvaluator(seed=seed)
    found = get_param_importances(study, evaluator=evaluator, params=varied)
    return {name: float(share) for name, share in found.items() if np.isfinite(share)}


_STATES: dict[State, TrialState] = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_NAMES = {kind: name for name, kind in _STATES.items()}


def _try(trial: Trial, train: Callable[[Trial], DevScore]) -> tuple[State, str | None, DevScore | None]:
    seen: list[DevScore] = []

    def watch(score: DevScore) -> None:
        seen.append(score)
        trial.watch(score)

    try:
        return "complete", None, train(Trial(trial.number, trial.params, watch))
    except TrialPrunedError as pruned:
        return "pruned", str(pruned), min(seen, key=lambda score: score.dev_loss, default=None)
    except TrialFailedError as failed:
        return "failed", str(failed), None


def _watcher(asked: optuna.Trial, metric: str, is_out_of_time: Callable[[], bool]) -> Callable[[DevScore], None]:
    evaluations = 0

    def watch(score: DevScore) -> None:
        nonlocal evaluations
        evaluations += 1
        asked.report(getattr(score, metric), evaluations)
        if asked.should_prune():
            raise TrialPrunedError(f"worse than others at evaluation {evaluations}")
        if is_out_of_time():
            raise TrialPrunedError("out of time")

    return watch


def _keep_score(asked: optuna.Trial, score: DevScore) -> None:
    for name, value in (("dev_macro_f1", score.dev_macro_f1), ("dev_loss", score.dev_loss), ("best_epoch", score.epoch)):
        asked.set_user_attr(name, value)


def _load_study(journal: Path, search: Search) -> optuna.Study:
    _mend(journal)
    storage = JournalStorage(JournalFileBackend(str(journal), JournalFileOpenLock(str(journal))))
    direction: Literal["minimize", "maximize"] = "minimize" if search.metric == "dev_loss" else "maximize"
    return optuna.create_study(storage=storage, pruner=_pruner(search), study_name=search.name, direction=direction, load_if_exists=True)


def _mend(journal: Path) -> None:
    """Remove what a process that died while writing left: its lock, and a last line without an end."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if not journal.is_file():
        return
    content = journal.read_bytes()
    if not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _try_interrupted_again(study: optuna.Study) -> None:
    """Give up the trial that a dead process was in, and queue its settings: its checkpoints are found by its settings."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.set_user_attr(INTERRUPTED, [*_interrupted(study), trial.number])
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _is_within(space: SearchSpace, own: Params) -> bool:
    """Whether the space holds these settings."""
    for name, wanted in space.items():
        value = own[name]
        if isinstance(wanted, SearchRange):
            if value is None or not wanted.low <= value <= wanted.high:
                return False
        elif value not in wanted:
            return False
    return True


def _counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count against the budget: all that ended by themselves."""
    interrupted = _interrupted(study)
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and trial.number not in interrupted]


def _interrupted(study: optuna.Study) -> list[int]:
    """Numbers of the trials that a dead process was in."""
    return list(study.user_attrs.get(INTERRUPTED, ()))


def _trials_in(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(state,))


def _sampler(seed: int, counted: int) -> TPESampler:
    """A sampler of its own for every trial: a study that goes on does not repeat its first draws, and draws as one that never stopped."""
    state = int(np.random.SeedSequence([seed, counted]).generate_state(1)[0])
    return TPESampler(seed=state, n_startup_trials=STARTUP_TRIALS, multivariate=True)


def _pruner(search: Search) -> BasePruner:
    if search.pruner == "none":
        return NopPruner()
    if search.pruner == "hyperband":
        return HyperbandPruner()
    return MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=2)
