"""From votes on spans to one answer per document.

Named entities are decided one by one. Behind a span stands the weight of the voters who marked exactly it; against it the weight of
those who could have marked it and did not: people look for every type, a labeling function for its own. A span is kept when more
weight is behind it than against it; of kept spans that overlap the heavier stays, then the longer, then the earlier. An answer to a
question is decided as a whole: the span with the most weight, if that is more than the weight of the votes for none.

Confidence is the least lead probability (`consensus.lead_probability`) over everything decided: each span somebody marked, and, for
each type of the task, that those who looked for it saw nothing else. So a type that no voter looked for leaves the document
undecided (0.5), and agreement of five people without a single contested span gives 1 - 0.5 ** 6 = 0.98.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assets.answers import Span
from assets.project import Task


@dataclass(frozen=True)
class SpanVote:
    """One vote on the spans of a document.

    Attributes:
        spans: What was marked; none says that there is none.
        weight: Weight of the vote.
        types: Labels that the voter looks for; None for all.
    """

    spans: tuple[Span, ...]
    weight: float = 1.0
    types: frozenset[str] | None = None


@dataclass(frozen=True)
class SpanDecision:
    """The consensus on one document.

    Attributes:
        spans: The kept spans, in order, none overlapping another.
        shares: Share of the weight behind each of them, in their order.
        leads: (for, against) of everything decided; the confidence is the least lead probability of these.
    """

    spans: tuple[Span, ...] = ()
    shares: tuple[float, ...] = ()
    leads: tuple[tuple[float, float], ...] = field(default=())


def decide_spans(votes: Sequence[SpanVote], task: Task) -> SpanDecision:
    """The consensus of some votes on one document.

    Args:
        votes: At least one.
        task: A task with spans.
    """
    return _decide_answer(votes) if task.kind == "question_answering" else _decide_entities(votes, task.labels)


def _decide_entities(votes: Sequence[SpanVote], labels: Sequence[str]) -> SpanDecision:
    looked = {label: sum(vote.weight for vote in votes if vote.types is None or label in vote.types) for label in labels}
    behind = _weights(votes)
    kept = _without_overlaps({span: weight for span, weight in behind.items() if weight > looked[span.label] - weight})
    leads = [(weight, looked[span.label] - weight) for span, weight in behind.items()]
    return SpanDecision(
        kept, tuple(behind[span] / looked[span.label] for span in kept), (*leads, *((looked[label], 0.0) for label in labels))
    )


def _decide_answer(votes: Sequence[SpanVote]) -> SpanDecision:
    total = sum(vote.weight for vote in votes)
    none = sum(vote.weight for vote in votes if not vote.spans)
    behind = _weights(votes)
    ranked = sorted(behind, key=lambda span: (-behind[span], span.start - span.end, span.start))
    weights = sorted([none, *behind.values(), 0.0], reverse=True)
    lead = ((weights[0], weights[1]),)
    if ranked and behind[ranked[0]] > none:
        return SpanDecision((ranked[0],), (behind[ranked[0]] / total if total else 0.0,), lead)
    return SpanDecision((), (), lead)


def _weights(votes: Sequence[SpanVote]) -> Mapping[Span, float]:
    """Weight behind each span, in order of the spans; a voter counts for a span once, and for its own types only."""
    behind: dict[Span, float] = defaultdict(float)
    for vote in votes:
        for span in set(vote.spans):
            if vote.types is None or span.label in vote.types:
                behind[span] += vote.weight
    return dict(sorted(behind.items()))


def _without_overlaps(weights: Mapping[Span, float]) -> tuple[Span, ...]:
    """The spans that stay when of two that overlap the heavier, then the longer, then the earlier does."""
    kept: list[Span] = []
    for span in sorted(weights, key=lambda span: (-weights[span], span.start - span.end, span)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept))
