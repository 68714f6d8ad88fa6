"""The card of a model, in the hub's form: what it is for and not for, data, metrics by slice, limits, how to load it.

Headings are in English and Chinese. Does not belong here: the whole report (`report.py`), the card of the data (`assets/storage`).
"""

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd
import yaml

from assets.project import Project, Task
from assets.training.judging.evaluation import OVERALL, value_of
from assets.training.judging.report_tables import escape, headline_metrics, label_table, scorers_of, table, with_interval

PIPELINE_TAGS = {
    "text_classification": "text-classification",
    "multi_label_classification": "text-classification",
    "relation_extraction": "text-classification",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
}
HUB_METRICS = {
    "accuracy": "accuracy",
    "exact_match": "exact_match",
    "macro_f1": "f1",
    "micro_f1": "f1",
    "weighted_f1": "f1",
    "pearson_r": "pearsonr",
    "brier": "brier_score",
}
"""Names of metrics on the hub."""
ANSWERS = {
    "text_classification": "gives each text one label",
    "multi_label_classification": "gives each text any number of labels",
    "relation_extraction": "names the relation of two entities marked `[E1]…[/E1]` and `[E2]…[/E2]` in a text",
    "token_classification": "marks labelled spans of characters in a text",
    "question_answering": "marks the span of a context that answers a question, in texts of the form `[Q] question [C] context`, or none",
}
SILVER_NOTE = (
    "Labels come from labeling functions, not from people, in the test rows too: the numbers say how well the model repeats the functions."
)
NOT_FOR = (
    "Decisions about single persons without a human who checks them.",
    "Languages, kinds of text or labels other than those below, before it was measured there.",
    "Learning what is true: it repeats what annotators, or labeling functions, said about texts like these.",
)


def render_model_card(manifest: Mapping[str, Any], evaluation: pd.DataFrame | None, project: Project) -> str:
    """The card as Markdown with the hub's YAML block before it.

    Args:
        manifest: Facts of the model: `model_id`, `dataset_version`, `base_model`, `train_rows`, and so on; missing ones are left out.
        evaluation: One row per scorer, slice and metric, columns of `evaluation_report`; the model is the first scorer. None before it was
            measured.
        project: Languages, task, sources, labeling.
    """
    task = project.task
    measured = None if evaluation is None or evaluation.empty else evaluation
    sections = [
        f"---\n{yaml.safe_dump(hub_facts(manifest, measured, project), allow_unicode=True, sort_keys=False)}---",
        f"# {manifest['model_id']}",
        f"A fine-tuned encoder that {ANSWERS[task.kind]}. Labels: {', '.join(f'`{escape(label)}`' for label in task.labels)}.",
        f"## Intended use · 用途\n\n{_intended_use(project)}",
        "## Not intended for · 不适用\n\n" + "\n".join(f"- {line}" for line in NOT_FOR),
        f"## Data · 数据\n\n{_data(manifest, project)}",
        f"## Metrics · 指标\n\n{_metrics(measured, task)}",
        "## Limits · 局限\n\n" + "\n".join(f"- {line}" for line in _limits(manifest, measured, project)),
        f"## How to load · 加载方法\n\n{_loading(manifest)}",
        f"## Provenance · 出处\n\n{_provenance(manifest)}",
    ]
    return "\n\n".join(sections) + "\n"


def hub_facts(manifest: Mapping[str, Any], evaluation: pd.DataFrame | None, project: Project) -> dict[str, Any]:
    """The YAML block: language, tags, pipeline tag, metrics, base model, data set, and the measured numbers as `model-index`."""
    kind = PIPELINE_TAGS[project.task.kind]
    facts: dict[str, Any] = {
        "language": list(project.languages),
        "library_name": "textmill",
        "pipeline_tag": kind,
        "tags": ["textmill", project.task.kind.replace("_", "-")],
        "base_model": PurePath(str(manifest.get("base_model", "unknown"))).name,
        "datasets": [project.name],
    }
    numbers = _own_numbers(evaluation)
    facts["metrics"] = sorted({HUB_METRICS[name] for name, _ in numbers}) or ["f1"]
    if numbers:
        dataset = {"name": f"{project.name} {manifest['dataset_version']}", "type": project.name, "split": "test"}
        values = [{"type": HUB_METRICS[name], "name": name, "value": round(value, 6)} for name, value in numbers]
        result = {"task": {"type": kind}, "dataset": dataset, "metrics": values}
        facts["model-index"] = [{"name": str(manifest["model_id"]), "results": [result]}]
    return facts


def has_silver_labels(project: Project) -> bool:
    """No human vote is needed for a label, so that labels of train and test may all come from labeling functions."""
    return project.labeling.min_human_votes == 0


def _own_numbers(evaluation: pd.DataFrame | None) -> list[tuple[str, float]]:
    if evaluation is None:
        return []
    own = scorers_of(evaluation)[0]
    found = [(name, value_of(evaluation, own, name)[0]) for name in headline_metrics(evaluation) if name in HUB_METRICS]
    return [(name, value) for name, value in found if math.isfinite(value)]


def _intended_use(project: Project) -> str:
    sources = ", ".join(source.name for source in project.sources)
    return f"Texts in {', '.join(project.languages)} like those of project `{project.name}` (sources: {sources})."


def _data(manifest: Mapping[str, Any], project: Project) -> str:
    rows = [[source.name, source.kind, escape(source.licence or "not recorded")] for source in project.sources]
    rules = project.labeling.rules
    enabled = "all that can vote on the task" if rules.enabled is None else ", ".join(rules.enabled) or "none"
    facts = [
        f"- Data set version: `{manifest['dataset_version']}`",
        *([f"- Rows trained on: {manifest['train_rows']:,}"] if "train_rows" in manifest else []),
        f"- Labels need at least {project.labeling.min_human_votes} human votes and confidence {project.labeling.min_confidence:g}; "
        f"labeling functions ({enabled}) vote with weight {rules.weight:g} beside a person's 1.",
    ]
    return f"{table(['source', 'kind', 'licence of the texts'], rows)}\n\n" + "\n".join(facts)


def _metrics(evaluation: pd.DataFrame | None, task: Task) -> str:
    if evaluation is None:
        return "Not measured yet."
    own, metrics = scorers_of(evaluation)[0], headline_metrics(evaluation)
    mine = evaluation[evaluation["scorer"] == own]
    rows = [
        [escape(name), f"{mine.loc[mine['slice'] == name, 'rows_count'].max():,}"]
        + [with_interval(*value_of(evaluation, own, metric, name)) for metric in metrics]
        for name in mine["slice"].unique()
    ]
    rivals = [[name, with_interval(*value_of(evaluation, name, "macro_f1"))] for name in scorers_of(evaluation)[1:]]
    parts = [
        "The frozen test split; in brackets the 95 % interval of a bootstrap over groups.",
        table(["slice", "rows", *metrics.values()], rows),
        label_table(evaluation, own, task.labels),
        *([f"Beside it, on the same rows ({OVERALL}):\n\n{table(['scorer', 'macro F1'], rivals)}"] if rivals else []),
    ]
    return "\n\n".join(parts)


def _limits(manifest: Mapping[str, Any], evaluation: pd.DataFrame | None, project: Project) -> list[str]:
    limit = manifest.get("recipe", {}).get("max_tokens", project.training.max_tokens)
    treatment = "are read in overlapping windows" if project.task.has_spans else "are cut"
    lines = [f"Texts of more than {limit} tokens {treatment}."]
    lines += [SILVER_NOTE] if has_silver_labels(project) else []
    lines += [f"Not measured on {source.name}: no test rows." for source in project.sources if _is_unmeasured(evaluation, source.name)]
    lines += [f"Licence of the texts of {source.name} is not recorded." for source in project.sources if source.licence is None]
    return lines


def _is_unmeasured(evaluation: pd.DataFrame | None, source: str) -> bool:
    return evaluation is not None and f"source={source}" not in set(evaluation["slice"])


def _loading(manifest: Mapping[str, Any]) -> str:
    return (
        "Fetch the folder `models/" + str(manifest["model_id"]) + "` from the object store. Its files are checked against `manifest.json`; "
        "weights are safetensors only.\n\n"
        "```python\n"
        "from pathlib import Path\n"
        "from assets.training.scoring.scorer import load_model\n\n"
        f'scorer = load_model(Path("{manifest["model_id"]}"))\n'
        'scorer.predict(["…"])\n'
        "```"
    )


def _provenance(manifest: Mapping[str, Any]) -> str:
    names = {
        "base_model": "base model",
        "base_model_fingerprint": "fingerprint of the base model",
        "code_version": "code version",
        "seed": "seed",
        "parameters": "parameters",
        "hardware": "hardware",
        "precision": "precision",
        "training_seconds": "seconds trained",
        "trained_at": "trained at",
    }
    found = {name: manifest[key] for key, name in names.items() if manifest.get(key) is not None}
    return table(["", ""], [[name, f"{value:.0f}" if isinstance(value, float) else escape(str(value))] for name, value in found.items()])
