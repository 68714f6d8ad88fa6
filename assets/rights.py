"""The right to train a model on a text: who decides it, and what counts as a refusal.

What a web site says is read at collection and kept with each document as its signal; the project file may decide otherwise for a whole
source. The same decision is made when a document is collected, for its row, and again when a data set is frozen, with today's project file.
"""

from typing import Literal

AiTraining = Literal["allowed", "denied", "by_signals"]

DENIED_BY_SOURCE = "denied_by_source"
SIGNALS = ("noai", "tdm_reservation", "robots_txt", "ai_txt")
"""`noai` in a robots meta tag or in X-Robots-Tag; a TDM reservation (W3C TDMRep) in a header or meta tag; rules for crawlers that feed
models in robots.txt; ai.txt."""
REFUSALS = (DENIED_BY_SOURCE, *SIGNALS)


def training_refusal(policy: AiTraining, signal: str | None) -> str | None:
    """Why no model may be trained on a text; None where one may.

    Args:
        policy: What the project file says of the source. `by_signals`, the default, allows what nothing speaks against: texts of one's own
            files and databases carry no signals, and whoever names them as a source is taken to have the right.
        signal: One of `SIGNALS`, or None.
    """
    if policy == "denied":
        return DENIED_BY_SOURCE
    return signal if policy == "by_signals" else None
