"""Jobs: named selections of the graph, a sentence each."""

import dagster as dg

from assets.tags import GPU_OP_TAGS

REFRESH = (
    *("raw_documents", "raw_annotations", "clean_documents", "rejected_documents", "tokens", "document_embeddings", "search_index"),
    *("annotations", "rule_votes", "model_votes", "labeled_documents", "labeling_queue", "pool_predictions", "labeling_tasks"),
)
RETRAIN = ("training_dataset", "fine_tuned_model", "evaluation_report", "champion_model")
SEARCH = ("hyperparameter_search",)
STUDIES = ("learning_curve", "ablation_report")
ISSUES = ("document_embeddings", "text_outliers", "label_issues", "labeling_queue", "pool_predictions", "labeling_tasks")
BACKUP = ("backup",)
COMPACT = ("compaction",)
REPORT = ("storage_report",)
# They cost minutes or hours, or need a place elsewhere, and change nothing by themselves: the job for everything leaves them out.
ON_DEMAND = (*SEARCH, *STUDIES, *BACKUP, *COMPACT, *REPORT, "label_issues", "text_outliers")

refresh = dg.define_asset_job(
    "refresh", dg.AssetSelection.assets(*REFRESH), description="Collect what is new and bring it through to labels, queue and search index."
)
retrain = dg.define_asset_job(
    "retrain",
    dg.AssetSelection.assets(*RETRAIN),
    description="Freeze a data set, fine-tune, report and let the gate decide on the champion.",
    # The Kubernetes run launcher reads job tags, the k8s executor op tags: the GPU is asked for in both places.
    tags=GPU_OP_TAGS,
)
everything = dg.define_asset_job(
    "everything",
    dg.AssetSelection.all() - dg.AssetSelection.assets(*ON_DEMAND),
    description="The whole graph, from sources to champion, without what runs on demand only.",
    tags=GPU_OP_TAGS,
)
search = dg.define_asset_job(
    "search",
    dg.AssetSelection.assets(*SEARCH),
    description="On demand: search better training settings; `training.recipe` uses the winner.",
    tags=GPU_OP_TAGS,
)
study = dg.define_asset_job(
    "study",
    dg.AssetSelection.assets(*STUDIES),
    description="On demand: the learning curve, and what every source and labeling function is worth.",
    tags=GPU_OP_TAGS,
)

issues = dg.define_asset_job(
    "issues",
    dg.AssetSelection.assets(*ISSUES),
    description="On demand: labels that are probably wrong, texts that are unlike the others, and a queue that asks about the worst.",
)

back_up = dg.define_asset_job(
    "back_up",
    dg.AssetSelection.assets(*BACKUP),
    description="Copy what is new to TEXTMILL_BACKUP_URL, encrypted, and prove it by restoring it on trial.",
)

compact = dg.define_asset_job(
    "compact",
    dg.AssetSelection.assets(*COMPACT),
    description="Merge small files, expire old snapshots, delete what nothing needs any more.",
)

report = dg.define_asset_job(
    "report",
    dg.AssetSelection.assets(*REPORT),
    description="What storing costs: times and failures of reads and writes, freshness, bytes, cost, growth.",
)

JOBS = [refresh, retrain, everything, search, study, issues, back_up, compact, report]


def partition_range_tags(sources: list[str]) -> dict[str, str]:
    """Run tags that make one run collect all sources."""
    return {"dagster/asset_partition_range_start": sources[0], "dagster/asset_partition_range_end": sources[-1]}
