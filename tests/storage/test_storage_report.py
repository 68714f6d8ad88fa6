"""The figures of the report on storage: percentiles, failures, freshness, bytes, cost, small files, growth and where it leads."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from assets.project import Project
from assets.report_settings import Report
from assets.storage.figures import GIB, MIB, Measured, figures_of
from assets.storage.growth import Line, fit_line, full_weeks
from assets.storage.latencies import add_histograms, failure_ratio, percentile, summarize_timings
from assets.storage.report_page import describe, draw_growth, draw_timings, words_of_bytes, words_of_seconds

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)  # a Friday; its week began on the 23rd
PNG = b"\x89PNG"
TIMINGS = pd.DataFrame(
    [
        ("lakehouse read", 90, 0, 0, '{"0.01": 90}'),
        ("lakehouse read", 10, 2, 4, '{"0.01": 4, "0.1": 4, "1": 2}'),
        ("object_store write", 4, 0, 0, '{"0.001": 2, "0.002": 2}'),
    ],
    columns=["subject", "calls", "errors", "retries", "histogram"],
)
NO_TIMINGS, NO_WEEKS = TIMINGS.head(0), pd.DataFrame({"week": pd.to_datetime([], utc=True), "documents": []})


def weekly(*counts, first="2026-10-05"):
    weeks = pd.date_range(first, periods=len(counts), freq="7D", tz="UTC")
    return pd.DataFrame([(week, count) for week, count in zip(weeks, counts, strict=True) if count], columns=["week", "documents"])


def measured(**changed):
    given = {
        "now": NOW,
        "timings": summarize_timings(TIMINGS),
        "newest": pd.DataFrame(
            {"source": ["酒店", "shop"], "newest": [pd.Timestamp(NOW) - timedelta(hours=30), pd.Timestamp(NOW)], "documents": [500, 1500]}
        ),
        "bytes": {"lakehouse tables": GIB, "objects raw": 2 * GIB, "search index": GIB // 2, "backups": 4 * GIB},
        "tables": ("clean_documents", "empty"),
        "files": pd.DataFrame({"table_name": ["clean_documents"] * 4, "size_bytes": [MIB, 2 * MIB, 31 * MIB, 32 * MIB]}),
        "weekly": weekly(1000, 100, 110, 120, 130, 140, 150, 7),
    }
    return Measured(**given | changed)


def values_of(given, settings=None):
    rows = figures_of(given, settings or Report())
    return {(row.section, row.subject, row.metric): row.value for row in rows.itertuples()}


# Reads and writes.


@pytest.mark.parametrize(("share", "end"), [(0.01, 0.01), (0.94, 0.01), (0.95, 0.1), (0.98, 0.1), (0.99, 1.0), (1.0, 1.0)])
def test_a_percentile_is_the_end_of_the_bucket_where_its_share_is_reached(share, end):
    assert percentile({0.01: 94, 0.1: 4, 1.0: 2}, share) == end


def test_histograms_of_several_processes_add_up_and_are_sorted_by_time():
    assert list(add_histograms(['{"1": 2, "inf": 1}', '{"0.01": 3, "1": 1}']).items()) == [(0.01, 3), (1.0, 3), (float("inf"), 1)]


def test_an_empty_histogram_has_no_percentile():
    with pytest.raises(ValueError, match="expected calls in the histogram"):
        percentile({}, 0.5)


def test_timings_are_summarized_by_subject():
    rows = summarize_timings(TIMINGS)
    assert rows.to_dict("records") == [
        {"subject": "lakehouse read", "calls": 100, "errors": 2, "retries": 4, "p50_seconds": 0.01, "p95_seconds": 0.1, "p99_seconds": 1.0},
        {"subject": "object_store write", "calls": 4, "errors": 0, "retries": 0}
        | {"p50_seconds": 0.001, "p95_seconds": 0.002, "p99_seconds": 0.002},
    ]
    assert failure_ratio(rows) == 2 / 104


def test_waiting_is_not_counted_beside_what_waits():
    rows = pd.DataFrame([("lakehouse wait", 1000, 0), ("lakehouse commit", 8, 2)], columns=["subject", "calls", "errors"])
    assert failure_ratio(rows) == 0.25


def test_nothing_counted_is_no_failure():
    assert failure_ratio(summarize_timings(NO_TIMINGS)) == 0.0


# Growth.


def test_the_first_week_and_the_present_one_are_left_out_and_gaps_are_zero():
    weeks = full_weeks(weekly(900, 5, 0, 7, first="2026-11-02"), NOW)
    assert weeks["documents"].tolist() == [5, 0]
    assert weeks["week"].dt.strftime("%Y-%m-%d").tolist() == ["2026-11-09", "2026-11-16"]


@pytest.mark.parametrize("now", [datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 29, 23, 59, tzinfo=UTC)])
def test_a_week_lasts_from_monday_to_sunday(now):
    assert full_weeks(weekly(1, 2, 3, first="2026-11-09"), now)["documents"].tolist() == [2]


@pytest.mark.parametrize(("counts", "first"), [((), "2026-10-05"), ((5,), "2026-11-23"), ((5,), "2026-11-16")])
def test_without_a_full_week_after_the_first_there_is_none(counts, first):
    assert full_weeks(weekly(*counts, first=first) if counts else NO_WEEKS, NOW).empty


def test_a_straight_line_is_found_exactly():
    assert fit_line([100, 110, 120, 130]) == Line(100.0, 10.0, 0.0, 4)


def test_the_spread_is_what_the_line_leaves_with_two_degrees_of_freedom_less():
    line = fit_line([0, 3, 0])
    assert (line.start, line.slope) == (1.0, 0.0)
    assert line.spread == pytest.approx(6**0.5)
    assert line.spread_of_sum(4) == pytest.approx(2 * 6**0.5)


@pytest.mark.parametrize("counts", [[], [5], [5, 6]])
def test_fewer_than_three_weeks_give_no_line(counts):
    assert fit_line(counts) is None


def test_a_falling_line_never_goes_below_zero():
    assert Line(30.0, -10.0, 0.0, 3).expected(4) == 0.0
    assert Line(30.0, -10.0, 0.0, 2).expected(4) == 10.0


# Figures.


def test_rates_are_per_call():
    values = values_of(measured())
    assert values["failures", "lakehouse read", "errors_ratio"] == 0.02
    assert values["failures", "lakehouse read", "retries_ratio"] == 0.04
    assert values["latency", "lakehouse read", "p99_seconds"] == 1.0


def test_freshness_is_the_age_of_the_newest_published_document():
    values = values_of(measured())
    assert (values["freshness", "酒店", "lag_hours"], values["freshness", "shop", "lag_hours"]) == (30.0, 0.0)


def test_cost_is_bytes_times_price_and_falls_on_thousand_documents():
    settings = Report.model_validate({"prices": {"lakehouse": 1, "objects": 2, "search_index": 4, "backups": 8}})
    values = values_of(measured(), settings)
    assert [values["cost", place, "per_month"] for place in measured().bytes] == [1.0, 4.0, 2.0, 32.0]
    assert (values["cost", "all", "per_month"], values["cost", "all", "per_month_and_thousand_documents"]) == (39.0, 19.5)


def test_a_file_is_small_below_the_limit_and_a_table_without_files_has_no_share():
    values = values_of(measured())
    assert values["files", "clean_documents", "small_files_ratio"] == values["files", "all", "small_files_ratio"] == 0.75
    assert values["files", "empty", "files"] == 0
    assert ("files", "empty", "small_files_ratio") not in values
    assert values_of(measured(), Report(small_file_mib=2))["files", "all", "small_files_ratio"] == 0.25


def test_the_forecast_goes_on_along_the_line():
    values = values_of(measured())
    assert values["growth", "all", "documents_per_week"] == 125
    assert values["growth", "all", "documents_more_each_week"] == pytest.approx(10)
    more = 160 + 170 + 180 + 190
    assert values["forecast", "in 4 weeks", "documents"] == pytest.approx(2000 + more)
    assert values["forecast", "in 4 weeks", "bytes"] == pytest.approx(measured().total_bytes * (2000 + more) / 2000)


def test_few_weeks_and_no_documents_leave_out_what_nobody_knows():
    empty = measured(newest=measured().newest.head(0), weekly=weekly(9, 9, 9, first="2026-11-09"), timings=summarize_timings(NO_TIMINGS))
    sections = {(section, metric) for section, _, metric in values_of(empty)}
    assert not {section for section, _ in sections} & {"forecast", "latency", "freshness"}
    assert ("cost", "per_month_and_thousand_documents") not in sections
    assert ("cost", "per_month") in sections


def test_every_figure_has_a_key_of_its_own_and_a_number():
    rows = figures_of(measured(), Report())
    assert not rows.duplicated(["section", "subject", "metric"]).any()
    assert rows["value"].notna().all()


# The page.


def page_of(given):
    return describe(given, figures_of(given, Report()), Report(), ["酒店", "shop", "silent"])


@pytest.mark.parametrize(
    "line",
    [
        "| lakehouse read | 100 | 10.0 ms | 100.0 ms | 1.0 s | 2 | 4 |",
        "| 酒店 | 30.0 h |",
        "| silent | nothing is published |",
        "| objects raw | 2.0 GiB | 0.0460 |",
        "| clean_documents | 4 | 66.0 MiB | 75% |",
        "- in 4 weeks: 2,700 documents, give or take 0, 10.1 GiB if a document takes as much as now",
    ],
)
def test_the_page_has_the_figures(line):
    assert line in page_of(measured()).split("\n")


def test_the_page_says_what_is_missing():
    few = weekly(9, 9, 9, first="2026-11-09")
    page = page_of(measured(newest=measured().newest.head(0), weekly=few, timings=summarize_timings(NO_TIMINGS)))
    for sentence in (
        "Nothing was counted yet.",
        "No document is published yet.",
        "A forecast needs 3 full weeks of collecting after the first; there are 1.",
    ):
        assert sentence in page
    assert ".png" not in page


def test_pictures_are_drawn_and_the_same_each_time():
    pictures = [draw_timings(measured().timings), draw_growth(measured())]
    assert all(picture.startswith(PNG) for picture in pictures)
    assert pictures == [draw_timings(measured().timings), draw_growth(measured())]


def test_without_a_line_there_is_no_picture_of_it():
    with pytest.raises(ValueError, match="expected a line through three weeks or more"):
        draw_growth(measured(weekly=NO_WEEKS))


@pytest.mark.parametrize(("size", "words"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (MIB, "1.0 MiB"), (3 * GIB, "3.0 GiB")])
def test_bytes_in_words(size, words):
    assert words_of_bytes(size) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.0001, "0.1 ms"), (0.5, "500.0 ms"), (12.0, "12.0 s")])
def test_seconds_in_words(seconds, words):
    assert words_of_seconds(seconds) == words


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prices": {"objects": -1}}, "report.prices.objects"),
        ({"currency": "dollars"}, "report.currency"),
        ({"small_file_mib": 0}, "report.small_file_mib"),
    ],
)
def test_settings_that_make_no_sense_are_refused(project_of, given, message):
    with pytest.raises(ValueError, match=message):
        project_of([{"kind": "files", "name": "a", "path": "/a/*.txt", "fields": {"text": "text"}}], report=given)


def test_a_project_without_the_section_has_the_defaults(project_of):
    project: Project = project_of([{"kind": "files", "name": "a", "path": "/a/*.txt", "fields": {"text": "text"}}])
    assert (project.report.currency, project.report.prices.objects, project.report.window_days) == ("USD", 0.023, 30)
