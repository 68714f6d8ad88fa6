import numpy as np
import pandas as pd
import pytest
import torch

from assets.project import RatingScale, Task
from assets.training.learning.objectives import objective_of, scale_ratings, stack_distributions

MOOD = Task(
    labels=("negative", "neutral", "positive"),
    positive_label="positive",
    negative_label="negative",
    rating=RatingScale(minimum=-4, maximum=4, thresholds={"negative": -4, "neutral": 0, "positive": 0.5}),
)


def test_the_loss_is_soft_cross_entropy_plus_the_weighted_valence_error():
    outputs = torch.zeros((2, 4))
    targets = {"distribution": torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), "valence": torch.tensor([0.0, 0.5])}
    assert float(objective_of(MOOD, 2.0).loss(outputs, targets)) == pytest.approx(2 * np.log(3) + 2 * 0.25)
    assert float(objective_of(Task(labels=MOOD.labels)).loss(outputs, targets)) == pytest.approx(2 * np.log(3))


def test_the_loss_of_many_labels_is_the_mean_of_their_yes_or_no():
    task = Task(kind="multi_label_classification", labels=("a", "乙"))
    targets = {"distribution": torch.tensor([[1.0, 0.25]])}
    assert float(objective_of(task).loss(torch.zeros((1, 2)), targets)) == pytest.approx(np.log(2))


def test_the_valence_is_the_rating_or_where_there_is_none_what_the_votes_say():
    documents = pd.DataFrame({"distribution": [[0.5, 0.5, 0.0], [0.25, 0.0, 0.75]], "mean_rating": [2.0, None]})
    assert objective_of(MOOD).targets(None, documents)["valence"].tolist() == [0.5, 0.5]


def test_ratings_are_scaled_to_one_around_the_middle_of_the_range():
    assert scale_ratings(pd.Series([-4.0, 0.0, 2.0, None]), MOOD).tolist()[:3] == [-1.0, 0.0, 0.5]
    assert np.isnan(scale_ratings(pd.Series([None], dtype=float), MOOD)).all()
    assert np.isnan(scale_ratings(pd.Series([1.0]), MOOD.model_copy(update={"rating": None}))).all()


def test_no_documents_have_no_distributions():
    assert stack_distributions(pd.DataFrame({"distribution": []}), 3).shape == (0, 3)


def test_a_valence_is_cut_to_its_range():
    answers = objective_of(MOOD).answer(np.array([[0, 1, 2, 7.5], [3, 0, 0, -0.25]], dtype=np.float32), None, ["a", "好"])
    assert answers["label"].tolist() == ["positive", "negative"]
    assert answers["valence"].tolist() == [1.0, -0.25]
