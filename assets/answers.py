"""How an answer (a vote, a consensus, a prediction) is written as one text, whatever the task.

The `label` column of every table holds such a text, so that all stages treat all tasks alike:

- `text_classification`, `relation_extraction`: the label itself, `positive`;
- `multi_label_classification`: a JSON list of labels in the task's order, `["sports","money"]`; `[]` says that none fits;
- `token_classification`, `question_answering`: a JSON list of spans in order, `[{"start":0,"end":4,"label":"PERSON"}]`; `[]` says that
  there is none.

Equal answers are equal texts. Before cleaning, a span also carries what it was about, so that it can be found again in the cleaned text
(`QuotedSpan`). Does not belong here: who answers, and what is done with the answers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assets.project import Task

HEAD_MARKERS, TAIL_MARKERS = ("[E1]", "[/E1]"), ("[E2]", "[/E2]")
"""Around the two entities of a relation (entity markers: Baldini Soares et al., ACL 2019, arXiv 1906.03158)."""
QUESTION_MARKER, CONTEXT_MARKER = "[Q]", "[C]"
"""Before the question and before the text that holds its answer."""
SPAN_ANSWER = r'\{"start":\d+,"end":\d+,"label":"(?:[^"\\]|\\.)+"\}'
LABEL_ANSWER = r'"(?:[^"\\]|\\.)+"'


DOCUMENT_ID_FIELD = "textmill_document_id"
"""In records of votes and tasks: the revision that people are shown; beside it `text`, the text that they see."""


class AnswerError(ValueError):
    """A text is no answer of its task."""


class UnknownLabelError(AnswerError):
    """An answer of the right shape names a label that the task does not have."""


class SpanOutsideTextError(AnswerError):
    """A span is empty, or lies outside the text."""


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


@dataclass(frozen=True)
class QuotedSpan:
    """A span of a text as it was collected, with what finds it again after cleaning.

    Attributes:
        span: The span, in characters of the collected text.
        quote: The characters it covers; None where the vote refers to the cleaned text itself.
        visible_before: Characters before it that are not white space; None with `quote`.
    """

    span: Span
    quote: str | None = None
    visible_before: int | None = None


def encode_labels(chosen: Iterable[str], labels: Sequence[str]) -> str:
    """The answer of a multi-label task: the chosen labels in the task's order, each once.

    Raises:
        UnknownLabelError: One is not a label of the task.
    """
    wanted = set(chosen)
    _require_labels(wanted, labels)
    return _dump([label for label in labels if label in wanted])


def decode_labels(answer: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of a multi-label answer, in the task's order.

    Raises:
        AnswerError: The text is no JSON list of labels.
        UnknownLabelError: A label is not the task's.
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
        AnswerError: The text is no JSON list of spans.
        UnknownLabelError: A label is not the task's.
        SpanOutsideTextError: A span is empty or outside the text.
    """
    spans = tuple(sorted({_read_span(item, answer) for item in _load(answer)}))
    _require_labels({span.label for span in spans}, labels)
    for span in spans:
        require_within(span, text_chars)
    return spans


def require_within(span: Span, text_chars: int | None) -> None:
    """Raise unless a span holds a character and ends within the text; a length of None is not checked.

    Raises:
        SpanOutsideTextError: It does not.
    """
    if not 0 <= span.start < span.end or (text_chars is not None and span.end > text_chars):
        within = "" if text_chars is None else f" within {text_chars} characters"
        raise SpanOutsideTextError(f"expected a span with 0 <= start < end{within}, found {span.start} to {span.end}")


def encode_quoted_spans(spans: Iterable[QuotedSpan]) -> str:
    """Spans of a collected text with their quotes: in order, each once."""
    content: list[dict[str, object]] = []
    for found in sorted(set(spans), key=lambda found: found.span):
        place: dict[str, object] = {"start": found.span.start, "end": found.span.end, "label": found.span.label}
        quoted = {} if found.quote is None else {"quote": found.quote, "visible_before": found.visible_before}
        content.append(place | quoted)
    return _dump(content)


def decode_quoted_spans(answer: str, labels: Sequence[str] | None = None) -> tuple[QuotedSpan, ...]:
    """The spans that `encode_quoted_spans` wrote, in order.

    Raises:
        AnswerError: The text is no JSON list of spans.
        UnknownLabelError: A label is not one of `labels`; None allows all.
    """
    found = [_read_quoted_span(item, answer) for item in _load(answer)]
    if labels is not None:
        _require_labels({quoted.span.label for quoted in found}, labels)
    return tuple(sorted(set(found), key=lambda quoted: quoted.span))


def quote_spans(spans: Iterable[Span], text: str) -> tuple[QuotedSpan, ...]:
    """Spans with what they cover in the text, in order.

    Raises:
        SpanOutsideTextError: One is empty or outside the text.
    """
    quoted = []
    for span in sorted(set(spans)):
        require_within(span, len(text))
        quoted.append(QuotedSpan(span, text[span.start : span.end], len("".join(text[: span.start].split()))))
    return tuple(quoted)


def mark_entities(text: str, head: tuple[int, int], tail: tuple[int, int]) -> str:
    """The text with markers around its two entities, which may lie within each other.

    Args:
        text: The text.
        head: Start and end of the first entity of the relation.
        tail: Start and end of the second.

    Raises:
        SpanOutsideTextError: An entity is empty or outside the text.
    """
    marks: list[tuple[tuple[int, int, int, int], str]] = []
    for rank, (bounds, markers) in enumerate(((head, HEAD_MARKERS), (tail, TAIL_MARKERS))):
        require_within(Span(*bounds, "entity"), len(text))
        # At one place closing markers come before opening ones, inner closing ones and outer opening ones first.
        marks += [((bounds[0], 1, -bounds[1], rank), markers[0]), ((bounds[1], 0, -bounds[0], -rank), markers[1])]
    pieces, place = [], 0
    for (position, *_), marker in sorted(marks):
        pieces += [text[place:position], marker]
        place = position
    return "".join([*pieces, text[place:]])


def mark_question(question: str, context: str) -> tuple[str, int]:
    """The text that holds a question and the text to answer it from; and where in it the latter begins."""
    start = f"{QUESTION_MARKER} {question.strip()} {CONTEXT_MARKER} "
    return start + context, len(start)


def marked_parts(text: str) -> tuple[str, ...]:
    """What a marked text is about: its question, or both entities, each with the number of times it stood in the text before.

    Empty for a text that nothing is marked in.
    """
    if text.startswith(f"{QUESTION_MARKER} ") and f" {CONTEXT_MARKER} " in text:
        return (text[len(QUESTION_MARKER) : text.index(f" {CONTEXT_MARKER} ")].strip(),)
    parts = []
    for opening, closing in (HEAD_MARKERS, TAIL_MARKERS):
        before, found, rest = text.partition(opening)
        entity, ended, _ = rest.partition(closing)
        if not found or not ended:
            return ()
        entity = _without_markers(entity)
        parts.append(f"{_without_markers(before).count(entity)} {entity}")
    return tuple(parts)


def _without_markers(text: str) -> str:
    for marker in (*HEAD_MARKERS, *TAIL_MARKERS):
        text = text.replace(marker, "")
    return text


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


def answer_pattern(task: Task) -> str:
    """A regular expression that every canonical answer of a task with lists as answers matches."""
    item = SPAN_ANSWER if task.has_spans else LABEL_ANSWER
    return rf"^\[(?:{item}(?:,{item})*)?\]$"


def labels_of_answer(answer: str, task: Task) -> tuple[str, ...]:
    """The labels that a canonical answer gives, each once, in the task's order; none for an answer that names none.

    Raises:
        AnswerError: It is no answer of the task.
    """
    if task.has_spans:
        found = {span.label for span in decode_spans(answer, task.labels)}
        return tuple(label for label in task.labels if label in found)
    return decode_labels(answer, task.labels) if task.kind == "multi_label_classification" else (answer,)


def count_outside_task(answers: Iterable[str | None], task: Task, text_chars: Iterable[int | None] | None = None) -> int:
    """How many answers are not written as the task's answers are; a missing answer counts as none.

    Args:
        answers: The answers.
        task: The task.
        text_chars: Length of the text of each; None does not check spans against it.
    """
    found = list(answers)
    lengths = [None] * len(found) if text_chars is None else list(text_chars)
    return sum(not _is_canonical(answer, task, chars) for answer, chars in zip(found, lengths, strict=True) if isinstance(answer, str))


def _is_canonical(answer: str, task: Task, text_chars: int | None) -> bool:
    try:
        return canonical_answer(answer, task, text_chars) == answer
    except AnswerError:
        return False


def _read_quoted_span(item: object, answer: str) -> QuotedSpan:
    span = _read_span(item, answer)
    fields: Mapping[str, object] = item if isinstance(item, dict) else {}
    quote, visible_before = fields.get("quote"), fields.get("visible_before")
    if quote is None and visible_before is None:
        return QuotedSpan(span)
    if not isinstance(quote, str) or type(visible_before) is not int:
        raise AnswerError(f"expected quote (a text) and visible_before (a whole number) in each span, found {answer[:80]!r}")
    return QuotedSpan(span, quote, visible_before)


def _read_span(item: object, answer: str) -> Span:
    fields = item if isinstance(item, dict) else {}
    start, end, label = fields.get("start"), fields.get("end"), fields.get("label")
    if type(start) is not int or type(end) is not int or not isinstance(label, str):
        raise AnswerError(f"expected spans with start, end (whole numbers) and label, found {answer[:80]!r}")
    return Span(start, end, label)


def _require_labels(found: Iterable[str], labels: Sequence[str]) -> None:
    unknown = sorted(set(found) - set(labels))
    if unknown:
        raise UnknownLabelError(f"expected labels out of {list(labels)}, found {unknown}")


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
