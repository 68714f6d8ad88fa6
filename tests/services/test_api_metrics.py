"""What Prometheus is told: requests by route, status and role, documents, freshness, bytes, reads and writes; and no word of anybody."""

import re
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dagster_project.environments import REPOSITORY
from resources.lakehouse import Lakehouse, LakehouseError
from resources.search_index import SearchIndex
from resources.timings import Timings
from services.metrics import KEPT_SECONDS, StorageMetrics, timing_metrics


def samples_of(api, token="metrics"):
    """Values by name and labels."""
    response = api.ask("/metrics", token)
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(response.text)
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def requests_of(samples):
    return {
        tuple(value for _, value in labels): count for (name, *labels), count in samples.items() if name == "textmill_api_requests_total"
    }


def test_requests_are_counted_by_method_role_route_and_status(api):
    for path, token in (("/models", "viewer"), ("/models", "viewer"), ("/audit", "viewer"), ("/nowhere", "trainer"), ("/models", "tm_no")):
        api.ask(path, token)
    api.ask("/documents/酒店-secret-id", "admin")
    assert requests_of(samples_of(api)) == {
        ("GET", "viewer", "/models", "200"): 2,
        ("GET", "viewer", "/audit", "403"): 1,
        ("GET", "trainer", "none", "404"): 1,
        ("GET", "none", "/models", "401"): 1,
        ("GET", "admin", "/documents/{document_id}", "404"): 1,
    }


def test_times_are_counted_by_route(api):
    api.ask("/models", "viewer")
    assert samples_of(api)["textmill_api_request_seconds_count", ("route", "/models")] == 1


def test_requests_over_the_limit_are_counted(api_of):
    api = api_of(requests_per_minute=2)
    for _ in range(4):
        api.ask("/models", "viewer")
    assert requests_of(samples_of(api))["GET", "viewer", "none", "429"] == 2


def test_documents_freshness_and_bytes_are_those_of_the_data(api, served):
    samples = samples_of(api)
    for source in ("shop", "hotel"):
        (newest,) = served.lakehouse.read(f"SELECT max(collected_at) AS newest FROM clean_documents WHERE source = '{source}'")["newest"]
        assert samples["textmill_newest_document_timestamp_seconds", ("source", source)] == pytest.approx(newest.timestamp())
        assert samples["textmill_documents", ("source", source)] == 30
    assert samples["textmill_lakehouse_up",] == 1
    files = list((served.environment.home / "lake" / "data").rglob("*.parquet"))
    assert 0 < samples["textmill_lakehouse_files",] <= len(files)
    assert 0 < samples["textmill_lakehouse_bytes", ("part", "tables")] <= sum(path.stat().st_size for path in files)
    assert samples["textmill_lakehouse_bytes", ("part", "catalog")] > 0
    assert samples["textmill_search_index_documents",] == 60
    folder = served.environment.home / "search"
    assert samples["textmill_search_index_bytes",] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_reads_of_this_process_are_counted(api):
    before = samples_of(api).get(("textmill_operation_seconds_count", ("operation", "read"), ("place", "lakehouse")), 0)
    api.json("/documents", "viewer")
    assert samples_of(api)["textmill_operation_seconds_count", ("operation", "read"), ("place", "lakehouse")] == before + 1


def test_labels_hold_nothing_that_anybody_wrote_or_asked(api):
    token = api.backend.store.create("王伟's notebook", "viewer", timedelta(days=1))[0]
    api.ask("/search", token, params={"q": "lovely violin 酒店"})
    api.ask("/documents/someone@shop.example", token)
    api.ask("/labels", token, method="BREW", params={"label": "positive"})
    text = api.ask("/metrics", "metrics").text
    for word in ("lovely", "violin", "酒店", "王伟", "notebook", "someone", token, token[3:], "amy", "BREW"):
        assert word not in text
    assert 'method="other"' in text


def test_the_guide_names_every_metric(api):
    api.ask("/models", "viewer")
    guide = (REPOSITORY / "docs" / "data_access.md").read_text(encoding="utf-8")
    told = {line.split()[2] for line in api.ask("/metrics", "metrics").text.splitlines() if line.startswith("# TYPE")}
    assert {name for name in told if not name.endswith("_created")} == set(re.findall(r"`(textmill_\w+)`", guide))


@pytest.mark.parametrize("token", [None, "tm_wrong"])
def test_metrics_need_a_token_on_the_loopback_interface_too(api, token):
    assert api.ask("/metrics", token).status_code == 401


def test_a_lakehouse_that_does_not_answer_is_down_and_requests_are_still_counted(api, monkeypatch):
    def fail(*_):
        raise LakehouseError("/secret/place is gone")

    api.ask("/models", "viewer")
    monkeypatch.setattr(type(api.backend.lakehouse), "read", fail)
    samples = samples_of(api)
    assert samples["textmill_lakehouse_up",] == 0
    assert not {name for name, *_ in samples} & {"textmill_documents", "textmill_lakehouse_bytes", "textmill_lakehouse_files"}
    assert requests_of(samples)["GET", "viewer", "/models", "200"] == 1
    assert "/secret/place" not in api.ask("/metrics", "metrics").text


def test_the_data_is_looked_up_once_a_minute(tmp_path, monkeypatch):
    looked = []

    def fail(*_):
        looked.append(1)
        raise LakehouseError("down")

    monkeypatch.setattr(Lakehouse, "read", fail)
    now = [0.0]
    metrics = StorageMetrics(Lakehouse(tmp_path / "lake", []), SearchIndex(tmp_path / "search"), lambda: now[0])
    for second, times in ((0.0, 1), (KEPT_SECONDS - 1, 1), (KEPT_SECONDS, 2)):
        now[0] = second
        assert {metric.name for metric in metrics.collect()} >= {"textmill_lakehouse_up", "textmill_search_index_documents"}
        assert len(looked) == times


def test_times_are_shown_in_buckets_that_add_up():
    timings = Timings()
    for seconds in (0.0002, 0.02, 0.02, 5000.0):
        timings.count("lakehouse", "read", seconds, failed=seconds > 1)
    timings.count_retry("lakehouse", "read")
    seconds, errors, retries = timing_metrics(timings)
    buckets = {one.labels["le"]: one.value for one in seconds.samples if one.name.endswith("_bucket")}
    assert list(buckets)[:3] == ["0.0001", "0.0003162", "0.001"]
    assert [buckets[end] for end in ("0.0001", "0.0003162", "0.01", "0.03162", "1000.0", "+Inf")] == [0, 1, 1, 3, 3, 4]
    assert [one.value for one in seconds.samples if one.name.endswith(("_count", "_sum"))] == [4, pytest.approx(5000.0402)]
    assert [(one.name, one.value) for one in (*errors.samples, *retries.samples)] == [
        ("textmill_operation_errors_total", 1),
        ("textmill_operation_retries_total", 1),
    ]
