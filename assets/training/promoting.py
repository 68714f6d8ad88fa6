"""Wiring of `champion_model`: the challenger tried in processes of its own, beside the champion; the gate's judgement recorded."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd

from assets.project import Project
from assets.training.erased import rows_learnt
from assets.training.manifests import ModelFolderError, sha256_of_file
from assets.training.registry import (
    CHAMPION_SQL,
    DECISIONS_SQL,
    MODELS_SQL,
    SCORES_SQL,
    UNDECIDED_SQL,
    decision_row,
    find_aliases,
)
from assets.training.stored_models import fetch_model
from resources.compute import ChildProcessFailedError, LocalCompute
from resources.increments import Step
from resources.lakehouse import Lakehouse
from resources.model_tracking import ModelTracking, TrackedModel, TrackingError
from resources.object_store import ObjectNotFoundError, ObjectStore
from resources.prediction_api import PredictionApi, PredictionApiError

if TYPE_CHECKING:  # these bring scikit-learn, which definitions need not wait for
    from assets.training.gate.behaviours import Case
    from assets.training.gate.criteria import Trial
    from assets.training.gate.promotion import Decision
    from assets.training.gate.smoke import SmokeResult
    from assets.training.judging.predictions import Predictions

REPOSITORY = Path(__file__).resolve().parents[2]


class UnfitModelError(Exception):
    """A model's answers are none of the task."""


# What a model, or the data it is judged on, can be guilty of: recorded as a refusal. Anything else ends the run, to be tried again.
FAULTS = (ChildProcessFailedError, ModelFolderError, ObjectNotFoundError, UnfitModelError)


@dataclass(frozen=True)
class Bench:
    """What the gate works with."""

    store: ObjectStore
    compute: LocalCompute
    project: Project


@dataclass
class Findings:
    """What is known for the judgement; a problem is a reason to refuse."""

    test: pd.DataFrame = field(default_factory=pd.DataFrame)
    challenger: "Predictions | None" = None
    champion: "Predictions | None" = None
    trial: "Trial | None" = None
    facts: dict[str, Any] = field(default_factory=lambda: {"problems": []})


def judge_candidates(step: Step, lakehouse: Lakehouse, bench: Bench, tell: Callable[[str], None]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Judge every model that nothing was decided about, oldest first, each against the champion that the one before left.

    Returns:
        Metadata of the last decision for the UI, and one row per decision, columns of `champion_model`.
    """
    models = {str(row["model_id"]): row for row in lakehouse.read(MODELS_SQL).to_dict("records")}
    found = lakehouse.read(CHAMPION_SQL)
    champion_id = None if found.empty else str(found["champion_id"].item())
    metadata: dict[str, Any] = {}
    rows: list[pd.DataFrame] = []
    for challenger_id in lakehouse.read(UNDECIDED_SQL)["model_id"]:
        decision = decide(bench, models[challenger_id], models[champion_id] if champion_id else None)
        now, identity = datetime.now(UTC), f"{step.increment_id}-{len(rows)}"
        rows.append(decision_row(decision, challenger_id, champion_id, models[challenger_id]["dataset_version"], identity, now))
        step.write("champion_model", rows[-1])
        step.count(rows_in=1, rows_out=1)
        champion_id = rows[-1]["champion_id"].item()
        tell(f"champion_model: {challenger_id} is {decision.decision}: {decision.reason}")
        metadata = {
            "decision": decision.decision,
            "reason": decision.reason,
            "champion_id": champion_id,
            "evidence": dg.MetadataValue.json(decision.evidence),
        }
    return metadata, pd.concat(rows) if rows else pd.DataFrame()


def decide(bench: Bench, challenger: Mapping[Any, Any], champion: Mapping[Any, Any] | None) -> "Decision":
    """Measure a challenger beside the champion and judge; whatever is at fault is a reason to refuse."""
    from assets.training.gate.promotion import judge

    project, findings = bench.project, Findings()
    try:
        _measure(bench, challenger, champion, findings)
    except FAULTS as error:
        findings.facts["problems"].append(str(error))
    return judge(
        findings.challenger,
        findings.champion,
        findings.test,
        project.task,
        project.promotion,
        project.training.seed,
        is_first=champion is None,
        trial=findings.trial,
        facts=findings.facts,
    )


def _measure(bench: Bench, challenger: Mapping[Any, Any], champion: Mapping[Any, Any] | None, findings: Findings) -> None:
    """Fill the findings, the frozen rows first; what was found before a fault stays."""
    version = str(challenger["dataset_version"])
    findings.test, findings.facts["test_sha256"] = read_frozen_split(bench.store, version, "test")
    if findings.test.empty:
        return
    findings.facts["erased_rows_learnt"] = {"challenger": rows_learnt(challenger), "champion": rows_learnt(champion or {})}
    if rows_learnt(challenger):
        problem = f"{challenger['model_id']} was trained on erased text ({rows_learnt(challenger)} rows): retrain."
        findings.facts["problems"].append(problem)
        return
    findings.facts["leakage"] = {"challenger": find_leakage(bench.store, version, findings.test)}
    if findings.facts["leakage"]["challenger"]["documents"] or findings.facts["leakage"]["challenger"]["groups"]:
        findings.facts["problems"].append(f"data set {version} has test rows in its train split: {findings.facts['leakage']['challenger']}")
        return
    findings.challenger, findings.trial = try_challenger(bench, challenger, findings.test)
    if champion is not None:
        with suppress(ObjectNotFoundError):  # a data set that is gone leaves the question open; the evidence then has no answer
            findings.facts["leakage"]["champion"] = find_leakage(bench.store, str(champion["dataset_version"]), findings.test)
        with tempfile.TemporaryDirectory() as name:
            fetch_model(bench.store, champion, Path(name, "model"))
            findings.champion = _predictions(str(champion["model_id"]), *score(bench, Path(name), findings.test), bench.project)


def try_challenger(bench: Bench, model: Mapping[Any, Any], test: pd.DataFrame) -> tuple["Predictions", "Trial"]:
    """Score the test rows and the behavioural cases in one process, then try the serving app in another."""
    from assets.training.gate.behaviours import judge_cases, texts_of
    from assets.training.gate.criteria import Trial
    from assets.training.gate.smoke import smoke_texts

    task, cases = bench.project.task, collect_cases(bench.project, test)
    smoke = smoke_texts(task)
    with tempfile.TemporaryDirectory() as name:
        fetch_model(bench.store, model, Path(name, "model"))
        scored, labels = score(bench, Path(name), pd.concat([test[["document_id", "text"]], texts_of(cases), smoke], ignore_index=True))
        reference = smoke.merge(scored, on="document_id", validate="one_to_one")
        behaviours = tuple(judge_cases(cases, scored, task))
        tried = Trial(behaviours, try_serving(bench, Path(name, "model"), reference, test), model_size(Path(name, "model")))
    own = scored.set_index("document_id").loc[test["document_id"]].reset_index()
    return _predictions(str(model["model_id"]), own, labels, bench.project), tried


def collect_cases(project: Project, test: pd.DataFrame) -> "list[Case]":
    """The built-in behavioural cases and those of the project's own file."""
    from assets.training.gate.behaviours import make_cases, read_cases

    cases = make_cases(project.promotion, project.task, project.languages, test, project.training.seed)
    file = project.promotion.behaviour_file
    return cases if file is None else cases + read_cases(REPOSITORY / Path(file).expanduser(), project.task)


def try_serving(bench: Bench, folder: Path, reference: pd.DataFrame, test: pd.DataFrame) -> "SmokeResult":
    """Start the serving app with a model folder, ask it, time it, stop it; a failure is a result."""
    from assets.training.gate.smoke import SmokeResult, serving_job, try_server

    texts = test["text"].sample(frac=1, random_state=bench.project.training.seed).tolist()
    try:
        with (
            bench.compute.serve("services.prediction", serving_job(bench.project, folder)) as ready,
            PredictionApi(str(ready["url"])) as api,
        ):
            return try_server(api.predict, reference, texts, bench.project.task, str(api.model()["precision"]))
    except (ChildProcessFailedError, PredictionApiError) as error:
        return SmokeResult(f"the serving app failed: {error}")


def score(bench: Bench, folder: Path, texts: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Answers of the model in `folder/model` on some texts, in their order, made in a process of its own; and the model's labels."""
    texts[["document_id", "text"]].to_parquet(folder / "texts.parquet", index=False)
    job = {"model_folder": str(folder / "model"), "texts": str(folder / "texts.parquet"), "output": str(folder / "scored.parquet")}
    done = bench.compute.run("assets.training.score", job, lambda _event: None)
    scored = pd.read_parquet(folder / "scored.parquet").set_index("document_id").loc[texts["document_id"]].reset_index()
    return scored, [str(label) for label in done["labels"]]


def _predictions(model_id: str, scored: pd.DataFrame, labels: list[str], project: Project) -> "Predictions":
    """A model's answers on the test rows.

    Raises:
        UnfitModelError: It answers with other labels than the task has now, or not at all.
    """
    from assets.training.judging.predictions import PredictionsError, predictions_of_frame

    if labels != list(project.task.labels):
        raise UnfitModelError(f"{model_id} was trained for the labels {labels}; the task now has {list(project.task.labels)}.")
    try:
        return predictions_of_frame(model_id, scored, project.task)
    except PredictionsError as error:
        raise UnfitModelError(str(error)) from error


def read_frozen_split(store: ObjectStore, dataset_version: str, split: str) -> tuple[pd.DataFrame, str]:
    """A split of a frozen data set and the SHA-256 of its file, which must be the one in the data set's manifest.

    Raises:
        ModelFolderError: The file was changed after it was frozen.
    """
    name = f"{split}.parquet"
    manifest = json.loads(store.get(f"datasets/{dataset_version}/manifest.json"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        store.get_file(f"datasets/{dataset_version}/{name}", path)
        found = sha256_of_file(path)
        if found != manifest["files"].get(name):
            raise ModelFolderError(
                f"Data set {dataset_version}: expected {name} with SHA-256 {manifest['files'].get(name)}, found {found}. "
                "The file was changed after it was frozen: restore it from a backup."
            )
        return pd.read_parquet(path), found


def find_leakage(store: ObjectStore, trained_on: str, test: pd.DataFrame) -> dict[str, Any]:
    """How many test documents and groups a model may have seen: those in the train split of the data set it was trained on."""
    train, _ = read_frozen_split(store, trained_on, "train")
    documents = int(test["document_id"].isin(train["document_id"]).sum())
    groups = len(set(test["group_id"]) & set(train["group_id"]))
    seen = "an advantage that it did not earn" if documents or groups else "none of the test split was trained on"
    return {"dataset_version": trained_on, "documents": documents, "groups": groups, "meaning": seen}


def model_size(folder: Path) -> int:
    """Bytes of all files of a model."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def track_models(tracking: ModelTracking, lakehouse: Lakehouse, store: ObjectStore, fresh: pd.DataFrame | None = None) -> str:
    """Show all models and aliases where the environment wants them shown; returns the problem, empty if there was none.

    The models are stored and decided about before: a tracking server that is down costs a warning, and the next time mends it.

    Args:
        tracking: Where.
        lakehouse: The registry.
        store: Where the model cards are.
        fresh: Decisions that are not published yet.
    """
    if not tracking.is_on:
        return ""
    models = lakehouse.read(MODELS_SQL)
    decisions = pd.concat([lakehouse.read(DECISIONS_SQL), *([] if fresh is None or fresh.empty else [fresh])], ignore_index=True)
    scores = lakehouse.read(SCORES_SQL)
    shown = [_tracked(row, decisions, scores, store) for row in models.to_dict("records")]
    try:
        tracking.record(shown, asdict(find_aliases(models, decisions)))
    except TrackingError as error:
        return f"The models are stored and decided about, but tracking failed: {error}"
    return ""


def _tracked(row: Mapping[Any, Any], decisions: pd.DataFrame, scores: pd.DataFrame, store: ObjectStore) -> TrackedModel:
    model_id = str(row["model_id"])
    recipe = json.loads(str(row["recipe"]))
    parameters = {f"{section}.{key}": str(value)[:500] for section, values in recipe.items() for key, value in values.items()}
    own = scores[scores["model_id"] == model_id]
    metrics = {f"test_{name}": float(value) for name, value in zip(own["metric"], own["value"], strict=True)}
    decided = decisions[decisions["challenger_id"] == model_id].sort_values("decided_at").tail(1).to_dict("records")
    tags = {name: str(row[name]) for name in ("dataset_version", "code_version", "base_model", "manifest_sha256", "device")}
    tags |= {name: str(entry[name])[:5000] for entry in decided for name in ("decision", "reason")}
    card = f"reports/{row['model_id']}/model_card.md"
    return TrackedModel(
        model_id,
        parameters,
        metrics | {"dev_macro_f1": float(row["dev_macro_f1"]), "training_seconds": float(row["training_seconds"])},
        tags | {"location": store.url(str(row["model_key"]))},
        store.get(card).decode() if store.exists(card) else None,
    )
