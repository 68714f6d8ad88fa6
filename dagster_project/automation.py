"""Schedules and sensors: when the graph moves by itself."""

import hashlib
import json

import dagster as dg

from assets.project import Project
from dagster_project.jobs import partition_range_tags, refresh, retrain
from resources.lakehouse import Lakehouse

# Confident labels approved after the data set that the champion was trained on, and what that data set was.
NEW_LABELS_SQL = """
WITH champion AS (
    SELECT champion_id FROM champion_model WHERE champion_id IS NOT NULL ORDER BY decided_at DESC LIMIT 1),
trained AS (
    SELECT dataset_version FROM fine_tuned_model JOIN champion ON model_id = champion_id),
frozen AS (
    SELECT min(t.increment_id) AS increment_id
    FROM lake.history.training_dataset t JOIN trained USING (dataset_version)),
consumed AS (
    SELECT input_increment_id FROM lake.main.increment_inputs JOIN frozen USING (increment_id))
SELECT (SELECT dataset_version FROM trained) AS dataset_version, count(*) AS new_labels, max(increment_id) AS newest
FROM labeled_documents
WHERE is_confident AND increment_id NOT IN (SELECT input_increment_id FROM consumed)
"""


def build_schedules(project: Project) -> list[dg.ScheduleDefinition]:
    """Refresh every day, retrain every week; both are off until somebody turns them on in the UI."""
    tags = partition_range_tags([source.name for source in project.sources])

    @dg.schedule(job=refresh, cron_schedule="0 3 * * *", description="Collects from all sources at 03:00 UTC every day.")
    def daily_refresh(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(tags=tags)

    weekly = dg.ScheduleDefinition(
        "weekly_retrain", job=retrain, cron_schedule="0 5 * * 1", description="Freezes a data set and retrains at 05:00 UTC every Monday."
    )
    return [daily_refresh, weekly]


def build_retrain_sensor(project: Project) -> dg.SensorDefinition:
    """Requests a retraining when enough labels were approved since the champion's data set."""
    threshold = project.training.retrain_after_new_labels

    @dg.sensor(job=retrain, minimum_interval_seconds=300, name="retrain_on_new_labels")
    def retrain_on_new_labels(
        context: dg.SensorEvaluationContext, lakehouse: dg.ResourceParam[Lakehouse]
    ) -> dg.SensorResult | dg.SkipReason:
        """Counts labels approved since the champion's data set; asks for one run per champion and batch of labels."""
        found = lakehouse.read(NEW_LABELS_SQL).iloc[0]
        if found["dataset_version"] is None:
            return dg.SkipReason("There is no champion yet; run the job `retrain` or `everything` once.")
        new_labels = int(found["new_labels"])
        seen = json.loads(context.cursor) if context.cursor else {}
        if new_labels < threshold:
            return dg.SkipReason(f"{new_labels} new labels since data set {found['dataset_version']}; {threshold} request a retraining.")
        if is_requested(seen, str(found["dataset_version"]), new_labels, threshold):
            return dg.SkipReason(
                f"A retraining for {seen['new_labels']} new labels was requested already; it has not changed the champion."
            )
        cursor = {"dataset_version": found["dataset_version"], "new_labels": new_labels, "newest": found["newest"]}
        key = hashlib.sha256(json.dumps(cursor, sort_keys=True).encode()).hexdigest()[:32]
        return dg.SensorResult([dg.RunRequest(run_key=key)], cursor=json.dumps(cursor))

    return retrain_on_new_labels


def is_requested(seen: dict[str, object], dataset_version: str, new_labels: int, threshold: int) -> bool:
    """Whether the last request covers these labels: same champion data set, and less than another threshold of labels since.

    A challenger that loses leaves the champion's data set as it was; without this, every later label would request a run.
    """
    return seen.get("dataset_version") == dataset_version and new_labels - int(str(seen.get("new_labels", 0))) < threshold
