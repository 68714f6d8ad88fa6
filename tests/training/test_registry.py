import json
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from assets.training.gate.promotion import Decision
from assets.training.manifests import ModelFolderError, write_manifest
from assets.training.registry import (
    Aliases,
    RegistryError,
    appointment_row,
    decision_row,
    find_aliases,
    find_reigns,
    list_models,
    resolve_model,
)
from assets.training.stored_models import check_model, fetch_model
from resources.object_store import LocalObjectStore

START = datetime(2026, 1, 1, tzinfo=UTC)


def models(*names):
    rows = [
        {"model_id": name, "trained_at": START + timedelta(hours=number), "dataset_version": "d", "base_model": "b", "dev_macro_f1": 0.5}
        for number, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=["model_id", "trained_at", "dataset_version", "base_model", "dev_macro_f1"])


def decisions(*steps):
    """A history as (decision, challenger) pairs."""
    rows, champion = [], None
    for number, (decision, challenger) in enumerate(steps):
        champion = champion if decision == "refused" else challenger
        rows.append(
            {
                "decision_id": f"{number:03}",
                "challenger_id": challenger,
                "champion_id": champion,
                "decision": decision,
                "reason": "因为",
                "decided_at": START + timedelta(days=number),
            }
        )
    columns = ["decision_id", "challenger_id", "champion_id", "decision", "reason", "decided_at"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=1)


@pytest.mark.parametrize(
    ("history", "reigns"),
    [
        ("", []),
        ("refused a", []),
        ("promoted a", ["a"]),
        ("promoted a, promoted b, refused c", ["a", "b"]),
        ("promoted a, promoted b, overridden c", ["a", "b", "c"]),
        ("promoted a, promoted b, promoted c, rolled_back b", ["a", "b"]),
        ("promoted a, promoted b, promoted c, rolled_back b, rolled_back a", ["a"]),
        ("promoted a, promoted b, promoted c, rolled_back a", ["a"]),
        ("promoted a, promoted b, rolled_back a, promoted c", ["a", "c"]),
        ("promoted a, promoted b, rolled_back a, overridden b", ["a", "b"]),
        ("promoted a, promoted b, overridden a, rolled_back b", ["a", "b"]),
        ("promoted a, promoted b, rolled_back x", ["a", "b", "x"]),
    ],
)
def test_rolling_back_again_goes_further_back(history, reigns):
    steps = [tuple(step.split()) for step in history.split(", ") if step]
    assert find_reigns(decisions(*steps)) == reigns


def test_aliases_name_candidate_champion_and_previous():
    history = decisions(("promoted", "a"), ("promoted", "b"), ("refused", "c"))
    assert find_aliases(models("a", "b", "c", "d", "e"), history) == Aliases("e", "b", "a")
    assert find_aliases(models("a", "b", "c"), history) == Aliases(None, "b", "a")
    assert find_aliases(models("a"), decisions()) == Aliases("a", None, None)
    assert find_aliases(models(), decisions()) == Aliases(None, None, None)


def test_a_model_is_named_by_id_or_alias():
    known, history = models("a", "b", "c"), decisions(("promoted", "a"), ("promoted", "b"))
    assert [resolve_model(name, known, history) for name in ("a", "champion", "previous", "candidate")] == ["a", "b", "a", "c"]
    with pytest.raises(RegistryError, match="Expected the id of a model, or one of candidate, champion, previous, found '模型'"):
        resolve_model("模型", known, history)
    with pytest.raises(RegistryError, match="Expected a model with the alias 'previous', found none at present"):
        resolve_model("previous", known, decisions(("promoted", "a")))


def test_the_list_shows_the_newest_decision_about_each_model():
    history = decisions(("promoted", "a"), ("refused", "b"), ("overridden", "b"), ("rolled_back", "a"))
    listed = list_models(models("a", "b", "c"), history)
    assert [(row["model"], row["aliases"], row["decision"]) for row in listed] == [
        ("c", "candidate", ""),
        ("b", "", "overridden"),
        ("a", "champion", "rolled_back"),
    ]


def test_a_persons_decision_records_the_reason_and_what_it_overrules():
    overruled = {"decision_id": "7", "decision": "refused", "reason": "It loses.", "evidence": "{}"}
    row = appointment_row("overridden", {"model_id": "b", "dataset_version": "d"}, "a", " 人工检查过 ", overruled, "8", START).iloc[0]
    assert (row["champion_id"], row["previous_champion_id"], row["reason"]) == ("b", "a", "Overridden: 人工检查过")
    assert json.loads(row["evidence"]) == {"overrules": {"decision_id": "7", "decision": "refused", "reason": "It loses."}}
    assert json.loads(
        appointment_row("rolled_back", {"model_id": "b", "dataset_version": "d"}, "a", "x", None, "8", START)["evidence"][0]
    ) == {"overrules": None}
    with pytest.raises(ValueError, match="Expected a reason, for the record, found none"):
        appointment_row("overridden", {"model_id": "b", "dataset_version": "d"}, "a", "  ", None, "8", START)


@pytest.mark.parametrize(("decision", "champion"), [("promoted", "b"), ("refused", "a")])
def test_the_gates_decision_names_the_champion_after_it(decision, champion):
    row = decision_row(Decision(decision, "because of it", {"rows": 3}), "b", "a", "d", "9", START).iloc[0]
    assert (row["champion_id"], row["challenger_id"], json.loads(row["evidence"])) == (champion, "b", {"rows": 3})


@pytest.fixture
def stored(tmp_path):
    """A store with a model of two small files, and its row in the registry."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "task.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    digest = write_manifest(folder, {"model_id": "m"})
    store = LocalObjectStore(tmp_path / "store")
    store.put_directory("models/m", folder)
    return store, {"model_id": "m", "model_key": "models/m", "manifest_sha256": digest}


def test_a_model_is_fetched_with_every_hash_checked(stored, tmp_path):
    store, model = stored
    (tmp_path / "out").mkdir()
    assert fetch_model(store, model, tmp_path / "out")["model_id"] == "m"
    assert check_model(store, model)["model_id"] == "m"
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == b"weights"


def test_changed_weights_are_noticed(stored, tmp_path):
    store, model = stored
    store.put("models/m/model.safetensors", b"WEIGHTS")
    with pytest.raises(ModelFolderError, match=r"found \['model.safetensors'\] changed"):
        fetch_model(store, model, tmp_path / "out")


@pytest.mark.parametrize("read", [check_model, lambda store, model: fetch_model(store, model, store.root / "out")], ids=["check", "fetch"])
def test_a_forged_manifest_is_noticed_though_it_fits_the_files(stored, tmp_path, read):
    store, model = stored
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "task.json").write_text("{}")
    (forged / "model.safetensors").write_bytes(b"evil")
    write_manifest(forged, {"model_id": "m"})
    store.put_directory("models/m", forged)
    with pytest.raises(ModelFolderError, match=rf"SHA-256 {model['manifest_sha256']}, found [0-9a-f]{{64}}\. The model was changed"):
        read(store, model)


def test_a_missing_manifest_or_file_is_noticed(stored, tmp_path):
    store, model = stored
    (store.root / "models/m/model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"found \['model.safetensors'\] gone from the store"):
        check_model(store, model)
    (store.root / "models/m/manifest.json").unlink()
    with pytest.raises(ModelFolderError, match="found no manifest"):
        check_model(store, model)
