"""The labeling loop on a real Label Studio, started here from an environment of its own, and answered by clicks in a real browser.

`make testserver` installs it and runs this file. Without it these tests are skipped, and say so.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx2
import pytest
import uvicorn

from assets.project import Task
from dagster_project.automation import build_annotation_sensor
from resources.labeling_server import Webhook, open_labeling_server
from services.webhook import build_app

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("TEXTMILL_TEST_LABEL_STUDIO") or ROOT / ".venv-labelstudio" / "bin" / "label-studio")
SCREENSHOTS = os.environ.get("TEXTMILL_TEST_SCREENSHOTS")
AMY, PASSWORD, LEGACY_TOKEN = "amy@example.com", "only-for-tests-1", "0123456789abcdef0123456789abcdef01234567"
START_SECONDS = 240
GUIDELINE = "Say how the lamp is liked.\n\n说明顾客是否喜欢这盏灯。"

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason=f"no Label Studio at {PROGRAM}; `make testserver` installs it"),
    pytest.mark.timeout(900),
]


@dataclass(frozen=True)
class Running:
    """A server and a token of each kind of its only user."""

    url: str
    personal_token: str

    def act(self, method, path, **content):
        """What a person does, over the interface that the page uses."""
        response = httpx2.request(
            method, self.url + path, headers={"Authorization": f"Token {LEGACY_TOKEN}"}, json=content or None, timeout=60, trust_env=False
        )
        assert response.is_success, response.text
        return response.json() if response.content else {}

    def annotate(self, task, label, **facts):
        result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]
        return self.act("POST", f"/api/tasks/{task['id']}/annotations/", result=result, lead_time=3.5, **facts)["id"]


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory):
    """A Label Studio with an empty database, on a free loopback port."""
    home = tmp_path_factory.mktemp("label_studio")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(home),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "SSRF_PROTECTION_ENABLED": "false",  # for the webhook, whose receiver is on this machine
    }
    command = [str(PROGRAM), "start", "--no-browser", "--internal-host", "127.0.0.1", "-p", str(port)]
    command += ["--username", AMY, "--password", PASSWORD, "--user-token", LEGACY_TOKEN]
    url = f"http://127.0.0.1:{port}"
    with (home / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | settings, cwd=home, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(server, url, home / "log.txt")
            answer = httpx2.post(f"{url}/api/token/", headers={"Authorization": f"Token {LEGACY_TOKEN}"}, timeout=60, trust_env=False)
            yield Running(url, answer.json()["token"])
        finally:
            os.killpg(server.pid, signal.SIGKILL)  # it has nothing to keep, and takes minutes to end by itself
            server.wait(timeout=60)


def wait_for(server, url, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            if httpx2.get(f"{url}/health", timeout=5, trust_env=False).is_success:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(1)
    raise AssertionError(f"expected Label Studio to start within {START_SECONDS} s; its log ends: {log.read_text()[-2000:]}")


def lamps(name, platform, label_studio, files_source, project_of, token=None, **task):
    """A platform whose labeling server is the real one; three documents, of which one has a vote."""
    records = [
        {"id": "1", "text": "The lamp stands on the desk beside the window."},
        {"id": "2", "text": "😀 这台灯放在窗边的桌子上，灯光很柔和。"},
        {"id": "3", "text": "The second lamp on that shelf is a joy to look at.", "ratings": [{"annotator": "bo", "label": "positive"}]},
    ]
    if task:
        records = [{"id": record["id"], "text": record["text"]} for record in records]
    settings = {"min_human_votes": 2, "rules": {"enabled": []}, "guideline": GUIDELINE}
    project = project_of([files_source(name, records)], labeling=settings)
    platform.configure(project.model_copy(update={"name": name} | ({"task": Task(**task)} if task else {})))
    platform.resources["labeling_server"] = open_labeling_server(label_studio.url, token or label_studio.personal_token)
    refresh(platform)
    return platform


def refresh(platform):
    outcome = platform.run("refresh")
    assert outcome.failed_steps == {}
    return {step.asset: step.summary for step in outcome.steps}


def tasks_of(platform):
    """Tasks on the server by external id of their document's newest revision, and the project's id."""
    server = platform.resources["labeling_server"]
    project_id = server.find_project(f"textmill: {platform.project.name}")
    names = dict(platform.rows("clean_documents", "document_id", "external_id"))
    return {names[task["data"]["textmill_document_id"]]: task for task in server.tasks(project_id)}, project_id


def votes_of(platform):
    return platform.rows("annotations JOIN clean_documents USING (document_id)", "external_id", "annotator_id", "annotations.label")


def sensor_says(platform):
    sensor = build_annotation_sensor(platform.project)
    resources = {name: platform.resources[name] for name in ("lakehouse", "labeling_server", "notices")}
    return sensor(dg.build_sensor_context(resources=resources))


def test_tasks_go_out_and_what_people_say_comes_back(platform, label_studio, files_source, project_of):
    platform = lamps("lamps", platform, label_studio, files_source, project_of)
    tasks, project_id = tasks_of(platform)
    assert set(tasks) == {"1", "2", "3"}
    assert [(found["model_version"], found["result"][0]["value"]["choices"]) for found in tasks["3"]["predictions"]] == [
        ("votes", ["positive"])
    ]
    assert tasks["1"]["predictions"] == []
    project = label_studio.act("GET", f"/api/projects/{project_id}/")
    assert (project["maximum_annotations"], "说明顾客" in project["expert_instruction"]) == (2, True)
    assert isinstance(sensor_says(platform), dg.SkipReason)

    first = label_studio.annotate(tasks["1"], "neutral")
    label_studio.annotate(tasks["3"], "positive")
    label_studio.act("POST", f"/api/tasks/{tasks['2']['id']}/annotations/", result=[], was_cancelled=True)
    assert isinstance(sensor_says(platform), dg.RunRequest)
    refresh(platform)
    assert votes_of(platform) == [("1", AMY, "neutral"), ("3", AMY, "positive"), ("3", "bo", "positive")]
    assert (
        platform.rows("annotations WHERE annotator_id <> 'bo'", "seconds", "guideline")
        == [(3.5, platform.project.labeling.guideline_version)] * 2
    )
    assert isinstance(sensor_says(platform), dg.SkipReason)
    assert refresh(platform)["raw_annotations[lamps]"] == "nothing new"

    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["negative"]}}]
    label_studio.act("PATCH", f"/api/annotations/{first}/", result=result)
    refresh(platform)
    assert votes_of(platform)[0] == ("1", AMY, "negative")
    label_studio.act("PATCH", f"/api/annotations/{first}/", was_cancelled=True)
    refresh(platform)
    assert votes_of(platform) == [("3", AMY, "positive"), ("3", "bo", "positive")]
    assert [row[0] for row in platform.rows("labeled_documents WHERE label IS NULL", "votes_count")] == [0, 0]
    assert [found.counts.rows_unaccounted for found in platform.lakehouse.increments("raw_annotations")] == [0] * 4


def test_a_text_that_changed_is_asked_again_and_its_untouched_task_goes(platform, label_studio, files_source, project_of):
    platform = lamps("moving", platform, label_studio, files_source, project_of, token=LEGACY_TOKEN)
    before, _ = tasks_of(platform)
    label_studio.annotate(before["1"], "neutral")
    changed = [{"id": "1", "text": "The lamp on the desk is broken."}, {"id": "2", "text": "这台灯坏了，放在桌子上没有用。"}]
    files_source("moving", changed, file="two.jsonl")
    refresh(platform)
    assert votes_of(platform)[0] == ("1", AMY, "neutral")
    after = list(platform.resources["labeling_server"].tasks(tasks_of(platform)[1]))
    assert {task["id"] for task in after} & {task["id"] for task in before.values()} == {before["1"]["id"], before["3"]["id"]}
    assert sorted(task["data"]["text"] for task in after if task["id"] > before["3"]["id"]) == sorted(row["text"] for row in changed)


def test_spans_come_back_as_characters_of_the_text(platform, label_studio, files_source, project_of):
    task = {"kind": "token_classification", "labels": ["thing", "place"]}
    platform = lamps("things", platform, label_studio, files_source, project_of, **task)
    tasks, _ = tasks_of(platform)
    text = tasks["2"]["data"]["text"]
    start = text.index("窗边")
    value = {"start": start, "end": start + 2, "text": "窗边", "labels": ["place"]}
    result = [{"id": "a", "from_name": "spans", "to_name": "text", "type": "labels", "value": value}]
    label_studio.act("POST", f"/api/tasks/{tasks['2']['id']}/annotations/", result=result)
    refresh(platform)
    assert votes_of(platform) == [("2", AMY, f'[{{"start":{start},"end":{start + 2},"label":"place"}}]')]


def test_a_server_that_is_down_stops_nothing_but_the_tasks(platform, label_studio, files_source, project_of):
    platform = lamps("outage", platform, label_studio, files_source, project_of)
    platform.resources["labeling_server"] = open_labeling_server("http://127.0.0.1:9", LEGACY_TOKEN)
    files_source("outage", [{"id": "4", "text": "Another lamp, red and tall, came this morning."}], file="two.jsonl")
    outcome = platform.run("refresh")
    assert set(outcome.failed_steps) == {"labeling_tasks"}
    assert ("4",) in platform.rows("labeling_queue JOIN clean_documents USING (document_id)", "external_id")
    assert platform.rows("rejected_records", "reason") == [("labeling_server_failed",)]
    platform.resources["labeling_server"] = open_labeling_server(label_studio.url, LEGACY_TOKEN)
    refresh(platform)
    assert "4" in tasks_of(platform)[0]


def test_a_full_round_by_clicks_in_a_browser(platform, label_studio, files_source, project_of):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; `make testserver` installs it")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    platform = lamps("clicks", platform, label_studio, files_source, project_of)
    tasks, project_id = tasks_of(platform)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{label_studio.url}/user/login")
        page.fill("input[name=email]", AMY)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda address: "login" not in address)
        page.goto(f"{label_studio.url}/projects/{project_id}/data?task={tasks['3']['id']}")
        page.locator(".lsf-richtext__line").filter(has_text="joy to look at").wait_for(timeout=60_000)
        page.wait_for_timeout(1500)
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / "label_studio_task.png")
        page.get_by_text(re.compile("^negative")).first.click()
        page.get_by_role("button", name="Submit").click()
        page.wait_for_timeout(2000)
        browser.close()
    refresh(platform)
    assert ("3", AMY, "negative") in votes_of(platform)
    assert platform.rows("labeled_documents WHERE votes_count = 2", "votes_count") == [(2,)]


def test_the_server_says_at_once_that_somebody_annotated(platform, label_studio, files_source, project_of):
    platform = lamps("hooked", platform, label_studio, files_source, project_of)
    notices, secret = platform.resources["notices"], "a secret of some length"
    receiver = uvicorn.Server(uvicorn.Config(build_app(notices, secret), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=receiver.run)
    thread.start()
    try:
        wait_until(lambda: receiver.started, "the receiver to start")
        port = receiver.servers[0].sockets[0].getsockname()[1]
        webhook = Webhook(f"http://127.0.0.1:{port}/annotations", secret)
        platform.resources["labeling_server"] = open_labeling_server(label_studio.url, label_studio.personal_token, webhook)
        for number in (4, 5):  # told twice, called once
            files_source("hooked", [{"id": str(number), "text": f"Lamp number {number} came without a bulb."}], f"more{number}.jsonl")
            refresh(platform)
        tasks, project_id = tasks_of(platform)
        (webhook,) = label_studio.act("GET", f"/api/webhooks/?project={project_id}")
        assert (webhook["url"], webhook["send_payload"]) == (f"http://127.0.0.1:{port}/annotations", False)
        assert notices.newest("annotations") == 0
        label_studio.annotate(tasks["1"], "positive")
        wait_until(lambda: notices.newest("annotations") > 0, "a notice")
    finally:
        receiver.should_exit = True
        thread.join()


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited a minute for {what}"
        time.sleep(0.1)
