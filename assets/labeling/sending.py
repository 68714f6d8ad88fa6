"""Wiring of `labeling_tasks`: what the queue asks becomes tasks on the labeling server, each document once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from assets.answers import DOCUMENT_ID_FIELD
from assets.label_studio import ASKED_FOR, annotation_key, instruction_of, label_config, language_of, title_of, to_task
from assets.labeling.given_answers import records_of
from assets.project import Project
from assets.schemas import LABELING_TASKS
from resources.increments import Step
from resources.labeling_server import LabelingServer, LabelingServerError, ServerProject
from resources.lakehouse import Lakehouse

VOTES = "votes"
"""Who suggests an answer where no model does: the consensus so far."""

# The queue in its order, with what the champion says, else what the votes so far say. Of gold questions that would be the answer; where a
# label is doubted, nothing is suggested.
QUESTIONS_SQL = f"""
SELECT q.document_id, q.source, q.language, q.text, q.position,
    'label_issue ' || d.label AS asked_for,
    coalesce(p.label, l.label) AS suggestion,
    CASE WHEN p.label IS NOT NULL THEN p.model_id WHEN l.label IS NOT NULL THEN '{VOTES}' END AS suggested_by,
    coalesce(p.confidence, q.confidence) AS confidence
FROM labeling_queue q
LEFT JOIN pool_predictions p ON p.document_id = q.document_id AND q.strategy <> 'label_issue'
LEFT JOIN labeled_documents l ON l.document_id = q.document_id AND q.strategy NOT IN ('gold', 'label_issue')
LEFT JOIN labeled_documents d ON d.document_id = q.document_id AND q.strategy = 'label_issue'
ORDER BY q.position
"""
SENT_SQL = "SELECT document_id FROM labeling_tasks WHERE server_url = $url LIMIT 1"
# Documents of which there is a newer revision.
OUTDATED_SQL = """
SELECT document_id FROM clean_documents SEMI JOIN wanted USING (document_id)
WHERE revision < (SELECT max(revision) FROM clean_documents newer
                  WHERE newer.source = clean_documents.source AND newer.external_id = clean_documents.external_id)
"""


def send_queue(step: Step, lakehouse: Lakehouse, server: LabelingServer, project: Project) -> dict[str, Any]:
    """Ask people about what is new in the queue, or about all of it on a server that has nothing yet; without a server nobody is asked.

    Returns:
        Metadata for the UI.
    """
    new_rows = sum(len(batch) for batch in step.batches("labeling_queue"))
    if not server.is_on:
        step.count(rows_in=new_rows, rows_skipped=new_rows)
        return {"server": "none; set TEXTMILL_LABEL_STUDIO_URL to ask people in a browser"}
    if not step.has_new_input and len(lakehouse.read(SENT_SQL, {"url": server.url})):
        return {}
    return bring_up_to_date(step, lakehouse, server, project)


def bring_up_to_date(step: Step, lakehouse: Lakehouse, server: LabelingServer, project: Project) -> dict[str, Any]:
    """On the server: the project, tasks that the queue asks for, and no untouched task about a text that has changed.

    What is there is asked of the server, so that a push that was cut short, or a new server, mends itself. A doubted label is asked in a
    new task, in place of the one that was answered, once those answers have been collected.
    """
    config, instruction = label_config(project.task, language_of(project)), instruction_of(project.labeling.guideline or "")
    overlap = max(project.labeling.min_human_votes, 1)
    project_id = server.open_project(ServerProject(title_of(project), config, instruction, overlap))
    problem = ask_for_notices(server, project_id)
    present = {str(task["data"].get(DOCUMENT_ID_FIELD)): task for task in server.tasks(project_id)}
    queue = lakehouse.read(QUESTIONS_SQL)
    again = answered_tasks_to_replace(queue, present, lakehouse)
    untouched = {document_id: int(task["id"]) for document_id, task in present.items() if not task["annotations"]}
    outdated = lakehouse.read(OUTDATED_SQL, frames={"wanted": pd.DataFrame({"document_id": sorted(untouched)}, dtype="str")})
    server.remove_tasks([*(untouched[document_id] for document_id in outdated["document_id"]), *again.values()])
    asked = queue[~queue["document_id"].isin(set(present) - set(again))]
    version = project.labeling.guideline_version
    server.add_tasks(project_id, [to_task(row, project.task, version) for row in records_of(asked)])
    if asked.empty and not step.has_new_input:
        return {}
    rows = asked.assign(server_url=server.url, project_id=project_id, guideline=version, added_at=pd.Timestamp(datetime.now(UTC)))
    step.write("labeling_tasks", rows[LABELING_TASKS.column_names()])
    step.count(rows_in=len(queue), rows_out=len(asked), rows_skipped=len(queue) - len(asked))
    step.measure("tasks_removed", len(outdated) + len(again))
    step.measure("tasks_untouched", len(untouched) - len(outdated) + len(asked))
    return {"server": f"{server.url}/projects/{project_id}/data"} | ({"webhook": problem} if problem else {})


def ask_for_notices(server: LabelingServer, project_id: int) -> str:
    """Have the server say when somebody annotates; returns why it does not want to, which stops nothing: the sensor looks by itself too."""
    try:
        server.ask_for_notices(project_id)
    except LabelingServerError as error:
        return str(error)
    return ""


def answered_tasks_to_replace(queue: pd.DataFrame, present: Mapping[str, Mapping[str, Any]], lakehouse: Lakehouse) -> dict[str, int]:
    """Tasks by document whose label is doubted, that were answered before it was, and whose every annotation has been collected."""
    cursors = lakehouse.read("SELECT cursor_key, cursor_value FROM collection_cursors")
    collected = dict(zip(cursors["cursor_key"], cursors["cursor_value"], strict=True))
    doubted = queue[queue["asked_for"].notna() & queue["document_id"].isin(present)]
    found = {}
    for document_id, asked_for in doubted[["document_id", "asked_for"]].itertuples(index=False):
        task = present[document_id]
        is_collected = all(collected.get(annotation_key(each)) == each["updated_at"] for each in task["annotations"])
        if task["data"].get(ASKED_FOR) != asked_for and is_collected:
            found[document_id] = int(task["id"])
    return found
