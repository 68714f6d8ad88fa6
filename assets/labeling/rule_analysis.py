"""What each labeling function does: how much it votes on, beside which others, against whom, and how often people say the same.

The columns are those of Snorkel's analysis of labeling functions (Ratner et al., VLDB 2018, arXiv 1711.10160, section 3): coverage,
overlaps, conflicts and accuracy. Answers are compared whole: of two lists of spans that differ in one span, neither is the other.

Does not belong here: the functions (`rules.py`), what their votes weigh (`consensus.py`).
"""

from dataclasses import dataclass

import pandas as pd

from assets.markdown import markdown_table

# One row per labeling function, or model, that voted; people's answer to a document is the one that most of them gave, if there is one.
RULE_ANALYSIS_SQL = """
WITH given_without_people AS (
    SELECT document_id, annotator_id, label FROM rule_votes UNION ALL SELECT document_id, annotator_id, label FROM model_votes
), per_document AS (
    SELECT document_id, count(*) AS votes, count(DISTINCT label) AS answers FROM given_without_people GROUP BY document_id
), given AS (
    SELECT document_id, label, count(*) AS votes FROM annotations WHERE voter_kind = 'human' GROUP BY ALL
), people AS (
    SELECT document_id, label AS answer FROM given
    WINDOW ranked AS (PARTITION BY document_id ORDER BY votes DESC)
    QUALIFY votes > coalesce(lead(votes) OVER ranked, 0) AND row_number() OVER ranked = 1
)
SELECT
    annotator_id,
    count(*) AS votes,
    (SELECT count(*) FROM clean_documents) AS documents,
    list_sort(list(DISTINCT label)) AS answers,
    count(*) FILTER (per_document.votes > 1) AS overlaps,
    count(*) FILTER (per_document.answers > 1) AS conflicts,
    count(answer) AS judged,
    count(*) FILTER (label = answer) AS correct
FROM given_without_people JOIN per_document USING (document_id) LEFT JOIN people USING (document_id)
GROUP BY annotator_id
ORDER BY annotator_id
"""
SHOWN_ANSWERS = 6


@dataclass(frozen=True)
class RuleAnalysis:
    """What one labeling function does; all documents are those that are clean.

    Attributes:
        annotator_id: `rule:<name>`.
        answers: The different answers it gave, sorted.
        votes: Documents it voted on.
        coverage: Their share of all documents, 0 to 1.
        overlaps: Share of all documents on which another function voted too.
        conflicts: Share of all documents on which another function gave another answer.
        judged: Documents it voted on to which most people gave one answer.
        accuracy: Share of those on which it gave that answer; None where nobody judged.
    """

    annotator_id: str
    answers: tuple[str, ...]
    votes: int
    coverage: float
    overlaps: float
    conflicts: float
    judged: int
    accuracy: float | None


def analyse_rules(counts: pd.DataFrame) -> list[RuleAnalysis]:
    """Shares from the counts of `RULE_ANALYSIS_SQL`, one row per labeling function."""
    return [
        RuleAnalysis(
            annotator_id=row["annotator_id"],
            answers=tuple(row["answers"]),
            votes=row["votes"],
            coverage=row["votes"] / row["documents"],
            overlaps=row["overlaps"] / row["documents"],
            conflicts=row["conflicts"] / row["documents"],
            judged=row["judged"],
            accuracy=row["correct"] / row["judged"] if row["judged"] else None,
        )
        for row in counts.to_dict("records")
    ]


def rule_table(analyses: list[RuleAnalysis]) -> str:
    """The analyses as a Markdown table."""
    headings = ("labeling function", "answers", "votes", "coverage", "overlaps", "conflicts", "judged by people", "accuracy")
    rows = (
        (
            rule.annotator_id,
            _answers_in_words(rule.answers),
            rule.votes,
            *(f"{share:.3f}" for share in (rule.coverage, rule.overlaps, rule.conflicts)),
            rule.judged,
            "–" if rule.accuracy is None else f"{rule.accuracy:.3f}",
        )
        for rule in analyses
    )
    return markdown_table(headings, rows)


def _answers_in_words(answers: tuple[str, ...]) -> str:
    """Labels by name; lists, and what is too many to name, by number."""
    if len(answers) > SHOWN_ANSWERS or any(answer.startswith("[") for answer in answers):
        return f"{len(answers)} different"
    return ", ".join(answers)
