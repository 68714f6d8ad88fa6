"""The prediction app: one model folder behind HTTP. `python -m services.prediction JOB.json`, or `textmill serve`.

`POST /predict` answers texts, `GET /health` says that it is up, `GET /model` what it serves. It listens on the loopback interface unless
told otherwise, and it has no log-in: whoever opens it to others puts a proxy with one in front. Texts are neither kept nor logged.

Does not belong here: scoring (`assets/training/scoring/scorer.py`), fetching a model (`textmill serve` does), the client
(`resources/prediction_api.py`).
"""

import json
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from assets.answers import decode_labels, decode_spans
from assets.project import Task
from assets.training.jobs import emit
from assets.training.scoring.scorer import Scorer, load_model
from resources.loopback import is_loopback
from services.body_limit import BodyLimit

SHOWN_FACTS = (
    "model_id",
    "dataset_version",
    "code_version",
    "base_model",
    "seed",
    "train_rows",
    "dev_macro_f1",
    "trained_at",
    "parameters",
)


class Limits(BaseModel):
    """How much one request may ask for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_body_bytes: int = Field(2_000_000, gt=0)
    max_texts: int = Field(256, gt=0)
    max_text_chars: int = Field(20_000, gt=0)


class ServingJob(BaseModel):
    """What to serve, and where. Port 0 takes a free one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_folder: Path
    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    limits: Limits = Limits()


class Texts(BaseModel):
    """A request: the texts to answer."""

    model_config = ConfigDict(extra="forbid")

    texts: list[str] = Field(min_length=1)


class SpanFound(BaseModel):
    """A labelled stretch of a text: characters from `start` up to and without `end`; `score` is the confidence, 0 to 1."""

    start: int
    end: int
    label: str
    score: float | None


class Answer(BaseModel):
    """The answer on one text. What a task does not have is null.

    Attributes:
        answer: As the tables write it: a label, or a JSON list of labels or of spans.
        labels: The labels chosen; of a task with spans, those of its spans.
        spans: The spans, in order.
        probabilities: By label: of one label per text they add to 1; of any number of labels each stands alone.
        valence: -1 to 1.
    """

    answer: str
    labels: list[str]
    spans: list[SpanFound] | None
    probabilities: dict[str, float] | None
    valence: float | None


class Answers(BaseModel):
    """One answer per text, in order, and the model that gave them."""

    model_id: str
    answers: list[Answer]


def build_app(scorer: Scorer, limits: Limits, host: str = "127.0.0.1") -> FastAPI:
    """The app around an open model.

    Args:
        scorer: The model.
        limits: How much one request may ask for.
        host: Interface it will listen on; on the loopback interface other host names are refused, as a web page could send them.
    """
    app = FastAPI(title="textmill", docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=limits.max_body_bytes)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", host])
    model_id, one_at_a_time = str(scorer.manifest.get("model_id", "")), threading.Lock()

    @app.exception_handler(RequestValidationError)
    def refuse(_request: Request, error: RequestValidationError) -> JSONResponse:
        """What was wrong, without quoting the request."""
        problems = [{"loc": [str(part) for part in problem["loc"]], "msg": str(problem["msg"])} for problem in error.errors()]
        return JSONResponse({"detail": problems}, status_code=422)

    @app.post("/predict")
    def predict(request: Texts) -> Answers:
        """Answer every text."""
        check_texts(request.texts, limits)
        try:
            with one_at_a_time:  # torch already uses every core for one request
                scored = scorer.predict(request.texts)
        except Exception as error:  # the boundary of the app: the client learns that it failed, the log why, neither sees texts
            sys.stderr.write(f"the model failed on {len(request.texts)} texts: {type(error).__name__}\n")
            raise HTTPException(500, "The model failed on this request; nothing was answered.") from error
        rows = [{str(key): value for key, value in row.items()} for row in scored.to_dict("records")]
        return Answers(model_id=model_id, answers=[answer_of(row, scorer.settings.task) for row in rows])

    @app.get("/health")
    def health() -> dict[str, str]:
        """The app is up, with this model."""
        return {"status": "ok", "model_id": model_id}

    @app.get("/model")
    def model() -> dict[str, Any]:
        """What is served, and the limits of a request."""
        return describe_model(scorer, limits)

    return app


def check_texts(texts: list[str], limits: Limits) -> None:
    """Refuse what is too much, or is no text.

    Raises:
        HTTPException: 413 for too many or too long texts, 422 for half characters.
    """
    if len(texts) > limits.max_texts:
        raise HTTPException(413, f"Expected at most {limits.max_texts} texts, found {len(texts)}. Send them in several requests.")
    for number, text in enumerate(texts):
        if len(text) > limits.max_text_chars:
            raise HTTPException(413, f"Text {number}: expected at most {limits.max_text_chars} characters, found {len(text)}.")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise HTTPException(422, f"Text {number}: expected Unicode text, found half of a surrogate pair.")


def answer_of(row: Mapping[str, Any], task: Task) -> Answer:
    """One row of `Scorer.predict` as an answer."""
    label, spans = str(row["label"]), None
    if task.has_spans:
        places = decode_spans(label, task.labels)
        scores = row.get("span_scores")
        given = list(scores) if scores is not None else [None] * len(places)
        spans = [
            SpanFound(start=place.start, end=place.end, label=place.label, score=score) for place, score in zip(places, given, strict=True)
        ]
        labels = list(dict.fromkeys(place.label for place in places))
    else:
        labels = list(decode_labels(label, task.labels)) if task.kind == "multi_label_classification" else [label]
    probabilities = None if task.has_spans else dict(zip(task.labels, map(float, row["probabilities"]), strict=True))
    valence = row.get("valence")
    has_valence = valence is not None and not pd.isna(valence)
    return Answer(
        answer=label, labels=labels, spans=spans, probabilities=probabilities, valence=float(str(valence)) if has_valence else None
    )


def describe_model(scorer: Scorer, limits: Limits) -> dict[str, Any]:
    """Facts for `GET /model`."""
    facts = {name: scorer.manifest[name] for name in SHOWN_FACTS if name in scorer.manifest}
    task = {"kind": scorer.settings.task.kind, "labels": list(scorer.settings.task.labels)}
    computed = {"device": scorer.hardware.device, "backend": scorer.backend, "precision": scorer.precision}
    read = {"max_tokens": scorer.settings.max_tokens}
    return facts | task | computed | read | {"limits": limits.model_dump()}


def serve(job: ServingJob) -> None:
    """Open the model, listen, say so on standard output, and answer until the process is asked to end.

    Raises:
        ModelFolderError: The folder is not what its manifest says.
        OSError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in job.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((job.host.strip("[]"), job.port))
        scorer = load_model(job.model_folder, job.device, job.precision)
        app = build_app(scorer, job.limits, job.host)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5)
        )
        listener.listen(128)  # whoever connects from now on is answered as soon as the server runs
        host = f"[{job.host.strip('[]')}]" if family == socket.AF_INET6 else job.host
        emit("ready", url=f"http://{host}:{listener.getsockname()[1]}", model_id=scorer.manifest.get("model_id"))
        server.run(sockets=[listener])


def main(arguments: list[str]) -> int:
    """Serve the job of the file named on the command line; returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m services.prediction JOB.json\n")
        return 2
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # until the server takes the signal over
    try:
        serve(ServingJob.model_validate(json.loads(Path(arguments[0]).read_text(encoding="utf-8"))))
    except ValidationError as error:
        sys.stderr.write(f"Job {arguments[0]}: expected the keys of ServingJob, found {error}\n")
        return 1
    except (OSError, ValueError, RuntimeError) as error:  # the boundary of the process: one clear line, and a status
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
