"""What the labeling tables promise."""

from assets.answers import answer_pattern
from assets.labeling.votes import SPAN_REASONS
from assets.project import Project, Task
from assets.quality.suites import Expectation, Suite, expect_fact, expect_known_sources, expect_rows, expect_task_answers, suite
from assets.schemas import (
    ANNOTATIONS,
    ANNOTATOR_AGREEMENT,
    ANNOTATORS,
    LABEL_ISSUES,
    LABEL_PREDICTIONS,
    LABELED_DOCUMENTS,
    LABELING_QUEUE,
    LABELING_TASKS,
    MODEL_VOTES,
    REJECTED_VOTES,
    RULE_VOTES,
)


def annotations(project: Project) -> Suite:
    """Human votes are in the task's labels."""
    return suite(
        ANNOTATIONS,
        *expect_task_answers(project.task),
        expect_rows(
            "voters_are_people", "Every voter is a person.", "column_values_to_be_in_set", column="voter_kind", value_set=["human"]
        ),
        expect_fact(
            "most_votes_fit_the_task", "At most a tenth of the votes had to be refused.", "refused_share", maximum=0.1, severity="WARN"
        ),
    )


def rejected_votes(_project: Project) -> Suite:
    """Refused votes say why."""
    reasons = ["malformed_answer", "label_outside_task", "rating_outside_scale", "rating_without_scale", *SPAN_REASONS]
    return suite(
        REJECTED_VOTES,
        expect_rows("reasons_are_known", "Every reason is a known one.", "column_values_to_be_in_set", column="reason", value_set=reasons),
    )


def rule_votes(project: Project) -> Suite:
    """Votes of labeling functions are in the task's labels and signed by the function."""
    return suite(
        RULE_VOTES,
        *expect_task_answers(project.task),
        expect_rows(
            "voters_are_rules", "Every voter is a named rule.", "column_values_to_match_regex", column="annotator_id", regex=r"^rule:\w+$"
        ),
    )


def model_votes(project: Project) -> Suite:
    """Votes of models are in the task's labels and signed by the model; a model that did not answer is shown."""
    return suite(
        MODEL_VOTES,
        *expect_task_answers(project.task, "Every label is one of the task's, or missing."),
        expect_rows(
            "voters_are_models", "Every voter is a named model.", "column_values_to_match_regex", column="annotator_id", regex=r"^model:\S"
        ),
        expect_fact(
            "models_answered",
            "Every document that a model was asked about was answered.",
            "documents_unanswered",
            maximum=0,
            severity="WARN",
        ),
    )


def labeled_documents(project: Project) -> Suite:
    """Consensus labels are the task's, and annotators agree well enough to learn from."""
    threshold = project.labeling.min_agreement
    measure = "Pairwise span F1 of people on" if project.task.has_spans else "Krippendorff's alpha of"
    share = (
        "Every share lies between 0 and 1, one for each label or span." if project.task.has_lists else "Every distribution adds up to 1."
    )
    settings = project.labeling.gold
    gold = f"Of {settings.min_answers} answers to gold questions or more, at least {settings.min_accuracy:.0%} are right."
    return suite(
        LABELED_DOCUMENTS,
        *expect_task_answers(project.task, "Every label is one of the task's, or missing."),
        expect_fact("annotators_agree", f"{measure} every source is at least {threshold:g}.", "sources_below_agreement", maximum=0),
        expect_fact("annotators_pass_gold", gold, "gold_failed", maximum=0),
        expect_fact("distributions_add_up", share, "distribution_error", minimum=0, maximum=1e-6),
    )


def annotators(project: Project) -> Suite:
    """What is known of annotators is of the task's answers; who votes suspiciously is shown, and stops nothing."""
    return suite(
        ANNOTATORS,
        *expect_commonest_answers(project.task),
        expect_fact(
            "nobody_votes_suspiciously",
            "No annotator fails gold questions, always gives the same answer, agrees less than by chance, or is too fast to have read.",
            "suspicious_annotators",
            maximum=0,
            severity="WARN",
        ),
    )


def expect_commonest_answers(task: Task) -> tuple[Expectation, ...]:
    """The promise that what an annotator says most often is an answer of the task; of lists their shape."""
    if task.has_lists:
        name, meaning = "answers_have_their_shape", "Every commonest answer is a JSON list."
        return (expect_rows(name, meaning, "column_values_to_match_regex", column="commonest_label", regex=answer_pattern(task)),)
    name, meaning = "labels_are_the_tasks", "Every commonest answer is one of the task's labels."
    return (expect_rows(name, meaning, "column_values_to_be_in_set", column="commonest_label", value_set=list(task.labels)),)


def annotator_agreement(project: Project) -> Suite:
    """Agreement is of the project's sources."""
    return suite(ANNOTATOR_AGREEMENT, expect_known_sources(project))


def label_issues(project: Project) -> Suite:
    """Issues are about answers of the task, each with its reason."""
    return suite(
        LABEL_ISSUES,
        expect_known_sources(project),
        *expect_issue_answers(project.task),
        expect_fact("suggestions_differ", "No suggested label is the given one.", "suggestions_the_same", maximum=0),
    )


def expect_issue_answers(task: Task) -> tuple[Expectation, ...]:
    """The promise that given and suggested answers are the task's; of lists their shape, and a fact about their labels."""
    given, suggested = ("labels_are_the_tasks", "given_label"), ("suggestions_are_the_tasks", "suggested_label")
    if not task.has_lists:
        meaning, within = "Every one is a label of the task.", "column_values_to_be_in_set"
        return tuple(expect_rows(name, meaning, within, column=column, value_set=list(task.labels)) for name, column in (given, suggested))
    meaning, matches = "Every one is a JSON list.", "column_values_to_match_regex"
    shapes = (("answers_have_their_shape", "given_label"), ("suggestions_have_their_shape", "suggested_label"))
    return (
        *(expect_rows(name, meaning, matches, column=column, regex=answer_pattern(task)) for name, column in shapes),
        expect_fact(suggested[0], "Every label of a suggested answer is the task's.", "answers_outside_task", maximum=0),
    )


def label_predictions(_project: Project) -> Suite:
    """Predictions add up to 1."""
    return suite(
        LABEL_PREDICTIONS,
        expect_fact("probabilities_add_up", "Every row adds up to 1.", "probability_error", minimum=0, maximum=1e-6),
    )


def labeling_queue(_project: Project) -> Suite:
    """The queue is ranked without gaps."""
    return suite(
        LABELING_QUEUE,
        expect_rows("positions_are_unique", "No two documents share a position.", "column_values_to_be_unique", column="position"),
    )


def labeling_tasks(project: Project) -> Suite:
    """Tasks are about documents of known sources."""
    return suite(
        LABELING_TASKS,
        expect_known_sources(project),
    )
