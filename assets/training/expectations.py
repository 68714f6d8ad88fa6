"""What the training tables promise."""

from assets.project import Project
from assets.quality.suites import Suite, expect_fact, expect_rows, expect_task_answers, suite
from assets.schemas import (
    ABLATION_REPORT,
    CHAMPION_MODEL,
    DOCUMENT_EMBEDDINGS,
    EVALUATION_REPORT,
    FINE_TUNED_MODEL,
    HYPERPARAMETER_SEARCH,
    LEARNING_CURVE,
    POOL_PREDICTIONS,
)

METRICS = (
    r"^(?:(?:token_)?(?:accuracy|(?:micro|macro|weighted)_(?:precision|recall|f1))|exact_match|ece|brier|pearson_r"
    r"|(?:token_)?(?:precision|recall|f1|support)/.+|brier/.+|confusion/.+/.+|errors/[a-z_]+"
    r"|(?:difference|p_value)/(?:macro_f1|pearson_r)/.+)$"
)
"""Names of the metrics of `evaluation.evaluate`."""


def fine_tuned_model(project: Project) -> Suite:
    """A model is stored whole and does better than guessing."""
    is_one_of_some = project.task.kind in ("text_classification", "relation_extraction")
    chance = 1 / len(project.task.labels) if is_one_of_some else 0.0
    meaning = f"Macro F1 on dev is above {chance:.2f}, what guessing labels at random would give at best."
    return suite(
        FINE_TUNED_MODEL,
        expect_rows(
            "manifest_is_hashed",
            "Every model names the SHA-256 of its manifest.",
            "column_values_to_match_regex",
            column="manifest_sha256",
            regex=r"^[0-9a-f]{64}$",
        ),
        expect_rows(
            "beats_guessing",
            meaning if is_one_of_some else "Macro F1 on dev is above 0: something was found.",
            "column_values_to_be_between",
            severity="WARN",
            column="dev_macro_f1",
            min_value=chance,
            strict_min=True,
        ),
        expect_fact("files_are_stored", "Every file of the manifest is in the object store.", "files_missing", maximum=0),
    )


def evaluation_report(_project: Project) -> Suite:
    """Every model is measured beside its rivals on the same rows."""
    return suite(
        EVALUATION_REPORT,
        expect_rows(
            "values_are_finite", "Every value is a number.", "column_values_to_be_between", column="value", min_value=-1e9, max_value=1e9
        ),
        expect_rows(
            "metrics_are_known",
            "Every metric is one that the report explains.",
            "column_values_to_match_regex",
            column="metric",
            regex=METRICS,
        ),
        expect_fact(
            "values_are_possible",
            "Shares and p values lie between 0 and 1, correlations between -1 and 1, numbers of things are not negative.",
            "impossible_values",
            minimum=0,
            maximum=0,
        ),
        expect_fact("rivals_were_measured", "At least one baseline stands beside the model.", "scorers", minimum=2),
        expect_fact(
            "same_rows_for_all", "Every scorer was measured on the same test rows, or the report says on which.", "test_rows", minimum=1
        ),
    )


def champion_model(_project: Project) -> Suite:
    """Every decision gives its reason."""
    return suite(
        CHAMPION_MODEL,
        expect_rows("reasons_are_given", "Every decision says why.", "column_value_lengths_to_be_between", column="reason", min_value=10),
    )


def hyperparameter_search(_project: Project) -> Suite:
    """A search ends with a winner."""
    return suite(
        HYPERPARAMETER_SEARCH,
        expect_rows(
            "settings_are_objects",
            "The settings of every trial are a JSON object.",
            "column_values_to_match_regex",
            column="params",
            regex=r"^\{.*\}$",
        ),
        expect_fact("there_is_one_winner", "One complete trial is the best.", "winners", minimum=1, maximum=1),
    )


def learning_curve(_project: Project) -> Suite:
    """Every number of the curve is one, and there is a curve."""
    return suite(
        LEARNING_CURVE,
        expect_rows(
            "values_are_possible",
            "Every value is one that its metric can have.",
            "column_values_to_be_between",
            column="value",
            min_value=-1,
            max_value=2,
        ),
        expect_fact("every_point_was_measured", "Every share and number of rows asked for was trained on.", "cells_missing", maximum=0),
    )


def ablation_report(_project: Project) -> Suite:
    """Differences lie within their intervals' reach, and everything was left out once."""
    return suite(
        ABLATION_REPORT,
        expect_fact("everything_was_left_out_once", "Every source and labeling function has its rows.", "removals_missing", maximum=0),
        expect_fact(
            "labels_are_those_of_the_votes",
            "The votes of today give the frozen labels back; rows whose votes changed since keep their labels in the ablation.",
            "stale_share",
            maximum=0.2,
            severity="WARN",
        ),
    )


def document_embeddings(_project: Project) -> Suite:
    """Vectors have the length 1."""
    return suite(
        DOCUMENT_EMBEDDINGS,
        expect_fact("vectors_have_length_one", "Every vector has the length 1, up to rounding.", "length_error", minimum=0, maximum=1e-3),
    )


def pool_predictions(project: Project) -> Suite:
    """The champion answers in the task's labels."""
    return suite(POOL_PREDICTIONS, *expect_task_answers(project.task))
