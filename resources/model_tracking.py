"""Where models, their numbers and their aliases are shown besides the lakehouse: an MLflow server or file, or nowhere.

The lakehouse is the registry; what lies here is a copy for people who look at experiments there, written again whenever something is
missing. Does not belong here: which models, numbers and aliases there are.
"""

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from resources.loopback import is_loopback

MODEL_TAG = "model_id"
EXTRA = "mlflow"
BATCH = 100  # of parameters in one request, MLflow's limit


class TrackingError(Exception):
    """The tracking server cannot be used."""


@dataclass(frozen=True)
class TrackedModel:
    """One model as tracking shows it.

    Attributes:
        model_id: Its id.
        parameters: Settings it was trained with.
        metrics: Numbers by name.
        tags: Where it comes from and what was decided about it; written again every time.
        card: The model card in Markdown; None when there is none.
    """

    model_id: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    card: str | None


class ModelTracking(Protocol):
    """Shows models."""

    @property
    def is_on(self) -> bool:
        """Anything is shown at all."""
        ...

    def record(self, models: Sequence[TrackedModel], aliases: Mapping[str, str | None]) -> None:
        """Show every model that is not shown yet, the newest tags of all, and which model each alias names.

        Raises:
            TrackingError: It could not be done; doing it again later mends it.
        """


class NoTracking:
    """Shows nothing."""

    is_on = False

    def record(self, models: Sequence[TrackedModel], aliases: Mapping[str, str | None]) -> None:
        """Nothing to do."""


class MlflowTracking:
    """An MLflow server on this machine, or a SQLite file that `mlflow ui` opens."""

    is_on = True

    def __init__(self, uri: str, name: str, artifacts: str | None = None) -> None:
        self.uri = uri
        self.name = name
        self.artifacts = artifacts

    def record(self, models: Sequence[TrackedModel], aliases: Mapping[str, str | None]) -> None:
        """Show the models; see `ModelTracking.record`."""
        try:
            self._record(self._connect(), models, aliases)
        except Exception as error:  # the boundary to a client of many layers, whose errors share no base
            raise TrackingError(f"Expected {self.uri} to record the models, found {type(error).__name__}: {error}") from error

    def _connect(self) -> Any:  # noqa: ANN401  # the type would import the library
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own imports
            from mlflow import MlflowClient

            return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _record(self, client: Any, models: Sequence[TrackedModel], aliases: Mapping[str, str | None]) -> None:  # noqa: ANN401
        found = client.get_experiment_by_name(self.name)
        experiment = found.experiment_id if found else client.create_experiment(self.name, artifact_location=self.artifacts)
        if not client.search_registered_models(filter_string=f"name = '{self.name}'"):
            client.create_registered_model(self.name)
        versions = {version.tags.get(MODEL_TAG): version for version in client.search_model_versions(f"name = '{self.name}'")}
        for model in models:
            run_id = self._record_run(client, experiment, model)
            if model.model_id not in versions:
                source = client.get_run(run_id).info.artifact_uri
                versions[model.model_id] = client.create_model_version(self.name, source, run_id, tags={MODEL_TAG: model.model_id})
        shown = client.get_registered_model(self.name).aliases
        for alias, model_id in aliases.items():
            if model_id in versions:
                client.set_registered_model_alias(self.name, alias, versions[model_id].version)
            elif alias in shown:
                client.delete_registered_model_alias(self.name, alias)

    def _record_run(self, client: Any, experiment: str, model: TrackedModel) -> str:  # noqa: ANN401
        """The model's run, written whole: one that a crash cut short is removed and written anew. Tags are always the newest."""
        runs = client.search_runs([experiment], f"tags.{MODEL_TAG} = '{model.model_id}'")
        whole = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
        for run in runs:
            if run.info.run_id not in whole:
                client.delete_run(run.info.run_id)
        run_id = str(whole[0] if whole else _write_run(client, experiment, model))
        for key, value in model.tags.items():
            client.set_tag(run_id, key, value)
        return run_id


def _write_run(client: Any, experiment: str, model: TrackedModel) -> str:  # noqa: ANN401
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, tags={MODEL_TAG: model.model_id}, run_name=model.model_id)
    run_id = str(run.info.run_id)
    parameters = [Param(key, value) for key, value in model.parameters.items()]
    for start in range(0, len(parameters), BATCH):
        client.log_batch(run_id, params=parameters[start : start + BATCH])
    metrics = [Metric(key, value, run.info.start_time, 0) for key, value in model.metrics.items()]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    if model.card is not None:
        client.log_text(run_id, model.card, "model_card.md")
    client.set_terminated(run_id, "FINISHED")
    return run_id


def open_model_tracking(uri: str | None, name: str) -> ModelTracking:
    """Tracking at an address; none without one. Opens no connection and does not import MLflow.

    Args:
        uri: `file:///folder` (a SQLite file and artifacts in it), or `http://127.0.0.1:port` of an MLflow server on this machine.
        name: Of the experiment and of the registered model.

    Raises:
        TrackingError: The address is of another kind or not on this machine, or MLflow is not installed.
    """
    if uri is None:
        return NoTracking()
    parts = urlsplit(uri)
    is_file = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    if not is_file and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise TrackingError(f"expected file:///folder or http://127.0.0.1:port (MLflow has no log-in), found {uri!r}")
    if importlib.util.find_spec("mlflow") is None:
        raise TrackingError(f"expected MLflow to be installed for {uri!r}, found that it is not: pip install 'textmill[{EXTRA}]'")
    if not is_file:
        return MlflowTracking(uri.rstrip("/"), name)
    folder = Path(unquote(parts.path))
    folder.mkdir(parents=True, exist_ok=True)
    return MlflowTracking(f"sqlite:///{folder / 'mlflow.db'}", name, (folder / "artifacts").as_uri())
