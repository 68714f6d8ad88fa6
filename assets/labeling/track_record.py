"""What is kept of each annotator: how many votes, how quick, how right where the answer is known, how often like the others.

The rows of `annotators`, for every kind of task. Where texts have one label, agreement is with the consensus and errors are learnt
(`annotators.py`); where answers are lists, agreement is the mean F1 with the answers of others. A vote is hasty when the text cannot have
been read: faster than 15 words (Chinese: characters) a second, four times the silent reading speed of adults (238 words a minute in
English, Brysbaert, Journal of Memory and Language 109, 2019), or within half a second.

Does not belong here: what a vote is worth (`annotators.py`), which answers are known (`gold.py`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from assets.labeling.annotators import ALL_VOTES_SQL, STANDING, VOTER_SQL
from assets.labeling.gold import GOLD_SQL, rightness
from assets.markdown import markdown_table
from assets.project import Gold, Task
from assets.schemas import ANNOTATORS

SUSPICIOUS_VOTES = 20
"""Fewer votes say too little about a person to name anything suspicious."""
SAME_ANSWER_SHARE = 0.95
SAME_ANSWER_EXCESS = 0.2
"""Always the same answer: nearly all of an annotator's votes, and so much more often than others give it on the same documents."""
HASTY_SHARE = 0.5
HASTY_WORDS_PER_SECOND = 15.0
LEAST_SECONDS = 0.5

SHOWN_ANNOTATORS = 50
SHOWN_CHARS = 40
RATIOS = ("gold_ratio", "agreement_ratio", "accuracy_ratio", "median_seconds", "hasty_ratio", "commonest_ratio")
RECORD_HEADINGS = (
    *("annotator", "votes", "gold", "right on gold", "agreement", "accuracy", "seconds", "hasty", "commonest answer", "its share"),
    "look at",
)

# One row per voter: votes on clean documents, the commonest answer, and how quick.
CONDUCT_SQL = f"""
WITH votes AS (SELECT * FROM ({ALL_VOTES_SQL}) SEMI JOIN clean_documents USING (document_id)),
commonest AS (
    SELECT voter, label AS commonest_label, count(*) AS commonest_votes FROM votes GROUP BY voter, label
    QUALIFY row_number() OVER (PARTITION BY voter ORDER BY count(*) DESC, label) = 1
), timed AS (
    SELECT {VOTER_SQL} AS voter, count(*) AS timed_votes, median(seconds) AS median_seconds,
        avg((seconds < greatest({LEAST_SECONDS}, text_words / {HASTY_WORDS_PER_SECOND}))::INTEGER) AS hasty_ratio
    FROM annotations JOIN (SELECT document_id, text_words FROM clean_documents) USING (document_id) WHERE seconds IS NOT NULL GROUP BY 1
)
SELECT voter, voter_kind, count(*) AS votes_count, any_value(commonest_label) AS commonest_label,
    any_value(commonest_votes) / count(*) AS commonest_ratio, coalesce(any_value(timed_votes), 0) AS timed_votes,
    any_value(median_seconds) AS median_seconds, any_value(hasty_ratio) AS hasty_ratio
FROM votes JOIN commonest USING (voter) LEFT JOIN timed USING (voter) GROUP BY voter, voter_kind ORDER BY voter
"""
# How often each voter gave which answer to documents whose answer is known.
GOLD_VOTES_SQL = f"""
SELECT voter, label AS given, answer AS known, count(*) AS votes
FROM ({ALL_VOTES_SQL}) JOIN ({GOLD_SQL}) USING (document_id) WHERE NOT list_contains($gold::VARCHAR[], voter) GROUP BY ALL
"""


def keep_records(conduct: pd.DataFrame, standing: pd.DataFrame, gold_votes: pd.DataFrame, task: Task, gold: Gold) -> pd.DataFrame:
    """What is kept of every annotator: columns of `annotators`.

    Args:
        conduct: One row per voter (`CONDUCT_SQL`).
        standing: One row per voter among the others: columns of `STANDING`; who is missing cannot be compared.
        gold_votes: One row per voter, answer and known answer (`GOLD_VOTES_SQL`).
        task: The task.
        gold: Whose answers are known to be right, and how right the others' must be.
    """
    rows = conduct.merge(standing, on="voter", how="left").merge(_gold_accuracy(gold_votes, task), on="voter", how="left")
    rows["gold_count"] = rows["gold_count"].fillna(0).astype("int64")
    rows["confusion"] = [table if isinstance(table, list) else [] for table in rows["confusion"]]
    rows["suspicion"] = _suspicions(rows, task, gold)
    return rows.rename(columns={"voter": "annotator_id"})[ANNOTATORS.column_names()]


def standing_among_others(pairs: pd.DataFrame, conduct: pd.DataFrame, task: Task) -> pd.DataFrame:
    """How alike each annotator's lists are to those of others on the same documents; columns of `STANDING`.

    Args:
        pairs: One row per pair of people and pair of answers (`agreement.PAIRS_SQL`).
        conduct: One row per voter (`CONDUCT_SQL`).
        task: The task.
    """
    turned = pairs.rename(columns={"annotator": "other", "other": "annotator", "given": "others", "others": "given"})
    both = pd.concat([pairs, turned], ignore_index=True).rename(columns={"annotator": "voter"})
    commonest = both["voter"].map(conduct.set_index("voter")["commonest_label"])
    weighed = both.assign(alike=rightness(both["given"], both["others"], task) * both["votes"])
    weighed["usual"] = (both["others"] == commonest) * both["votes"]
    sums = weighed.groupby("voter")[["votes", "alike", "usual"]].sum().reset_index()
    standing = sums.assign(
        shared_votes=sums["votes"], agreement_ratio=sums["alike"] / sums["votes"], usual_ratio=sums["usual"] / sums["votes"]
    )
    return standing.assign(accuracy_ratio=np.nan, confusion=None)[list(STANDING)]


def annotator_table(records: pd.DataFrame) -> str:
    """What is known of annotators as a Markdown table: those who should be looked at first, then those with most votes."""
    shown = records.sort_values(["suspicion", "votes_count"], ascending=[True, False], na_position="last").head(SHOWN_ANNOTATORS)

    def rows() -> Iterator[list[object]]:
        for row in shown.to_dict("records"):
            gold, agreement, accuracy, seconds, hasty, commonest = ("–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in RATIOS)
            known = [row["votes_count"], row["gold_count"], gold, agreement, accuracy, seconds, hasty]
            answer, look = str(row["commonest_label"])[:SHOWN_CHARS], (row["suspicion"] or "").replace("_", " ")
            yield [row["annotator_id"], *known, answer, commonest, look]

    return markdown_table(RECORD_HEADINGS, rows())


def _gold_accuracy(gold_votes: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Per voter: `gold_count` answers to gold questions, `gold_ratio` of them right."""
    right = rightness(gold_votes["given"], gold_votes["known"], task) * gold_votes["votes"]
    sums = gold_votes.assign(right=right).groupby("voter")[["votes", "right"]].sum().reset_index()
    return sums.assign(gold_count=sums["votes"], gold_ratio=sums["right"] / sums["votes"])[["voter", "gold_count", "gold_ratio"]]


def _suspicions(rows: pd.DataFrame, task: Task, gold: Gold) -> pd.Series:
    """What should be looked at, worst first; missing where there is nothing."""
    by_chance = 0.0 if task.has_lists else 1 / len(task.labels)
    is_same = (rows["votes_count"] >= SUSPICIOUS_VOTES) & (rows["commonest_ratio"] >= SAME_ANSWER_SHARE)
    is_human = rows["voter_kind"] == "human"
    found: Mapping[str, pd.Series] = {
        "fails_gold": is_human & (rows["gold_count"] >= gold.min_answers) & (rows["gold_ratio"] < gold.min_accuracy),
        "always_the_same": is_same & (rows["commonest_ratio"] - rows["usual_ratio"] >= SAME_ANSWER_EXCESS),
        "at_odds": (rows["shared_votes"] >= SUSPICIOUS_VOTES) & (rows["agreement_ratio"] < by_chance),
        "too_fast": (rows["timed_votes"] >= SUSPICIOUS_VOTES) & (rows["hasty_ratio"] >= HASTY_SHARE),
    }
    named = np.select([mask.to_numpy(dtype=bool) for mask in found.values()], list(found), default="")
    return pd.Series(named, dtype=object, index=rows.index).where(named != "", None)
