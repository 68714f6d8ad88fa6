"""The report on storage over a real graph: what was read and written is counted, and shown with its pictures."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_project.environments import read_environment
from dagster_project.jobs import REPORT

ENGLISH = [{"id": "1", "text": "I love this phone, the screen is wonderful and bright.", "ratings": [3, 4, 3, 2]}]
CHINESE = [{"id": "甲", "text": "这家酒店的服务很好,房间干净,强烈推荐。", "ratings": [3, 3, 4]}]


@pytest.fixture(scope="module")
def refreshed(shared_platform, tmp_path_factory, shared_files_source, project_of):
    """A platform with an English and a Chinese source, refreshed and backed up; the tests go on with it one after the other."""
    folder = tmp_path_factory.mktemp("installation")
    (folder / "elsewhere").mkdir()
    variables = {"TEXTMILL_HOME": str(folder / "home"), "TEXTMILL_BACKUP_URL": (folder / "elsewhere").as_uri()}
    shared_platform.environment = read_environment(variables)
    shared_platform.configure(project_of([shared_files_source("shop", ENGLISH), shared_files_source("hotel", CHINESE)]))
    for job in ("refresh", "back_up"):
        assert shared_platform.run(job).succeeded
    return shared_platform


def figures(platform):
    """The newest report."""
    newest = "storage_report WHERE reported_at = (SELECT max(reported_at) FROM storage_report)"
    return {row[:3]: row[3] for row in platform.rows(newest, "section", "subject", "metric", "value")}


def page_of(platform):
    """The report that the UI shows."""
    job = platform.definitions().resolve_job_def("report")
    result = job.execute_in_process(instance=platform.instance)
    (made,) = result.asset_materializations_for_node(REPORT[0])
    assert isinstance(made.metadata["report"], dg.MarkdownMetadataValue)
    return made.metadata["report"].value


def test_the_report_counts_what_the_graph_did(refreshed):
    page = page_of(refreshed)
    found = figures(refreshed)
    for operation in ("commit", "verdict", "read", "wait"):
        assert found["latency", f"lakehouse {operation}", "calls"] > 0
        assert found["latency", f"lakehouse {operation}", "p50_seconds"] <= found["latency", f"lakehouse {operation}", "p99_seconds"]
    assert (
        found["latency", "object_store write", "calls"] == 4
    )  # two raw objects, a data key and the fingerprint of the secret of pseudonyms
    assert found["latency", "backups write", "calls"] > 3
    assert {subject for _, subject, metric in found if metric == "errors_ratio" and found["failures", subject, metric]} == set()
    assert {found["freshness", source, "lag_hours"] < 1 for source in ("shop", "hotel")} == {True}
    assert found["growth", "all", "documents"] == 2
    assert ("forecast", "in 4 weeks", "documents") not in found
    assert "data:image/png;base64," in page
    assert "A forecast needs 3 full weeks of collecting after the first; there are 0." in page
    assert "love this phone" not in page


def test_bytes_are_those_on_disk(refreshed):
    assert refreshed.run("report").succeeded
    found, home = figures(refreshed), refreshed.environment.home
    raw = sum(path.stat().st_size for path in (home / "objects" / "raw").rglob("*") if path.is_file())
    assert found["bytes", "objects raw", "bytes"] == raw
    elsewhere = [path for path in (home.parent / "elsewhere").rglob("*") if path.is_file() and path.parts[-2] != "keys"]
    assert found["bytes", "backups", "bytes"] == sum(path.stat().st_size for path in elsewhere)
    index = sum(path.stat().st_size for path in (home / "search").rglob("*") if path.is_file())
    assert found["bytes", "search index", "bytes"] == index > 0
    by_table = sum(
        value for (section, subject, metric), value in found.items() if (section, metric) == ("files", "bytes") and subject != "all"
    )
    assert by_table == found["bytes", "lakehouse tables", "bytes"] == found["files", "all", "bytes"] > 0
    assert found["files", "clean_documents", "small_files_ratio"] == 1


def test_weeks_of_collecting_make_a_forecast_with_its_picture(refreshed):
    with refreshed.lakehouse.session() as connection:
        for week in range(1, 6):
            connection.execute(
                """INSERT INTO lake.main.increments SELECT increment_id || $week, asset, "partition", run_id, code_version, mode, state,
                rows_in, 10 * $week, rows_rejected, rows_skipped, $at, $at FROM lake.main.increments
                WHERE asset = 'raw_documents' AND "partition" = 'shop' AND length(increment_id) = 36""",
                {"week": week, "at": datetime.now(UTC) - timedelta(weeks=6 - week)},
            )
    page = page_of(refreshed)
    found = figures(refreshed)
    assert (found["growth", "all", "full_weeks"], found["growth", "all", "documents_more_each_week"]) == (4, pytest.approx(10))
    assert found["forecast", "in 4 weeks", "documents"] == pytest.approx(2 + 60 + 70 + 80 + 90)
    assert page.count("data:image/png;base64,") == 2


def test_failures_and_silent_sources_are_warned_of_and_do_not_stop_the_report(refreshed, shared_files_source, project_of):
    with refreshed.lakehouse.session() as connection:
        connection.execute("UPDATE lake.main.increment_timings SET errors = calls WHERE operation = 'read'")
    refreshed.configure(project_of([*refreshed.project.model_dump()["sources"], shared_files_source("silent", [{"id": "1", "text": "x"}])]))
    outcome = refreshed.run("report")
    assert sorted(outcome.failed_checks) == [
        "storage_report: every_source_has_documents (WARN)",
        "storage_report: failures_are_rare (WARN)",
    ]
    assert {found.state for found in refreshed.lakehouse.increments("storage_report")} == {"approved"}
