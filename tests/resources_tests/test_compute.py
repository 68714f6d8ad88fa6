"""Heavy work runs in a child process: its events come through, its errors are told, and it never outlives its parent's block."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from resources.compute import ChildProcessFailedError, LocalCompute

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = {
    "child_done": "import json, sys; job = json.load(open(sys.argv[1], encoding='utf-8'))\n"
    "print(json.dumps({'event': 'progress', 'step': 1})); print(json.dumps({'event': 'done', 'echo': job['text']}))",
    "child_fails": "import sys; print('{\"event\": \"progress\"}'); sys.stderr.write('no such model: 没有\\n'); sys.exit(3)",
    "child_sleeps": 'import time; print(\'{"event": "started"}\', flush=True); time.sleep(60)',
    "child_silent": "",
    "child_serves": "import json, os, time\nprint(json.dumps({'event': 'ready', 'pid': os.getpid()}), flush=True)\n"
    "while True: print('x' * 10_000, flush=True); time.sleep(0.001)",
    "child_fails_late": "import sys, time; time.sleep(0.1); sys.stderr.write('端口被占用\\n'); sys.exit(1)",
    "child_never_ready": "import time; time.sleep(60)",
}


@pytest.fixture
def compute(tmp_path, monkeypatch):
    for name, source in CHILDREN.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONUTF8", "1")
    return LocalCompute(tmp_path / "work")


def test_events_come_one_by_one_and_the_last_is_the_result(compute):
    events = []
    last = compute.run("child_done", {"text": "磨坊"}, events.append)
    assert [event["event"] for event in events] == ["progress", "done"]
    assert last["echo"] == "磨坊"
    assert list(compute.folder.iterdir()) == []


def test_an_error_carries_the_exit_status_and_the_last_words(compute):
    with pytest.raises(ChildProcessFailedError, match=r"Expected child_fails to end well, found exit status 3:\nno such model: 没有"):
        compute.run("child_fails", {}, lambda _event: None)


def test_a_child_that_says_nothing_is_an_error(compute):
    with pytest.raises(ChildProcessFailedError, match="Expected child_silent to end well"):
        compute.run("child_silent", {}, lambda _event: None)


def test_a_child_does_not_outlive_an_interrupted_parent(compute):
    def interrupt(_event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute.run("child_sleeps", {}, interrupt)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any("child_sleeps" in " ".join(child.cmdline()) for child in psutil.Process().children()):
        time.sleep(0.05)
    assert not any("child_sleeps" in " ".join(child.cmdline()) for child in psutil.Process().children())


def test_a_child_ends_when_its_parent_is_killed(compute):
    script = (
        "import pathlib, sys; from resources.compute import LocalCompute;"
        "LocalCompute(pathlib.Path(sys.argv[1])).run('child_sleeps', {}, lambda event: print('running', flush=True))"
    )
    command = [sys.executable, "-c", script, str(compute.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": f"{compute.folder.parent}:{ROOT}"}
    ) as parent:
        assert parent.stdout.readline() == "running\n"
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
    deadline = time.monotonic() + 30  # by itself it would end after 60
    while time.monotonic() < deadline and is_alive(child):
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_child_ends_politely_although_its_parent_blocks_the_signal(compute, monkeypatch):
    def interrupt(_event):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "kill", lambda child: pytest.fail("it had to be killed"))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with pytest.raises(KeyboardInterrupt):
            compute.run("child_sleeps", {}, interrupt)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_alive(process):
    """Whether it still runs; whoever takes over orphans may let a dead one lie for a while."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_server_runs_until_the_block_ends_and_may_say_more_than_a_pipe_holds(compute):
    with compute.serve("child_serves", {}) as ready:
        assert ready["event"] == "ready"
        server = psutil.Process(ready["pid"])
        time.sleep(0.3)
        assert server.status() != psutil.STATUS_ZOMBIE
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert list(compute.folder.iterdir()) == []


def test_a_server_does_not_outlive_an_error_in_the_block(compute):
    with pytest.raises(KeyboardInterrupt), compute.serve("child_serves", {}) as ready:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(ready["pid"])


@pytest.mark.parametrize(("child", "words"), [("child_fails_late", "端口被占用"), ("child_never_ready", ""), ("child_silent", "")])
def test_a_server_that_does_not_become_ready_is_an_error(compute, child, words):
    expected = rf"Expected {child} to be ready within 2 s, found that it was not:\n{words}"
    with pytest.raises(ChildProcessFailedError, match=expected), compute.serve(child, {}, patience_seconds=2.0):
        raise AssertionError("unreachable")
