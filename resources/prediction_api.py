"""A client of the prediction app of `services/prediction.py`, for the gate and for programs of one's own.

Does not belong here: the app, what is asked of it and what its answers must be.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2


class PredictionApiError(Exception):
    """The app does not answer, or not as expected."""


class PredictionApi:
    """One app, over one connection that stays open."""

    def __init__(self, url: str, timeout_seconds: float = 60.0) -> None:
        # Proxies of the environment are for the way outside; the app listens on this machine.
        self._client = httpx2.Client(base_url=url, timeout=timeout_seconds, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def predict(self, texts: Sequence[str]) -> list[Mapping[str, Any]]:
        """One answer per text, in order.

        Raises:
            PredictionApiError: The app cannot be reached, refuses the request or fails on it.
        """
        answers = self._ask("POST", "/predict", {"texts": list(texts)}).get("answers")
        if not isinstance(answers, list):
            raise PredictionApiError(f"Expected a list of answers of /predict, found {type(answers).__name__}.")
        return answers

    def health(self) -> Mapping[str, Any]:
        """What the app says of itself: `status`, `model_id`.

        Raises:
            PredictionApiError: The app cannot be reached.
        """
        return self._ask("GET", "/health")

    def model(self) -> Mapping[str, Any]:
        """Facts about the model that the app serves.

        Raises:
            PredictionApiError: The app cannot be reached.
        """
        return self._ask("GET", "/model")

    def _ask(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        try:
            response = self._client.request(method, path, json=content)
            found = response.json() if response.status_code == httpx2.codes.OK else None
        except (httpx2.HTTPError, ValueError) as error:
            raise PredictionApiError(f"Expected an answer of {path}, found {type(error).__name__}: {error}") from error
        if not isinstance(found, dict):
            raise PredictionApiError(f"Expected status 200 and JSON of {path}, found status {response.status_code}.")
        return found
