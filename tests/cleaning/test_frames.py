import pandas as pd
import pytest

from assets.cleaning.frames import as_table
from assets.schemas import DUPLICATE_INDEX, TOKENS


def test_columns_come_in_the_tables_order_and_types_with_a_fresh_index():
    frame = pd.DataFrame(
        {"tokens_count": [1.0], "extra": 0, "tokens": "词", "language": "zh", "source": "s", "document_id": "d"}, index=[9]
    )
    table = as_table(frame, TOKENS)
    assert table.dtypes.astype(str).to_dict() == {
        "document_id": "str",
        "source": "str",
        "language": "str",
        "tokens": "str",
        "tokens_count": "int64",
    }
    assert table.index.tolist() == [0]


def test_a_selection_of_columns_keeps_its_order():
    frame = pd.DataFrame({"document_id": ["d"], "cluster_id": ["c"]})
    assert as_table(frame, DUPLICATE_INDEX, ["cluster_id", "document_id"]).columns.tolist() == ["cluster_id", "document_id"]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match=r"expected tokens with the columns .*, found no \['tokens_count'\] among"):
        as_table(pd.DataFrame({"document_id": ["d"], "source": "s", "language": "en", "tokens": ""}), TOKENS)
