"""How an answer (a vote, a consensus, a prediction) is written as one text, whatever the task.

The `label` column of every table holds such a text, so that all stages treat all tasks alike:

- `text_classification`, `relation_extraction`: the label itself, `positive`;
- `multi_label_classification`: a JSON list of labels in the task's order, `["sports","money"]`; `[]` says that none fits;
- `token_classification`, `question_answering`: a JSON list of spans in order, `[{"start":0,"end":4,"label":"PERSON"}]`; `[]` says that
  there is none.

Equal answers are equal texts. Does not belong here: who answers, and what is done with the answers.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assets.project import Task

HEAD_MARKERS, TAIL_MARKERS = ("[E1]", "[/E1]"), ("[E2]", "[/E2]")
"""Around the two entities of a relation (entity markers: Baldini Soares et al., ACL 2019, arXiv 1906.03158)."""
QUESTION_MARKER, CONTEXT_MARKER = "[Q]", "[C]"
"""Before the question and before the text that holds its answer."""


class AnswerError(ValueError):
    """A text is no answer of its task."""


@dataclass(frozen=True, order=True)
class Span:
    """A labelled stretch of a text.

    Attributes:
        start: First character, from 0.
        end: After the last character; above `start`.
        label: A label of the task.
    """

    start: int
    end: int
    label: str


def encode_labels(chosen: Iterable[str], labels: Sequence[str]) -> str:
    """The answer of a multi-label task: the chosen labels in the task's order, each once.

    Raises:
        AnswerError: One is not a label of the task.
    """
    wanted = set(chosen)
    _require_labels(wanted, labels)
    return _dump([label for label in labels if label in wanted])


def decode_labels(answer: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of a multi-label answer, in the task's order.

    Raises:
        AnswerError: The text is no JSON list of labels of the task.
    """
    content = _load(answer)
    chosen = {item for item in content if isinstance(item, str)}
    if len(chosen) < len(content):
        raise AnswerError(f"expected a JSON list of distinct labels, found {answer[:80]!r}")
    _require_labels(chosen, labels)
    return tuple(label for label in labels if label in chosen)


def encode_spans(spans: Iterable[Span]) -> str:
    """The answer of a task with spans: in order of start, end and label, each once."""
    return _dump([{"start": span.start, "end": span.end, "label": span.label} for span in sorted(set(spans))])


def decode_spans(answer: str, labels: Sequence[str], text_chars: int | None = None) -> tuple[Span, ...]:
    """The spans of an answer, in order.

    Args:
        answer: The text.
        labels: The task's labels.
        text_chars: Length of the text that the spans are in; None does not check it.

    Raises:
        AnswerError: The text is no JSON list of spans, a label is not the task's, or a span is empty or outside the text.
    """
    spans = tuple(sorted({_read_span(item, answer) for item in _load(answer)}))
    _require_labels({span.label for span in spans}, labels)
    for span in spans:
        if not 0 <= span.start < span.end or (text_chars is not None and span.end > text_chars):
            within = "" if text_chars is None else f" within {text_chars} characters"
            raise AnswerError(f"expected a span with 0 <= start < end{within}, found {span.start} to {span.end}")
    return spans


def canonical_answer(answer: str, task: Task, text_chars: int | None = None) -> str:
    """The one way to write this answer of the task.

    Raises:
        AnswerError: It is no answer of the task.
    """
    if task.has_spans:
        return encode_spans(decode_spans(answer, task.labels, text_chars))
    if task.kind == "multi_label_classification":
        return encode_labels(decode_labels(answer, task.labels), task.labels)
    _require_labels({answer}, task.labels)
    return answer


def _read_span(item: object, answer: str) -> Span:
    fields = item if isinstance(item, dict) else {}
    start, end, label = fields.get("start"), fields.get("end"), fields.get("label")
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        raise AnswerError(f"expected spans with start, end (whole numbers) and label, found {answer[:80]!r}")
    return Span(start, end, label)


def _require_labels(found: Iterable[str], labels: Sequence[str]) -> None:
    unknown = sorted(set(found) - set(labels))
    if unknown:
        raise AnswerError(f"expected labels out of {list(labels)}, found {unknown}")


def _load(answer: str) -> list[object]:
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"expected a JSON list, found {answer[:80]!r}") from error
    if not isinstance(content, list):
        raise AnswerError(f"expected a JSON list, found {answer[:80]!r}")
    return content


def _dump(content: Sequence[object]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
