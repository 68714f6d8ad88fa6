"""The shapes in which people's tools write votes, read into one: annotator, rating, answer.

An answer is a label, labels, or spans, as `assets/answers.py` writes them; which of them the task wants is decided at labeling.
Growing a frame of votes belongs to `votes.py`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assets.answers import AnswerError, QuotedSpan, Span, encode_quoted_spans, quote_spans
from assets.collection.charset import storable_text
from assets.project import ANSWER_LABEL

_VOTE_KEYS = {"value", "label", "labels", "spans", "start"}
_ANONYMOUS = [f"anonymous:{position:02d}" for position in range(1, 1000)]


@dataclass(frozen=True)
class Circumstances:
    """How a vote came about.

    Attributes:
        seconds: How long the annotator took; None where nobody measured.
        guideline: Version of the guideline that the annotator was shown; None where there was none.
    """

    seconds: float | None = None
    guideline: str | None = None


class MalformedVoteError(Exception):
    """A vote, or a whole votes field, is of no known shape."""


@dataclass(frozen=True)
class VotedText:
    """What is known of the text that votes are about.

    Attributes:
        text: The document's text; None when the votes came without it.
        shift: Where in it the text begins that the offsets count from.
        span_label: Label of a span that names none; None where each must.
    """

    text: str | None = None
    shift: int = 0
    span_label: str | None = None


def read_votes_field(raw: object) -> Sequence[object]:
    """The votes in a field: a list, the spans of one annotator, answers to a question, JSON of one of these, or nothing.

    Raises:
        MalformedVoteError: It is something else.
    """
    raw = read_json_text(raw, "a list of votes")
    if raw is None:
        return []
    if isinstance(raw, dict) and "answer_start" in raw:
        return _read_answers(raw)
    if isinstance(raw, dict) and raw.keys() & _VOTE_KEYS:
        return [raw]
    if not isinstance(raw, list):
        raise MalformedVoteError(f"expected a list of votes, found {type(raw).__name__}")
    is_one_annotators = bool(raw) and all(_looks_like_span(item) and not _names_annotator(item) for item in raw)
    return [{"spans": raw}] if is_one_annotators else raw


def read_json_text(raw: object, expected: str) -> object:
    """A value that may have come as JSON text, as columns of CSV files and databases do; None for blank and missing.

    Raises:
        MalformedVoteError: A text is no JSON.
    """
    if raw is None or (isinstance(raw, float) and math.isnan(raw)) or (isinstance(raw, str) and not raw.strip()):
        return None
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedVoteError(f"expected {expected} or JSON of one, found text that is no JSON: {error}") from error


def read_vote(vote: object, position: int, about: VotedText = VotedText()) -> tuple[str, float | None, str | None]:
    """Annotator, rating and answer of one vote.

    Args:
        vote: A number, a label, a list of labels or spans, or an object with `annotator` and `value`, `label`, `labels` or `spans`; or
            with `withdrawn: true`: the annotator has no answer any more, which gives neither rating nor answer.
        position: Place in its list from 0; names an annotator whom the source does not identify.
        about: The text that spans are in.

    Raises:
        MalformedVoteError: It is none of these, not finite, or a span is outside the text.
    """
    anonymous = _ANONYMOUS[position] if position < len(_ANONYMOUS) else f"anonymous:{position + 1}"
    if not isinstance(vote, dict):
        return (anonymous, *_read_answer(vote, about))
    annotator = vote.get("annotator", vote.get("annotator_id"))
    name = anonymous if annotator is None or annotator == "" else storable_text(str(annotator))
    if vote.get("withdrawn") is True:
        return name, None, None
    if "spans" in vote:
        return name, None, _read_spans(vote["spans"], about)
    if "labels" in vote and not _looks_like_span(vote):
        return name, None, _read_labels(vote["labels"])
    if _looks_like_span(vote):
        return name, None, _read_spans([vote], about)
    value, label = vote.get("value"), vote.get("label")
    if value is None:
        return (name, *_read_answer(label, about))
    rating, _ = _read_answer(value, about)
    if rating is None or not (label is None or isinstance(label, str)):
        raise MalformedVoteError(f"expected a number as value and a text as label, found {value!r:.60} and {label!r:.60}")
    return name, rating, storable_text(label) if label else None


def read_circumstances(vote: object) -> Circumstances:
    """How a vote came about, as far as it says so.

    Raises:
        MalformedVoteError: `seconds` is no number from 0, or `guideline` no text.
    """
    if not isinstance(vote, dict):
        return Circumstances()
    seconds, guideline = vote.get("seconds"), vote.get("guideline")
    if seconds is not None and not (isinstance(seconds, (int, float)) and 0 <= seconds < math.inf):
        raise MalformedVoteError(f"expected seconds as a number from 0, found {seconds!r:.60}")
    if guideline is not None and not isinstance(guideline, str):
        raise MalformedVoteError(f"expected the version of the guideline as a text, found {guideline!r:.60}")
    return Circumstances(None if seconds is None else float(seconds), storable_text(guideline) if guideline else None)


def read_bounds(raw: object) -> tuple[int, int]:
    """Start and end of an entity: {start, end}, [start, end], or JSON of one of them.

    Raises:
        MalformedVoteError: It is neither.
    """
    content = read_json_text(raw, "{start, end} or [start, end]")
    bounds = [content.get("start"), content.get("end")] if isinstance(content, dict) else content
    if isinstance(bounds, list) and len(bounds) == 2:
        start, end = (_as_whole(bound) for bound in bounds)
        if start is not None and end is not None:
            return start, end
    raise MalformedVoteError(f"expected start and end as whole numbers, {{start, end}} or [start, end], found {raw!r:.60}")


def _read_answer(answer: object, about: VotedText) -> tuple[float | None, str | None]:
    if isinstance(answer, list):
        is_spans = bool(answer) and all(_looks_like_span(item) for item in answer)
        return None, _read_spans(answer, about) if is_spans else _read_labels(answer)
    if isinstance(answer, str) and answer.strip():
        return None, storable_text(answer)
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        try:
            rating = float(answer)
        except OverflowError:
            rating = math.inf
        if math.isfinite(rating):
            return rating, None
    raise MalformedVoteError(f"expected a finite number or a label, found {type(answer).__name__} {answer!r:.60}")


def _read_labels(raw: object) -> str:
    """Labels as a JSON list in their order, each once."""
    if not isinstance(raw, list) or not all(isinstance(label, str) and label.strip() for label in raw):
        raise MalformedVoteError(f"expected a list of labels, found {raw!r:.60}")
    return json.dumps(list(dict.fromkeys(storable_text(label) for label in raw)), ensure_ascii=False, separators=(",", ":"))


def _read_spans(raw: object, about: VotedText) -> str:
    """Spans with what they cover in the text, where the text is known."""
    if not isinstance(raw, list):
        raise MalformedVoteError(f"expected a list of spans, found {type(raw).__name__} {raw!r:.60}")
    spans = [span for item in raw for span in _read_span(item, about)]
    try:
        return encode_quoted_spans(map(QuotedSpan, spans) if about.text is None else quote_spans(spans, about.text))
    except AnswerError as error:
        raise MalformedVoteError(str(error)) from error


def _read_span(item: object, about: VotedText) -> list[Span]:
    """A span once for each of its labels: [start, end, label], {start, end, label} or {start, end, labels}, also within `value`."""
    content = _unwrap(item)
    if isinstance(content, dict):
        labels = content.get("labels", content.get("label", about.span_label))
        bounds = (content.get("start"), content.get("end"))
    elif isinstance(content, (list, tuple)) and len(content) in (2, 3):
        labels, bounds = content[2] if len(content) == 3 else about.span_label, (content[0], content[1])
    else:
        labels, bounds = None, (None, None)
    names = labels if isinstance(labels, list) else [labels]
    start, end = (_as_whole(bound) for bound in bounds)
    if start is None or end is None or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise MalformedVoteError(f"expected a span with start, end (whole numbers) and label, found {item!r:.80}")
    spans = [Span(start + about.shift, end + about.shift, storable_text(str(name))) for name in names]
    _check_quote(content, spans[0], about)
    return spans


def _check_quote(content: object, span: Span, about: VotedText) -> None:
    """Raise when a span says what it covers and the text has something else there; white space is not compared."""
    said = content.get("text") if isinstance(content, dict) else None
    if not isinstance(said, str) or about.text is None:
        return
    found = about.text[span.start : span.end]
    if "".join(storable_text(said).split()) != "".join(found.split()):
        raise MalformedVoteError(f"expected {said[:60]!r} at {span.start - about.shift} of the text, found {found[:60]!r}")


def _read_answers(raw: Mapping[str, Any]) -> list[object]:
    """Answers to a question as SQuAD writes them, {text: […], answer_start: […]}: one vote per answer; a vote for none when empty."""
    texts, starts = raw.get("text"), raw["answer_start"]
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise MalformedVoteError(f"expected as many texts as answer_start in lists, found {raw!r:.80}")
    if not texts:
        return [{"spans": []}]
    votes: list[object] = []
    for text, start in zip(texts, starts, strict=True):
        place = _as_whole(start)
        if not isinstance(text, str) or place is None:
            raise MalformedVoteError(f"expected texts and whole numbers as answers, found {text!r:.60} at {start!r:.20}")
        span = {"start": place, "end": place + len(storable_text(text)), "label": ANSWER_LABEL, "text": text}
        votes.append({"spans": [span]})
    return votes


def _looks_like_span(item: object) -> bool:
    content = _unwrap(item)
    if isinstance(content, dict):
        return "start" in content and "end" in content
    return isinstance(content, (list, tuple)) and len(content) == 3 and all(_as_whole(bound) is not None for bound in content[:2])


def _names_annotator(item: object) -> bool:
    return isinstance(item, dict) and any(item.get(key) for key in ("annotator", "annotator_id"))


def _unwrap(item: object) -> object:
    """What Label Studio keeps in the `value` of a result, else the thing itself."""
    return item["value"] if isinstance(item, dict) and isinstance(item.get("value"), dict) else item


def _as_whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
