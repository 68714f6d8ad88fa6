"""A language model that answers questions: any server with the chat completions interface of OpenAI, or none.

Does not belong here: what is asked and what a reply means (`assets/labeling/prompts.py`).
"""

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from resources.http_client import open_client, send_patiently
from resources.loopback import is_loopback

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Before a second attempt; twice as long before each further one, unless the server says how long."""
TRANSIENT = (408, 409, 429, 500, 502, 503, 504)
KEY_VARIABLE = "TEXTMILL_LLM_API_KEY"


class LanguageModelError(Exception):
    """The server cannot be reached, refuses, or answers what it should not."""


class LanguageModel(Protocol):
    """Answers questions."""

    @property
    def name(self) -> str:
        """The model's name; empty without one."""
        ...

    def ask(self, instruction: str, text: str) -> str:
        """Its reply to a text after an instruction.

        Raises:
            LanguageModelError: There is no reply.
        """
        ...


class NoLanguageModel:
    """Nobody is asked."""

    name = ""

    def ask(self, instruction: str, text: str) -> str:
        """There is nobody.

        Raises:
            LanguageModelError: Always.
        """
        raise LanguageModelError("expected a language model, found none; describe one under labeling.llm")


@dataclass
class ChatModel:
    """A model behind `POST <url>/chat/completions`.

    Attributes:
        url: Address of the interface, with its version: `https://api.example.com/v1`.
        name: The model.
        key: For the header `Authorization`; None sends none.
        timeout_seconds: Longest wait for a reply.
        pause_seconds: First pause between attempts.
    """

    url: str
    name: str
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    pause_seconds: float = PAUSE_SECONDS
    _client: httpx2.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make ready to connect."""
        self._client = open_client(self, self.url.rstrip("/"), self.timeout_seconds)

    def ask(self, instruction: str, text: str) -> str:
        """See `LanguageModel.ask`. Asked again when the server is busy, after as long as it says (`Retry-After`), or cannot be reached."""
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
        request = {"model": self.name, "messages": messages, "temperature": 0}
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}

        def send() -> httpx2.Response:
            return self._client.post("/chat/completions", json=request, headers=headers)

        try:
            response = send_patiently(send, ATTEMPTS, self.pause_seconds, TRANSIENT)
        except httpx2.HTTPError as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if response.is_success:
                return self._reply_in(response)
            problem = f"status {response.status_code}"
        raise LanguageModelError(f"Expected a reply of {self.name} at {self.url}, found {problem}. {self._advice(problem)}")

    def _reply_in(self, response: httpx2.Response) -> str:
        try:
            reply = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise LanguageModelError(f"Expected a chat completion of {self.url}, found something else; is the address right?") from error
        if not isinstance(reply, str):
            raise LanguageModelError(f"Expected a reply in words of {self.name}, found {type(reply).__name__}")
        return reply

    def _advice(self, problem: str) -> str:
        return f"Set {KEY_VARIABLE} to a valid key." if problem in ("status 401", "status 403") else "See whether the server runs."


def open_language_model(url: str | None, name: str, key: str | None, timeout_seconds: float = 60.0) -> LanguageModel:
    """The model of a project, or none.

    Raises:
        LanguageModelError: A key would travel unencrypted to another machine.
    """
    if url is None:
        return NoLanguageModel()
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise LanguageModelError(f"expected https://…, or http:// to this machine, so that key and texts travel encrypted, found {url}")
    return ChatModel(url, name, key, timeout_seconds)
