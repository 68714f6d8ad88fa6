"""What the votes say without one labeling function, and what leaving data out has cost, in words.

The consensus proper is the labeling stage's; this repeats its shares for one voter less, on rows of a frozen data set, and leaves rows
alone whose votes no longer give the frozen shares. Does not belong here: training without them (`study_run.py`).
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from assets.answers import decode_labels, decode_spans, encode_labels, encode_spans
from assets.project import Task

CLOSE = 1e-6
CHANGED_COLUMNS = ["document_id", "label", "distribution"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Removals:
    """Train labels without each labeling function.

    Attributes:
        changed: By function: one row per train row that changes: `document_id`, `label` (missing where nobody else voted), `distribution`.
        stale_rows: Train rows whose votes changed since the data set was frozen; they keep their labels.
    """

    changed: dict[str, pd.DataFrame]
    stale_rows: int


def hash_of_votes(votes: pd.DataFrame) -> str:
    """SHA-256 (hex) over the votes."""
    digest = hashlib.sha256()
    for column in ("document_id", "annotator_id", "label"):
        digest.update("\0".join(votes[column]).encode() + b"\1")
    return digest.hexdigest()


def ablate_votes(train: pd.DataFrame, votes: pd.DataFrame, task: Task, rule_weight: float) -> Removals:
    """The train labels without each labeling function that voted on them.

    Where answers are spans, a span that only this function found goes, and the others stay as they are: their shares depend on who looks
    for which label, which votes do not say.

    Args:
        train: One row per train document: `document_id`, `label`, `distribution`.
        votes: Votes on them: `document_id`, `annotator_id`, `voter_kind`, `label`.
        task: Kind and labels.
        rule_weight: Weight of a labeling function's vote beside one of a person.
    """
    functions = sorted(votes.loc[votes["voter_kind"] == "rule", "annotator_id"].unique())
    if task.has_spans:
        return Removals({function: _without_spans(train, votes, task, function) for function in functions}, 0)
    frozen = np.array(train["distribution"].tolist(), dtype=float)
    present = vote_shares(train["document_id"], votes, task, rule_weight)
    is_stale = ~(np.abs(present - frozen).max(axis=1) < CLOSE)
    changed = {}
    for function in functions:
        shares = vote_shares(train["document_id"], votes[votes["annotator_id"] != function], task, rule_weight)
        differs = ~is_stale & ~(np.abs(shares - frozen).max(axis=1) < CLOSE)
        changed[function] = pd.DataFrame(
            {
                "document_id": train["document_id"].to_numpy()[differs],
                "label": pd.Series([answer_of(row, task) for row in shares[differs]], dtype=object),
                "distribution": pd.Series(list(shares[differs]), dtype=object),
            },
            columns=CHANGED_COLUMNS,
        )
    return Removals(changed, int(is_stale.sum()))


def vote_shares(documents: pd.Series, votes: pd.DataFrame, task: Task, rule_weight: float) -> Floats:
    """Share of the weighted votes per document and label, (documents, labels); NaN where nobody voted."""
    row = pd.Index(documents).get_indexer(pd.Index(votes["document_id"]))
    weight = np.where(votes["voter_kind"] == "rule", rule_weight, 1.0)
    chosen_by = {answer: _choice(answer, task) for answer in votes["label"].unique()}
    chosen = np.array([chosen_by[answer] for answer in votes["label"]], dtype=float).reshape(len(votes), len(task.labels))
    behind = np.zeros((len(documents), len(task.labels)))
    np.add.at(behind, row, chosen * weight[:, None])
    total = np.bincount(row, weights=weight, minlength=len(documents))[:, None]
    shares: Floats = np.divide(behind, total, out=np.full(behind.shape, np.nan), where=total > 0)
    return shares


def answer_of(shares: Floats, task: Task) -> str | None:
    """The answer that shares of votes give; None where there are none. Ties go to the label that comes first."""
    if np.isnan(shares).any():
        return None
    if task.has_lists:
        return encode_labels([label for label, share in zip(task.labels, shares, strict=True) if share > 0.5], task.labels)
    return task.labels[int(np.argmax(shares))]


def describe_ablation(rows: pd.DataFrame, stale_rows: int, dev_rows: int) -> str:
    """The ablation in Markdown, what is worth most first; its picture is named `ablation.png`."""
    overall = rows[rows["slice"] == "overall"].sort_values("difference", ascending=False)
    lines = [
        "### Which data earns its keep",
        "",
        "![ablation](ablation.png)",
        "",
        "| left out | kind | train rows changed | macro F1 with all | without | worth | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in overall.to_dict("records"):
        reach = f"{row['low']:+.4f} to {row['high']:+.4f}" if row["is_trained"] else "changes no label: not trained"
        lines.append(
            f"| {row['removed']} | {row['kind'].replace('_', ' ')} | {row['train_rows_changed']} | {row['with_all']:.4f} "
            f"| {row['without']:.4f} | {row['difference']:+.4f} | {reach} |"
        )
    lines += [
        "",
        f"Measured on the {dev_rows} rows of the dev split, not on test. An interval around 0 says that no difference was shown. All this "
        "holds for the share, the epochs and the seeds of the study.",
    ]
    if stale_rows:
        lines += ["", f"The votes on {stale_rows} train rows have changed since the data set was frozen; these rows kept their labels."]
    return "\n".join(lines)


def _choice(answer: str, task: Task) -> npt.NDArray[np.bool_]:
    chosen = decode_labels(answer, task.labels) if task.has_lists else (answer,)
    return np.isin(task.labels, chosen)


def _without_spans(train: pd.DataFrame, votes: pd.DataFrame, task: Task, function: str) -> pd.DataFrame:
    """Rows in which the function alone found one of the consensus's spans, without these spans."""
    spans_of = {answer: set(decode_spans(answer, task.labels)) for answer in votes["label"].unique()}
    others, own = votes[votes["annotator_id"] != function], votes[votes["annotator_id"] == function]
    found_by_others: dict[str, set[object]] = {}
    for document_id, answer in others[["document_id", "label"]].itertuples(index=False):
        found_by_others.setdefault(document_id, set()).update(spans_of[answer])
    found = {document_id: spans_of[answer] for document_id, answer in own[["document_id", "label"]].itertuples(index=False)}
    rows = []
    for document_id, answer, shares in train[CHANGED_COLUMNS].itertuples(index=False):
        alone = found.get(document_id, set()) - found_by_others.get(document_id, set())
        spans = decode_spans(answer, task.labels)
        kept = [(span, share) for span, share in zip(spans, shares, strict=True) if span not in alone]
        if len(kept) < len(spans):
            rows.append((document_id, encode_spans([span for span, _ in kept]), [float(share) for _, share in kept]))
    return pd.DataFrame(rows, columns=CHANGED_COLUMNS)
