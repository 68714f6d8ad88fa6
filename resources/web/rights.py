"""What an answer says about training models on it, in its headers. What pages say is read in `assets/collection/pages.py`."""

import re
from collections.abc import Mapping

AI_AGENTS = (
    "GPTBot",
    "ClaudeBot",
    "anthropic-ai",
    "Google-Extended",
    "Applebot-Extended",
    "CCBot",
    "Bytespider",
    "meta-externalagent",
    "cohere-ai",
    "AI2Bot",
)
"""Crawlers that collect for models, or names that stand for such use: whoever forbids them a page does not want models trained on it."""

_NO_TRAINING = re.compile(r"^\s*content-(signal|usage)\s*:.*\b(ai-train\s*=\s*no|train-ai\s*=\s*n)\b", re.IGNORECASE | re.MULTILINE)
_NO_AI = re.compile(r"(?:^|[\s,:])noai(?:$|[\s,])", re.IGNORECASE)


def header_signal(headers: Mapping[str, str]) -> str | None:
    """`noai` (X-Robots-Tag) or `tdm_reservation` (TDM-Reservation: 1, W3C TDM Reservation Protocol); None where neither is there.

    Args:
        headers: Values by lower-case name.
    """
    if _NO_AI.search(headers.get("x-robots-tag", "")):
        return "noai"
    return "tdm_reservation" if headers.get("tdm-reservation", "").strip() == "1" else None


def forbids_training(robots_text: str) -> bool:
    """Whether a robots.txt has a content signal against training (`Content-Signal: ai-train=no`), for whatever part of the site."""
    return _NO_TRAINING.search(robots_text) is not None
