import pandas as pd
import pytest

from assets.training.sampling import draw_share


@pytest.fixture
def many():
    return pd.DataFrame({"document_id": [f"文-{n}" for n in range(2000)], "group_id": [f"group-{n // 2}" for n in range(2000)]})


def test_a_larger_share_holds_every_document_of_a_smaller_one(many):
    drawn = [set(draw_share(many, share)["document_id"]) for share in (0.1, 0.4, 0.7, 1.0)]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3]
    assert [round(len(part) / 2000, 1) for part in drawn] == [0.1, 0.4, 0.7, 1.0]


def test_the_order_of_rows_and_the_rest_of_the_split_do_not_matter(many):
    shuffled = draw_share(many.sample(frac=1, random_state=3).iloc[:1500], 0.4)
    assert set(shuffled["document_id"]) <= set(draw_share(many, 0.4)["document_id"])


def test_groups_stay_whole(many):
    assert set(draw_share(many, 0.3).groupby("group_id").size()) == {2}


@pytest.mark.parametrize("share", [0, -0.5, 1.01])
def test_a_share_out_of_range_is_an_error(many, share):
    with pytest.raises(ValueError, match=r"training\.share: expected a number above 0 and at most 1, or `all`, found"):
        draw_share(many, share)
