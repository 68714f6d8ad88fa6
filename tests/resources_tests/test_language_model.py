"""The chat completions interface, over real sockets: retries, keys, and what is no reply."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from resources.language_model import ChatModel, LanguageModelError, NoLanguageModel, open_language_model


def completion(content):
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]})


@contextmanager
def server(*replies):
    """Answers with each reply in turn, the last one for ever; yields its address and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, text = replies[min(len(asked), len(replies) - 1)]
            asked.append((self.path, self.headers.get("Authorization"), body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}/v1", asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def model(url, key="secret-key"):
    return ChatModel(url, "test-model", key, 5.0, pause_seconds=0.01)


def test_instruction_and_text_are_two_messages_and_the_key_is_sent():
    with server(completion('{"label": "好"}')) as (url, asked):
        assert model(url).ask("选一个标签", "很好") == '{"label": "好"}'
    ((path, authorization, body),) = asked
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret-key")
    assert body["model"] == "test-model"
    assert body["messages"] == [{"role": "system", "content": "选一个标签"}, {"role": "user", "content": "很好"}]
    assert body["temperature"] == 0


def test_a_busy_server_is_asked_again():
    with server((429, {"Retry-After": "0"}, ""), (503, {}, ""), completion("fine")) as (url, asked):
        assert model(url).ask("i", "t") == "fine"
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("reply", "asks", "complaint"),
    [
        ((401, {}, ""), 1, "found status 401. Set TEXTMILL_LLM_API_KEY to a valid key"),
        ((404, {}, ""), 1, "found status 404"),
        ((500, {}, ""), 4, "found status 500"),
        ((200, {}, "<html>"), 1, "expected a chat completion of http://127.0.0.1:"),
        ((200, {}, '{"choices": []}'), 1, "found something else; is the address right"),
        ((200, {}, '{"choices": [{"message": {"content": null}}]}'), 1, "expected a reply in words of test-model, found NoneType"),
    ],
)
def test_what_is_no_reply_is_an_error_that_does_not_tell_the_key(reply, asks, complaint):
    with server(reply) as (url, asked), pytest.raises(LanguageModelError, match=f"(?i){complaint}") as error:
        model(url).ask("i", "t")
    assert len(asked) == asks
    assert "secret-key" not in str(error.value)


def test_a_server_that_is_not_there_is_an_error():
    with server(completion("x")) as (url, _):
        pass
    with pytest.raises(LanguageModelError, match=r"Expected a reply of test-model at http://127\.0\.0\.1:.*found ConnectError"):
        model(url).ask("i", "t")


def test_the_key_does_not_show_where_the_model_is_printed():
    assert "secret-key" not in repr(model("http://127.0.0.1:1"))


@pytest.mark.parametrize("url", ["http://example.com/v1", "ftp://127.0.0.1", "api.example.com"])
def test_texts_and_key_travel_encrypted_or_not_at_all(url):
    with pytest.raises(LanguageModelError, match=r"expected https://…, or http:// to this machine, so that key and texts travel encrypted"):
        open_language_model(url, "m", "k")


def test_without_an_address_nobody_is_asked():
    nobody = open_language_model(None, "", None)
    assert isinstance(nobody, NoLanguageModel)
    with pytest.raises(LanguageModelError, match=r"expected a language model, found none; describe one under labeling\.llm"):
        nobody.ask("i", "t")
    assert open_language_model("http://localhost:1/v1", "m", None).name == "m"
