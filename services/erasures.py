"""The erasures so far, for people who answer for them: when, why, what went from where, and what is marked; nothing of what it was.

Does not belong here: erasing (`erasure.py`), the proofs themselves (`resources/tombstones.py`).
"""

from typing import Any

from resources.object_store import ObjectStore
from resources.tombstones import Proof, read_proofs

SUBJECT_DIGITS = 16


def list_erasures(store: ObjectStore, subject_hash: str | None = None) -> list[dict[str, Any]]:
    """Every erasure, oldest first, or those of one subject.

    Args:
        store: Where the proofs lie.
        subject_hash: Keyed hash of the subject.
    """
    return [describe_proof(proof) for proof in read_proofs(store) if subject_hash in (None, proof.subject)]


def describe_proof(proof: Proof) -> dict[str, Any]:
    """An erasure as a row: of its hashes only the beginning of the subject's, and how many raw objects it still has to delete."""
    shown = proof.model_dump(mode="json", exclude={"objects", "sources", "records", "texts", "authors"})
    return shown | {
        "subject": proof.subject[:SUBJECT_DIGITS],
        "removed": "; ".join(f"{count} {place}" for place, count in proof.removed.items()),
        "objects_to_go": len(proof.objects),
    }
