"""Wiring of the cleaning stage: raw documents in, clean and refused documents and tokens out."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from assets.cleaning.documents import clean
from assets.cleaning.duplicates import CANDIDATE_COLUMNS, DOCUMENT_COLUMNS, INDEX_COLUMNS, Deduplicated, deduplicate
from assets.cleaning.outliers import OUTLIERS_SQL, SAMPLE_SQL, VECTORS_SQL, outlier_table, to_outliers, unlike_in_meaning
from assets.cleaning.pii.names import open_name_finder
from assets.cleaning.pii.pseudonyms import Pseudonymizer
from assets.cleaning.samples import NOTHING, first_of_each, refused_samples, rules_table, samples_table
from assets.cleaning.shingles import sketch
from assets.cleaning.tokens import tokenize
from assets.project import Project
from assets.schemas import CLEAN_DOCUMENTS, REJECTED_DOCUMENTS, TEXT_OUTLIERS, TOKENS
from assets.tags import LAKE_POOL
from assets.wiring import (
    LakehouseResource,
    Materialized,
    ProjectResource,
    Refresh,
    asset_options,
    materialized,
    step_metadata,
    step_of,
    table_options,
)
from resources.increments import BATCH_ROWS, Step
from resources.lakehouse import Lakehouse
from resources.pseudonym_key import PseudonymKey

PACKAGE = "assets.cleaning"


@dg.multi_asset(
    name="clean_documents",
    pool=LAKE_POOL,
    specs=[
        dg.AssetSpec(
            "clean_documents",
            deps=["raw_documents"],
            description="Repaired, measured and deduplicated documents; each near-duplicate cluster is here once, by its earliest member.",
            **table_options(CLEAN_DOCUMENTS, ["duckdb", "pandas"]),
        ),
        dg.AssetSpec(
            "rejected_documents",
            deps=["raw_documents"],
            description="Documents that a cleaning rule or the duplicate search refused, each with its reason.",
            **table_options(REJECTED_DOCUMENTS, ["duckdb", "pandas"]),
        ),
    ],
)
def clean_documents(
    context: dg.AssetExecutionContext,
    config: Refresh,
    lakehouse: LakehouseResource,
    project: ProjectResource,
    pseudonym_key: dg.ResourceParam[PseudonymKey],
) -> Iterator[Materialized]:
    """Clean what is new; both tables are one increment, audited together."""
    with step_of(
        context, lakehouse, "clean_documents", upstream=["raw_documents"], full_refresh=config.full_refresh, package=PACKAGE
    ) as step:
        pii = project.cleaning.pii
        pseudonymizer = Pseudonymizer(pii.kinds, pii.phone_regions, pseudonym_key.read(), open_name_finder(pii.names_model))
        samples = NOTHING
        for batch in step.batches("raw_documents", order_by=("collected_at", "revision", "document_id")):
            found = clean_batch(step, batch, project, pseudonymizer, datetime.now(UTC))
            samples = first_of_each([samples, found], project.cleaning.samples_per_rule)
        counts, expected = step.counts, step.facts.get("expected_language_rows", 0.0)
        step.measure("kept_share", counts.rows_out / counts.rows_in if counts.rows_in else 1.0)
        step.measure("expected_language_share", expected / counts.rows_out if counts.rows_out else 1.0)
    rules = {
        "rules": dg.MetadataValue.md(rules_table(step.reasons, step.counts.rows_in)),
        "samples": dg.MetadataValue.md(samples_table(samples, shows_texts=project.cleaning.shows_texts)),
    }
    yield dg.MaterializeResult(asset_key="clean_documents", metadata=step_metadata(step, "clean_documents"))
    yield dg.MaterializeResult(asset_key="rejected_documents", metadata=step_metadata(step, "rejected_documents", rules))


@dg.asset(deps=["clean_documents"], **asset_options(TOKENS, ["duckdb", "python"]))
def tokens(context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource) -> Materialized:
    """Words of the clean documents: segmented, lower-cased, without stop words, stemmed; for search and baselines."""
    with step_of(context, lakehouse, "tokens", upstream=["clean_documents"], full_refresh=config.full_refresh, package=PACKAGE) as step:
        for batch in step.batches("clean_documents"):
            found = tokenize(batch)
            step.write("tokens", found)
            step.count(rows_in=len(batch), rows_out=len(found))
    return materialized(step)


@dg.asset(deps=["clean_documents", "tokens", "document_embeddings"], **asset_options(TEXT_OUTLIERS, ["duckdb", "sklearn"]))
def text_outliers(
    context: dg.AssetExecutionContext, config: Refresh, lakehouse: LakehouseResource, project: ProjectResource
) -> Materialized:
    """On demand: documents that are unlike the others of their source, each with its reason in words; the queue asks about them."""
    options: dict[str, Any] = {"full_refresh": config.full_refresh, "package": PACKAGE}
    upstream = ["clean_documents", "tokens", "document_embeddings"]
    metadata = {}
    with step_of(context, lakehouse, "text_outliers", upstream=upstream, following="snapshot", **options) as step:
        if step.has_new_input:
            outliers = find_outliers(lakehouse, project)
            documents = int(lakehouse.read("SELECT count(*) AS rows FROM clean_documents")["rows"].item())
            step.write("text_outliers", outliers)
            step.count(rows_in=documents, rows_out=documents)
            for measure, rows in outliers["measure"].value_counts().items():
                step.measure(f"outliers by {measure}", rows)
            metadata = {"farthest": dg.MetadataValue.md(outlier_table(outliers))}
    return materialized(step, metadata)


def find_outliers(lakehouse: Lakehouse, project: Project) -> pd.DataFrame:
    """Outliers by what can be counted, and by meaning as far as the project embeds documents."""
    settings, encoder = project.cleaning.outliers, {"base_model": project.training.base_model}
    limits = {"min_score": settings.min_score, "limit": settings.max_per_measure}
    counted = lakehouse.read(OUTLIERS_SQL, limits)
    vectors = lakehouse.read_batches(VECTORS_SQL, BATCH_ROWS, encoder)
    unlike = unlike_in_meaning(lakehouse.read(SAMPLE_SQL, encoder), vectors, settings.min_score, settings.max_per_measure)
    return to_outliers(counted, unlike)


def clean_batch(step: Step, raw: pd.DataFrame, project: Project, pseudonymizer: Pseudonymizer, now: datetime) -> pd.DataFrame:
    """Clean one batch, compare it with everything kept before, write what is kept and what is refused; samples of what rules did."""
    cleaned = clean(raw, settings=project.cleaning, languages=project.languages, pseudonymizer=pseudonymizer, now=now)
    sketches = sketch(cleaned.kept)
    candidates = find_candidates(step, cleaned.kept, sketches)
    resolved: Deduplicated = deduplicate(cleaned.kept, sketches, candidates, threshold=project.cleaning.near_duplicate_similarity, now=now)
    refused = pd.concat([cleaned.rejected, resolved.rejected], ignore_index=True)
    step.write("clean_documents", resolved.kept)
    step.write("duplicate_index", resolved.index)
    step.write("rejected_documents", refused)
    step.count(rows_in=len(raw), rows_out=len(resolved.kept), reasons=refused["reason"])
    for kind, count in cleaned.replaced.items():
        step.add(f"replaced_{kind}", float(count))
    expected = resolved.kept["language"].isin([*project.languages, "und"]).sum()
    step.add("expected_language_rows", float(expected))
    duplicates = refused_samples(cleaned.kept, resolved.rejected, project.cleaning.samples_per_rule)
    return first_of_each([cleaned.samples, duplicates], project.cleaning.samples_per_rule)


def find_candidates(step: Step, kept: pd.DataFrame, sketches: pd.DataFrame) -> pd.DataFrame:
    """Documents kept earlier that a new one may repeat: same text, a shared band, or the same external id; earliest first."""
    bands = np.concatenate([np.empty(0, dtype=np.uint64), *sketches["bands"]])
    place = ["increment_id", "document_id"]
    same_text = step.lookup("duplicate_index", sketches[["text_sha256"]], place)
    sharing_bands = step.lookup_overlapping("duplicate_index", "bands", bands)
    revised = step.lookup("clean_documents", kept[["source", "external_id"]], place)
    related = pd.concat([same_text, sharing_bands, revised], ignore_index=True).drop_duplicates()
    index = step.lookup("duplicate_index", related, ["document_id", *INDEX_COLUMNS])
    documents = step.lookup("clean_documents", related, [*DOCUMENT_COLUMNS, "revision"])
    found = documents.merge(index, on="document_id")
    return found.sort_values(["collected_at", "revision", "document_id"], ignore_index=True)[list(CANDIDATE_COLUMNS)]
