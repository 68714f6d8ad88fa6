import json
import shutil

import pytest
import torch

from assets.training.learning.checkpoints import Checkpoint, read_newest_checkpoint, write_checkpoint


def make_checkpoint(step, identity="run"):
    return Checkpoint(
        step, {"weight/a": torch.full((3,), float(step)), "random/cpu": torch.arange(4, dtype=torch.uint8)}, {"identity": identity}
    )


def newest_step(folder, identity="run"):
    found = read_newest_checkpoint(folder, identity)
    return found and found.step


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    write_checkpoint(tmp_path, Checkpoint(5, {"a/b": torch.tensor([1.5, 2.5])}, {"identity": "数据", "history": [{"loss": 0.1}]}))
    found = read_newest_checkpoint(tmp_path, "数据")
    assert found.step == 5
    assert found.tensors["a/b"].tolist() == [1.5, 2.5]
    assert found.facts == {"identity": "数据", "history": [{"loss": 0.1}]}


def test_the_newest_two_are_kept(tmp_path):
    for step in (5, 10, 200):
        write_checkpoint(tmp_path, make_checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010", "step-000000200"]
    assert newest_step(tmp_path) == 200


def test_a_checkpoint_can_be_written_again(tmp_path):
    write_checkpoint(tmp_path, make_checkpoint(5))
    write_checkpoint(tmp_path, make_checkpoint(5))
    assert newest_step(tmp_path) == 5


def test_none_is_found_in_an_empty_or_missing_folder(tmp_path):
    assert newest_step(tmp_path) is None
    assert newest_step(tmp_path / "missing") is None


def test_checkpoints_of_another_run_are_passed_over(tmp_path):
    write_checkpoint(tmp_path, make_checkpoint(5))
    write_checkpoint(tmp_path, make_checkpoint(9, "other"))
    assert newest_step(tmp_path) == 5


def tear(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: tear(folder / "tensors.safetensors"),
        lambda folder: tear(folder / "facts.json"),
        lambda folder: tear(folder / "manifest.json"),
        lambda folder: (folder / "tensors.safetensors").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: (folder / "tensors.safetensors").write_bytes(b"\0" * 500),
    ],
)
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(tmp_path, damage):
    write_checkpoint(tmp_path, make_checkpoint(5))
    damage(write_checkpoint(tmp_path, make_checkpoint(9)))
    assert newest_step(tmp_path) == 5


def test_what_a_kill_left_half_written_is_ignored_and_cleared_away(tmp_path):
    write_checkpoint(tmp_path, make_checkpoint(5))
    shutil.copytree(tmp_path / "step-000000005", tmp_path / ".draft-000000009")
    assert newest_step(tmp_path) == 5
    write_checkpoint(tmp_path, make_checkpoint(12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000005", "step-000000012"]


def test_the_manifest_lists_both_files_and_nothing_is_pickled(tmp_path):
    folder = write_checkpoint(tmp_path, make_checkpoint(5))
    assert sorted(json.loads((folder / "manifest.json").read_text())) == ["facts.json", "tensors.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == ["facts.json", "manifest.json", "tensors.safetensors"]
