"""Schedules and sensors: when the graph moves by itself."""

import hashlib
import json
import time

import dagster as dg

from assets.collection.receiving import changed_tasks
from assets.label_studio import ANNOTATION, title_of
from assets.project import Project
from dagster_project.jobs import back_up, compact, partition_range_tags, refresh, report, retrain
from resources.labeling_server import LabelingServer
from resources.lakehouse import Lakehouse
from resources.notices import ANNOTATED, Notices

# Confident labels approved after the data set that the champion was trained on, what that data set was, and what the champion learnt
# from it that was erased since.
NEW_LABELS_SQL = """
WITH champion AS (
    SELECT champion_id FROM champion_model WHERE champion_id IS NOT NULL ORDER BY decided_at DESC LIMIT 1),
trained AS (
    SELECT dataset_version, coalesce(erased_train_rows, 0) AS erased_rows FROM fine_tuned_model JOIN champion ON model_id = champion_id),
frozen AS (
    SELECT min(t.increment_id) AS increment_id
    FROM lake.history.training_dataset t JOIN trained USING (dataset_version)),
consumed AS (
    SELECT input_increment_id FROM lake.main.increment_inputs JOIN frozen USING (increment_id))
SELECT (SELECT dataset_version FROM trained) AS dataset_version, (SELECT erased_rows FROM trained) AS erased_rows, count(*) AS new_labels,
    max(increment_id) AS newest
FROM labeled_documents
WHERE is_confident AND increment_id NOT IN (SELECT input_increment_id FROM consumed)
"""


# Annotations on the labeling server that were collected, and when each was last changed.
KNOWN_ANNOTATIONS_SQL = f"SELECT cursor_key, cursor_value FROM collection_cursors WHERE starts_with(cursor_key, '{ANNOTATION}')"


SECONDS_WITHOUT_WEBHOOK, SECONDS_WITH_WEBHOOK = 60, 900
"""How often the labeling server is asked; with a webhook rarely, in case that a call was lost."""


def build_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """Refresh and back up daily, retrain, compact and report on storage weekly; all are off until somebody turns them on in the UI."""
    tags = partition_range_tags([source.name for source in project.sources])

    @dg.schedule(job=refresh, cron_schedule="0 3 * * *", description="Collects from all sources at 03:00 UTC every day.")
    def daily_refresh(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(tags=tags)

    weekly = dg.ScheduleDefinition(
        "weekly_retrain", job=retrain, cron_schedule="0 5 * * 1", description="Freezes a data set and retrains at 05:00 UTC every Monday."
    )
    nightly = dg.ScheduleDefinition(
        "nightly_backup", job=back_up, cron_schedule="0 1 * * *", description="Backs up what is new at 01:00 UTC every night."
    )
    sundays = dg.ScheduleDefinition(
        "weekly_compaction", job=compact, cron_schedule="0 2 * * 0", description="Compacts the lakehouse at 02:00 UTC every Sunday."
    )
    reports = dg.ScheduleDefinition(
        "weekly_storage_report", job=report, cron_schedule="0 4 * * 1", description="Reports on storage at 04:00 UTC every Monday."
    )
    return [daily_refresh, weekly, nightly, sundays, reports]


def build_retrain_sensor(project: Project) -> dg.SensorDefinition:
    """Requests a retraining when enough labels were approved since the champion's data set, or text was erased that it learnt from."""
    threshold = project.training.retrain_after_new_labels

    @dg.sensor(job=retrain, minimum_interval_seconds=300, name="retrain_on_new_labels")
    def retrain_on_new_labels(
        context: dg.SensorEvaluationContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.SensorResult | dg.SkipReason:
        """Counts labels approved since the champion's data set, and its rows that were erased; asks once per champion and batch of them."""
        found = lakehouse.read(NEW_LABELS_SQL).iloc[0]
        if found["dataset_version"] is None:
            return dg.SkipReason("There is no champion yet; run the job `retrain` or `everything` once.")
        dataset_version, new_labels, erased_rows = str(found["dataset_version"]), int(found["new_labels"]), int(found["erased_rows"])
        seen = json.loads(context.cursor) if context.cursor else {}
        if new_labels < threshold and not erased_rows:
            return dg.SkipReason(f"{new_labels} new labels since data set {dataset_version}; {threshold} request a retraining.")
        if is_requested(seen, dataset_version, new_labels, threshold, erased_rows):
            words = f"{seen['new_labels']} new labels and {seen.get('erased_rows', 0)} erased rows"
            return dg.SkipReason(f"A retraining for {words} was requested already; it has not changed the champion.")
        cursor = {"dataset_version": dataset_version, "new_labels": new_labels, "newest": found["newest"], "erased_rows": erased_rows}
        key = hashlib.sha256(json.dumps(cursor, sort_keys=True).encode()).hexdigest()[:32]
        return dg.SensorResult([dg.RunRequest(run_key=key)], cursor=json.dumps(cursor))

    return retrain_on_new_labels


def build_annotation_sensor(project: Project) -> dg.SensorDefinition:
    """Requests a refresh when people annotated something on the labeling server."""
    tags = partition_range_tags([source.name for source in project.sources])

    @dg.sensor(job=refresh, minimum_interval_seconds=15, name="refresh_on_new_annotations")
    def refresh_on_new_annotations(
        context: dg.SensorEvaluationContext,
        lakehouse: dg.ResourceParam[Lakehouse],
        labeling_server: dg.ResourceParam[LabelingServer],
        notices: dg.ResourceParam[Notices],
    ) -> dg.RunRequest | dg.SkipReason:
        """Looks for annotations that are new or were changed: at once after a notice, else from time to time; one run per state of them."""
        if not labeling_server.is_on:
            return dg.SkipReason("There is no labeling server; set TEXTMILL_LABEL_STUDIO_URL.")
        now, looked = time.time(), float(context.cursor or 0)
        patience = SECONDS_WITH_WEBHOOK if notices.is_expected else SECONDS_WITHOUT_WEBHOOK
        if now - looked < patience and notices.newest(ANNOTATED) <= looked:
            return dg.SkipReason(f"No notice of the labeling server; looked {now - looked:.0f} s ago.")
        context.update_cursor(str(now))
        project_id = labeling_server.find_project(title_of(project))
        if project_id is None:
            return dg.SkipReason("There are no tasks on the labeling server yet; run the job `refresh` once.")
        rows = lakehouse.read(KNOWN_ANNOTATIONS_SQL)
        cursors = dict(zip(rows["cursor_key"], rows["cursor_value"], strict=True))
        tasks = list(changed_tasks(labeling_server, project_id, None, cursors))
        if not tasks:
            return dg.SkipReason("No annotation is new.")
        state = sorted((each["id"], each["updated_at"]) for task in tasks for each in task["annotations"])
        return dg.RunRequest(run_key=hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32], tags=tags)

    return refresh_on_new_annotations


def is_requested(seen: dict[str, object], dataset_version: str, new_labels: int, threshold: int, erased_rows: int = 0) -> bool:
    """Whether the last request covers these labels and erased rows.

    It does when the champion's data set is the same, less than another threshold of labels came since, and not a row more was erased. A
    challenger that loses leaves the champion's data set as it was; without this, every later label would request a run.
    """
    is_enough = new_labels - int(str(seen.get("new_labels", 0))) >= threshold or erased_rows > int(str(seen.get("erased_rows", 0)))
    return seen.get("dataset_version") == dataset_version and not is_enough
