import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from assets.project import Task
from assets.training.learning.artifacts import ModelSettings, write_model
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import HeadedEncoder, Network, predict_outputs
from assets.training.learning.objectives import objective_of
from assets.training.learning.packing import pack_rows
from assets.training.learning.records import Examples
from assets.training.scoring import backends, exporting
from assets.training.scoring.backends import ONNX_FILES, BackendError, OnnxNetwork
from assets.training.scoring.exporting import Measured, choose, cosine_of_rows, export_model, in_words, spread_rows

TEXTS = ["good film", "电影坏", "", "the film is a good table", "好", "桌子 是 一 张 桌子 的 电影", "bad", "the awful film"] * 5


def build(tiny_base, task, documents):
    """An untrained network of a task, its objective, and dev rows."""
    objective, tokenizer, encoder = objective_of(task), load_tokenizer(tiny_base), load_encoder(tiny_base)
    objective.prepare(tokenizer, encoder)
    torch.manual_seed(3)
    network = Network(encoder, objective.build_head(encoder.config.hidden_size, tokenizer, "mean"), tokenizer.pad_token_id)
    frame = documents(len(TEXTS), 5).assign(text=TEXTS)
    encoded = objective.encode(tokenizer, TEXTS, 16)
    return network, objective, tokenizer, Examples(frame, encoded, {})


@pytest.fixture(scope="module")
def exported(tiny_base, tiny_onnx, task, documents, tmp_path_factory):
    """A model folder with both ONNX files, and what was measured."""
    folder = tmp_path_factory.mktemp("exported")
    network, objective, tokenizer, dev = build(tiny_base, task, documents)
    write_model(folder, network, tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=16))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "write_onnx", lambda network, path: shutil.copy(tiny_onnx, path))
        patch.setattr(exporting, "MIN_EQUAL_ANSWERS", 0.0)  # an untrained head decides by a hair's breadth
        patch.setattr(exporting, "MIN_MEAN_COSINE", 0.9)
        patch.setattr(exporting, "MIN_LOW_COSINE", 0.8)
        found = export_model(folder, network, objective, dev, choose_hardware("cpu", "fp32"))
    return folder, network, dev, found


def test_every_backend_is_measured_and_one_is_chosen(exported):
    folder, _, _, found = exported
    assert [(row.backend, row.precision) for row in found.measured] == [("torch", "fp32"), ("onnx-fp32", "fp32"), ("onnx-int8", "int8")]
    assert sum(row.is_chosen for row in found.measured) == 1
    assert all(row.texts_per_second > 0 and row.bytes > 0 and row.reason for row in found.measured)
    assert json.loads((folder / "export.json").read_text()) == found.as_rows()
    assert sorted(path.name for path in folder.glob("*.onnx")) == ["encoder-fp32.onnx", "encoder-int8.onnx"]


def test_the_fp32_file_gives_the_outputs_of_torch_in_any_shape_of_batch(exported):
    folder, network, dev, found = exported
    other, hardware = OnnxNetwork(folder / ONNX_FILES["onnx-fp32"], network, 1), choose_hardware("cpu", "fp32")
    expected, given = (predict_outputs(each, dev.texts, hardware) for each in (network, other))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    for rows in ([0], [2], [5, 2], [0, 1, 3, 5, 7, 9, 11]):
        batch = pack_rows(dev.texts, np.array(rows))
        with torch.inference_mode():
            torch.testing.assert_close(other.states(batch), network.states(batch), atol=1e-5, rtol=1e-4)
    assert found.measured[1].cosine_mean == pytest.approx(1)


def test_the_int8_file_is_smaller_and_close(exported):
    _, _, _, found = exported
    full, small = found.measured[1:]
    assert small.bytes < full.bytes
    assert 0.9 < small.cosine_mean < 1.0


@pytest.mark.parametrize("kind", ["multi_label_classification", "token_classification", "question_answering"])
def test_every_kind_of_task_is_scored_from_the_same_file_of_states(exported, tiny_base, documents, kind):
    labels = ("answer",) if kind == "question_answering" else ("好", "bad")
    network, _, _, dev = build(tiny_base, Task(kind=kind, labels=labels), documents)
    other, hardware = OnnxNetwork(exported[0] / ONNX_FILES["onnx-fp32"], network, 1), choose_hardware("cpu", "fp32")
    expected, given = (predict_outputs(each, dev.texts, hardware) for each in (network, other))
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_export_leaves_the_network_as_it_was(tiny_base, task, documents, tmp_path, monkeypatch):
    network, _, _, dev = build(tiny_base, task, documents)
    before = predict_outputs(network, dev.texts, choose_hardware("cpu", "fp32"))
    monkeypatch.setattr(torch.onnx, "export", lambda *arguments, **options: type("Program", (), {"save": lambda self, path: None})())
    exporting.write_onnx(network, tmp_path / "encoder.onnx")
    assert network.encoder.config._attn_implementation == "textmill_packed"
    np.testing.assert_array_equal(predict_outputs(network, dev.texts, choose_hardware("cpu", "fp32")), before)


def test_files_that_lose_parity_are_removed_and_the_report_says_why(exported, tiny_base, task, documents, tmp_path, monkeypatch):
    network, objective, tokenizer, dev = build(tiny_base, task, documents)
    write_model(tmp_path, network, tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=16))
    monkeypatch.setattr(exporting, "write_onnx", lambda network, path: shutil.copy(exported[0] / path.name, path))
    monkeypatch.setattr(exporting, "quantize_onnx", lambda source, path: shutil.copy(exported[0] / path.name, path))
    monkeypatch.setattr(exporting, "MIN_MEAN_COSINE", 0.9999999)
    found = export_model(tmp_path, network, objective, dev, choose_hardware("cpu", "fp32"))
    assert sorted(path.name for path in tmp_path.glob("*.onnx*")) == ["encoder-fp32.onnx"]
    assert found.measured[2].reason.startswith("loses parity: mean cosine ")
    assert not found.measured[2].is_chosen


def test_an_encoder_that_cannot_be_exported_is_served_by_torch(tiny_base, task, documents, tmp_path, monkeypatch):
    network, objective, tokenizer, dev = build(tiny_base, task, documents)
    write_model(tmp_path, network, tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=16))

    def refuse(network, path):
        path.write_text("half a file")
        raise NotImplementedError("no such operator: 编码\nand a long story")

    monkeypatch.setattr(exporting, "write_onnx", refuse)
    found = export_model(tmp_path, network, objective, dev, choose_hardware("cpu", "fp32"))
    assert [(row.backend, row.is_chosen) for row in found.measured] == [("torch", True), ("onnx-fp32", False)]
    assert found.measured[1].reason == "not exported: NotImplementedError: no such operator: 编码"
    assert found.network is network
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize(
    ("missing", "device", "notice"),
    [
        ({"onnxruntime"}, "cpu", "No ONNX export: expected onnxruntime; install it with `pip install 'textmill[onnx]'`."),
        ({"onnx", "onnxscript"}, "cpu", "No ONNX export: expected onnx, onnxscript; install it with `pip install 'textmill[onnx]'`."),
        (set(), "cuda", "No ONNX export: CUDA is served by torch."),
    ],
)
def test_without_the_extra_or_on_cuda_torch_serves_and_says_so(tiny_base, task, documents, tmp_path, monkeypatch, missing, device, notice):
    network, objective, _, dev = build(tiny_base, task, documents)
    monkeypatch.setattr(exporting, "is_installed", lambda package: package not in missing)
    found = export_model(tmp_path, network, objective, dev, replace(choose_hardware("cpu", "fp32"), device=device))
    assert (found.notices, found.as_rows(), found.network) == ((notice,), [], network)
    assert not list(tmp_path.iterdir())


def test_a_session_without_onnx_runtime_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(backends, "is_installed", lambda package: False)
    with pytest.raises(
        BackendError, match=r"expected onnxruntime, found no such package; install it with `pip install 'textmill\[onnx\]'`"
    ):
        backends.open_session(tmp_path / "none.onnx", 1)


def test_a_headed_encoder_must_say_how_it_encodes():
    with pytest.raises(NotImplementedError, match="HeadedEncoder does not say how a batch is encoded"):
        HeadedEncoder().states(None)


def row(backend, speed, mean=1.0, low=1.0, equal=1.0, precision="fp32"):
    return Measured(backend, precision, mean, low, equal, speed, 1, False, "")


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([], "torch"),
        ([row("onnx-fp32", 104)], "torch"),
        ([row("onnx-fp32", 106)], "onnx-fp32"),
        ([row("onnx-fp32", 106), row("onnx-int8", 300)], "onnx-int8"),
        ([row("onnx-fp32", 106), row("onnx-int8", 300, mean=0.9989)], "onnx-fp32"),
        ([row("onnx-fp32", 106), row("onnx-int8", 300, low=0.989)], "onnx-fp32"),
        ([row("onnx-fp32", 99), row("onnx-int8", 300, equal=0.989)], "torch"),
        ([row("onnx-int8", 300, mean=float("nan"))], "torch"),
        ([row("torch", 200, precision="bf16"), row("onnx-int8", 150)], "torch"),
    ],
)
def test_the_fastest_that_keeps_parity_is_chosen_and_torch_unless_another_is_clearly_faster(others, chosen):
    found = choose([row("torch", 100), *others])
    best = [each for each in found if each.is_chosen]
    assert [each.backend for each in best] == [chosen]
    assert best[0].reason == "the fastest that keeps parity"
    assert all(each.reason.startswith(("keeps parity; ", "loses parity: ")) for each in found if not each.is_chosen)


def test_a_measurement_in_words():
    assert in_words(replace(row("onnx-int8", 1234.5, precision="int8"), is_chosen=True, reason="so")) == (
        "Backend onnx-int8 in int8: 1,234 texts/s, chosen: so."
    )
    assert in_words(Measured("onnx-fp32", "fp32", None, None, None, None, 0, False, "not exported: x")) == (
        "Backend onnx-fp32 in fp32: not exported: x."
    )


def test_cosines_are_by_row_and_one_for_equal_rows():
    found = np.array([[1, 0], [0, 0], [1, 1], [-2, 0], [0, 0]], dtype=np.float32)
    expected = np.array([[2, 0], [0, 0], [1, 0], [1, 0], [1, 0]], dtype=np.float32)
    assert cosine_of_rows(found, expected).tolist() == pytest.approx([1, 1, 0.5**0.5, -1, 0])


@pytest.mark.parametrize(("count", "most", "rows"), [(3, 300, [0, 1, 2]), (1, 5, [0]), (100, 3, [0, 50, 99]), (5, 5, [0, 1, 2, 3, 4])])
def test_rows_are_spread_evenly(count, most, rows):
    assert spread_rows(count, most).tolist() == rows
