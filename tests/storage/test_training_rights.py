"""No document without the right to train on it enters a data set: from a server's header and the project file to the rows."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pandas as pd
import pytest

from assets.source_settings import FilesSource
from assets.storage.datasets import training_refusals
from dagster_project.runs import summarize

WORDS = "red blue green old new small large quick slow warm cold bright dark soft hard round".split()
RECORDS = [{"id": str(n), "text": f"The {word} lamp number {n} is ours.", "ratings": [3, 3, 3]} for n, word in enumerate(WORDS)]
CHINESE = [{"id": "甲", "text": "这家酒店的服务很好,房间干净,强烈推荐。", "ratings": [3, 3, 4]}]
RESERVED = [{"id": "r", "text": "快递太慢了,包装也破了,非常失望。", "ratings": [-3, -2, -3]}]


class Reserved(BaseHTTPRequestHandler):
    """An API that reserves its texts."""

    def do_GET(self):
        body = json.dumps(RESERVED).encode()
        self.send_response(200)
        self.send_header("TDM-Reservation", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reserved)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/items"
    server.shutdown()
    server.server_close()
    thread.join()


def freeze(platform):
    """Materialize the data set; how the run went."""
    job = platform.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("training_dataset")})
    config = {"ops": {"training_dataset": {"config": {"full_refresh": True}}}}
    return summarize(job.execute_in_process(instance=platform.instance, run_config=config, raise_on_error=False), job, 0.0)


@pytest.mark.slow
def test_neither_a_reserved_nor_a_denied_text_enters_a_data_set(platform, files_source, project_of, server, monkeypatch):
    api = {"kind": "api", "name": "api", "url": server, "allow_private_hosts": ["127.0.0.1"], "fields": {"votes": "ratings"}}
    hotel = files_source("hotel", CHINESE)
    sources = [files_source("shop", RECORDS) | {"licence": "CC0"}, hotel | {"rights": {"ai_training": "denied"}}, api]
    platform.configure(project_of(sources))
    assert platform.run("refresh").failed_steps == {}
    assert platform.rows("clean_documents WHERE source <> 'shop'", "source", "coalesce(ai_training_signal, '')", "ai_training_allowed") == [
        ("api", "tdm_reservation", False),
        ("hotel", "", False),
    ]
    outcome = freeze(platform)
    assert [step.summary for step in outcome.steps if step.asset == "training_dataset"] == ["rebuilt: 18 in, 16 out, 2 rejected, 0 skipped"]
    assert set(platform.rows("training_dataset", "source", "licence", "ai_training_allowed")) == {("shop", "CC0", True)}
    # The project file decides again each time, also for what was collected before.
    platform.configure(project_of([*sources[:1], hotel, api]))
    freeze(platform)
    assert {source for (source,) in platform.rows("training_dataset", "source")} == {"shop", "hotel"}
    # Were they let through all the same, the audit would reject the data set.
    monkeypatch.setattr("assets.storage.assets.permitted", lambda labelled: labelled)
    outcome = freeze(platform)
    assert any("training_is_allowed" in check for check in outcome.failed_checks)
    assert platform.lakehouse.increments("training_dataset")[-1].state == "rejected"


def test_documents_of_a_source_that_is_gone_go_by_their_signal():
    members = pd.DataFrame({"source": ["gone", "gone", "shop", "shop"], "ai_training_signal": [None, "noai", "noai", None]})
    shop = FilesSource.model_validate({"kind": "files", "name": "shop", "path": "/a", "rights": {"ai_training": "allowed"}})
    assert training_refusals(members, [shop]).fillna("").tolist() == ["", "noai", "", ""]
    denied = shop.model_copy(update={"rights": shop.rights.model_copy(update={"ai_training": "denied"})})
    assert training_refusals(members, [denied]).fillna("").tolist() == ["", "noai", "denied_by_source", "denied_by_source"]
