"""The graph. One folder per stage, in the order in which data flows; the folder is the Dagster group.

- `collection` promises immutable raw bytes and one row per document and revision.
- `cleaning` promises repaired, deduplicated text; what it refuses is kept with a reason.
- `labeling` promises one consensus per document, with its distribution and its confidence.
- `storage` promises frozen, leakage-free data sets and a search index.
- `training` promises a model that was compared with its rivals on the same rows before it shipped.

`schemas.py` declares every table once, `project.py` the YAML configuration, `tags.py` owners and tags, and `quality/` audits
what the stages write. In a stage, `assets.py` is wiring, `expectations.py` is its promise and every other file is pure.
"""
