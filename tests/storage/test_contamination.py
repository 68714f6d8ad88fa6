"""Passages of the test split in other texts: found by tokens, refused, and checked for."""

import dagster as dg
import pandas as pd
import pytest

from assets.storage.contamination import PASSAGE_TOKENS, find_contaminated, passages, passages_of
from assets.storage.splits import draw_share

QUOTE = "pilots watched green lanterns hanging above crumbling stone bridges where muddy rivers reach northern harbour towns"
TEST_SHARE = 0.2  # of the projects of tests
CHINESE_QUOTE = "十个飞行员黎明之前在河口附近的古老石桥上方看见七盏绿色灯笼随风摇晃发出微弱光芒"


def frame(**tokens):
    return pd.DataFrame({"document_id": list(tokens), "tokens": list(tokens.values())})


@pytest.mark.parametrize(("count", "found"), [(PASSAGE_TOKENS - 1, 0), (PASSAGE_TOKENS, 1), (PASSAGE_TOKENS + 3, 4)])
def test_a_passage_is_every_run_of_eight_tokens(count, found):
    assert len(set(passages(" ".join(f"词{number}" for number in range(count))))) == found


def test_one_passage_in_common_is_enough():
    words = "a b c d e f g h".split()
    tested = passages_of([frame(t=" ".join(words))])
    others = frame(same=" ".join(["x", *words, "y"]), shorter=" ".join(words[:7]), turned=" ".join(reversed(words)), empty="")
    assert find_contaminated([others], tested) == ["same"]
    assert find_contaminated([others], frozenset()) == []


@pytest.mark.parametrize(
    ("tokens", "found"), [("ha ha ha ha ha ha ha ha", 0), ("a b c d e a b c", 0), ("a b c d e f a b", 1), ("好 好 好 好 好 好 好 好 好", 0)]
)
def test_a_passage_of_few_different_tokens_says_nothing(tokens, found):
    assert len(list(passages(tokens))) == found


def parents(split):
    """Ids of parents whose texts are drawn into the test split, or are not."""
    candidates = (f"p{number}" for number in range(10_000))
    return (name for name in candidates if (draw_share(f"textmill-1\0shop/{name}") < TEST_SHARE) is (split == "test"))


def freeze(platform):
    """Materialize the data set anew; metadata of that."""
    job = platform.definitions().resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey("training_dataset")})
    config = {"ops": {"training_dataset": {"config": {"full_refresh": True}}}}
    job.execute_in_process(instance=platform.instance, run_config=config, raise_on_error=False)
    return platform.instance.get_latest_materialization_event(dg.AssetKey("training_dataset")).asset_materialization.metadata


@pytest.mark.slow
def test_a_text_that_quotes_the_test_split_is_not_trained_on(platform, files_source, project_of, monkeypatch):
    test, other = parents("test"), parents("other")
    tested = [f"{QUOTE} so the paper says", f"{CHINESE_QUOTE}报纸是这样写的，我不太相信这件事情"]
    quoting = [
        f"My own words come first here and they are many; then: {QUOTE}!",
        f"我自己先写很多话，写得比引用的还要长一些，为的是让两段文字不太像：{CHINESE_QUOTE}。",
    ]
    colours = "red blue green grey brown black white pink amber teal plum gold rust sand mint navy lime ruby jade onyx".split()
    others = [f"A {word} lamp, number {n}" for n, word in enumerate(colours)]
    records = [{"id": f"t{n}", "parent": next(test), "text": text} for n, text in enumerate(tested)]
    records += [{"id": f"q{n}", "parent": next(other), "text": text} for n, text in enumerate([*quoting, *others])]
    records = [record | {"ratings": [(-2, 0, 2)[n % 3]] * 3} for n, record in enumerate(records)]
    source = files_source("shop", records)
    platform.configure(project_of([source | {"fields": source["fields"] | {"parent_id": "parent"}}]))
    assert platform.run("refresh").failed_steps == {}
    metadata = freeze(platform)
    assert (metadata["rejected: repeats_test_split"].value, metadata["rows_repeating_test"].value) == (2, 0.0)
    splits = dict(platform.rows("training_dataset JOIN clean_documents USING (document_id)", "external_id", "split"))
    assert (splits["t0"], splits["t1"], "q0" in splits, "q1" in splits, "q2" in splits) == ("test", "test", False, False, True)

    # Were they let through all the same, the audit would reject the data set.
    found = iter([[], quoting])
    monkeypatch.setattr("assets.storage.assets.find_contaminated", lambda batches, tested: next(found))
    assert freeze(platform)["rows_repeating_test"].value == 2
    assert platform.lakehouse.increments("training_dataset")[-1].state == "rejected"
