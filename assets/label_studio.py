"""Label Studio's dialect: how the question looks, what is asked and suggested, and what the answers mean.

The control with which people answer is named after the shape of its answer, so that answers can be read without the project file.
Does not belong here: requests (`resources/labeling_server.py`), what is asked (`assets/labeling/sending.py`).
"""

import hashlib
import html
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from xml.etree import ElementTree

from assets.answers import DOCUMENT_ID_FIELD, decode_labels, decode_spans
from assets.project import Project, Task

TEXT, LABEL, LABELS, SPANS = "text", "label", "labels", "spans"
"""Names of what is asked about, and of the controls with which people answer: one label, any number of labels, spans."""
ANNOTATOR = "annotator"
"""Key of an annotation under which the name of its author is added to what the server sent."""
ANNOTATION = "label_studio:"
"""Begins the name of an annotation on the server, under which is remembered when it was last changed."""
ASKED_FOR = "asked_for"
"""Key of a task's data: why a document that was answered is asked again."""
TITLE_CHARS = 50
"""Longest title of a project that Label Studio takes."""
Language = Literal["en", "zh"]
QUESTIONS: dict[str, dict[Language, str]] = {
    "text_classification": {"en": "Which label fits the text?", "zh": "哪个标签适合这段文本？"},
    "multi_label_classification": {
        "en": "Which labels fit the text? Several, one or none.",
        "zh": "哪些标签适合这段文本？可选多个、一个或不选。",
    },
    "token_classification": {"en": "Mark every span and choose its label.", "zh": "请标出每个片段并选择它的标签。"},
    "relation_extraction": {"en": "How are the two marked entities related?", "zh": "标出的两个实体是什么关系？"},
    "question_answering": {"en": "Mark the answer to the question in the text.", "zh": "请在文本中标出问题的答案。"},
}


def title_of(project: Project) -> str:
    """Name of the project on the server; one that is too long ends with digits of its hash, so that no two projects share tasks."""
    title = f"textmill: {project.name}"
    return title if len(title) <= TITLE_CHARS else f"{title[: TITLE_CHARS - 9]}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


def language_of(project: Project) -> Language:
    """In which language people are asked: Chinese where the project's first language is, else English."""
    return "zh" if project.languages[0].startswith("zh") else "en"


def control_of(task: Task) -> str:
    """Name of the control with which people answer."""
    if task.has_spans:
        return SPANS
    return LABELS if task.has_lists else LABEL


def instruction_of(guideline: str) -> str:
    """A guideline as HTML: paragraphs and lines as they were written, and no markup of its own."""
    return "".join(f"<p>{html.escape(part).replace(chr(10), '<br>')}</p>" for part in guideline.split("\n\n") if part.strip())


def label_config(task: Task, language: Language) -> str:
    """Label Studio's XML: the question, the text, and the control."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value=QUESTIONS[task.kind][language])
    control = control_of(task)
    text = ElementTree.Element("Text", name=TEXT, value=f"${TEXT}", granularity="symbol" if language == "zh" else "word")
    if control == SPANS:
        labels = ElementTree.SubElement(view, "Labels", name=control, toName=TEXT)
        for label in task.labels:
            ElementTree.SubElement(labels, "Label", value=label)
        view.append(text)
    else:
        view.append(text)
        several = control == LABELS
        choices = ElementTree.SubElement(view, "Choices", name=control, toName=TEXT)
        choices.attrib |= {"choice": "multiple" if several else "single", "required": str(not several).lower(), "showInline": "true"}
        for label in task.labels:
            ElementTree.SubElement(choices, "Choice", value=label)
    return ElementTree.tostring(view, encoding="unicode")


def to_task(row: Mapping[str, Any], task: Task, guideline: str | None) -> dict[str, Any]:
    """A task about one document.

    Args:
        row: `document_id`, `source`, `language`, `text`; `suggestion` (an answer of the task, or missing), `suggested_by`, `confidence`;
            `asked_for`, why it is asked again, may be missing.
        task: The project's task.
        guideline: Version of the guideline that people are shown.
    """
    data = {
        TEXT: row["text"],
        DOCUMENT_ID_FIELD: row["document_id"],
        "source": row["source"],
        "language": row["language"],
        "control": control_of(task),
        "guideline": guideline,
    }
    if isinstance(row.get(ASKED_FOR), str):
        data[ASKED_FOR] = row[ASKED_FOR]
    if not isinstance(row["suggestion"], str):
        return {"data": data}
    prediction = {
        "model_version": row["suggested_by"],
        "score": row["confidence"],
        "result": to_results(row["suggestion"], row["text"], task),
    }
    return {"data": data, "predictions": [prediction]}


def to_results(answer: str, text: str, task: Task) -> list[dict[str, Any]]:
    """An answer of the task as Label Studio writes it."""
    control = control_of(task)
    if control == SPANS:
        return [
            {
                "id": f"s{number}",
                "from_name": control,
                "to_name": TEXT,
                "type": "labels",
                "value": {"start": span.start, "end": span.end, "text": text[span.start : span.end], "labels": [span.label]},
            }
            for number, span in enumerate(decode_spans(answer, task.labels))
        ]
    chosen = list(decode_labels(answer, task.labels)) if control == LABELS else [answer]
    return [{"from_name": control, "to_name": TEXT, "type": "choices", "value": {"choices": chosen}}] if chosen else []


def annotation_key(annotation: Mapping[str, Any]) -> str:
    """Name of an annotation on the server."""
    return f"{ANNOTATION}{annotation['id']}"


def votes_of(task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One vote per person: the newest annotation counts. Who skips a task withdraws what they said before."""
    control, guideline = task["data"]["control"], task["data"].get("guideline")
    newest = {each[ANNOTATOR]: each for each in sorted(task["annotations"], key=lambda each: (each["updated_at"], each["id"]))}
    for annotator, annotation in newest.items():
        vote = {"annotator": annotator, "seconds": annotation.get("lead_time"), "guideline": guideline}
        if annotation.get("was_cancelled"):
            yield vote | {"withdrawn": True}
            continue
        values = [result["value"] for result in annotation["result"] if result.get("from_name") == control]
        if control == SPANS:
            yield vote | {"spans": [_in_characters(value, task["data"][TEXT]) for value in values]}
            continue
        chosen = [choice for value in values for choice in value["choices"]]
        yield vote | ({"labels": chosen} if control == LABELS else {"label": chosen[0] if len(chosen) == 1 else chosen})


def _in_characters(value: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A span in characters. Browsers count in UTF-16, in which an emoji is two; Label Studio counts characters or these, by its version."""
    said, start, end = value.get("text"), value["start"], value["end"]
    if isinstance(said, str) and text[start:end] != said:
        units = text.encode("utf-16-le")
        first, last = (len(units[: 2 * place].decode("utf-16-le", "ignore")) for place in (start, end))
        if text[first:last] == said:
            return {**value, "start": first, "end": last}
    return dict(value)
