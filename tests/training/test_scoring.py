import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from assets.training.learning.artifacts import ModelSettings, write_model
from assets.training.learning.encoder import load_encoder, load_tokenizer
from assets.training.learning.hardware import choose_hardware
from assets.training.learning.network import Network
from assets.training.learning.objectives import objective_of
from assets.training.manifests import ModelFolderError, write_manifest
from assets.training.scoring import scorer as scorer_module
from assets.training.scoring.backends import BackendError, OnnxNetwork
from assets.training.scoring.scorer import choose_backend, load_model

TEXTS = ["good film", "电影坏", "", "the film is a good table and 桌子"]
FP32 = {"backend": "onnx-fp32", "precision": "fp32", "is_chosen": True}
INT8 = {"backend": "onnx-int8", "precision": "int8", "is_chosen": True}
BF16 = {"backend": "torch", "precision": "bf16", "is_chosen": True}


@pytest.fixture(scope="module")
def folder(tiny_base, tiny_onnx, task, tmp_path_factory):
    """A model whose fastest backend is said to be ONNX in fp32."""
    folder = tmp_path_factory.mktemp("model")
    objective, tokenizer, encoder = objective_of(task), load_tokenizer(tiny_base), load_encoder(tiny_base)
    network = Network(encoder, objective.build_head(encoder.config.hidden_size, tokenizer, "mean"), tokenizer.pad_token_id)
    write_model(folder, network, tokenizer, ModelSettings(task=task, pooling="mean", max_tokens=16))
    shutil.copy(tiny_onnx, folder / "encoder-fp32.onnx")
    write_manifest(folder, {"model_id": "m1", "export": [{**INT8, "is_chosen": False}, FP32]})
    return folder


def test_the_backend_chosen_after_training_scores_on_the_cpu(folder):
    scorer = load_model(folder, "cpu")
    assert (scorer.backend, scorer.precision) == ("onnx-fp32", "fp32")
    assert isinstance(scorer.model, OnnxNetwork)
    assert "Encoder run by onnx-fp32 in fp32, the fastest that kept parity after training." in scorer.hardware.notice


def test_backends_answer_alike_in_order_whatever_the_lengths(folder):
    found = [load_model(folder, "cpu", "fp32", backend).predict(TEXTS) for backend in ("torch", "onnx-fp32")]
    assert found[0]["label"].tolist() == found[1]["label"].tolist()
    np.testing.assert_allclose(*(np.stack(frame["probabilities"].tolist()) for frame in found), atol=1e-5)
    np.testing.assert_allclose(found[0]["valence"], found[1]["valence"], atol=1e-5)


def test_no_texts_give_no_answers(folder):
    assert load_model(folder, "cpu").predict([]).empty


def test_a_precision_that_is_asked_for_is_torchs(folder):
    assert load_model(folder, "cpu", "fp32").backend == "torch"


@pytest.mark.parametrize(
    ("rows", "wanted", "precision", "device", "is_free", "chosen"),
    [
        (None, "auto", "fp32", "cpu", True, ("torch", "fp32")),
        ([], "auto", "bf16", "cpu", True, ("torch", "bf16")),
        ([FP32], "auto", "bf16", "cpu", True, ("onnx-fp32", "fp32")),
        ([INT8], "auto", "fp32", "cpu", True, ("onnx-int8", "fp32")),
        ([INT8], "auto", "fp32", "cpu", False, ("torch", "fp32")),
        ([INT8], "auto", "bf16", "cuda", True, ("torch", "bf16")),
        ([INT8], "torch", "bf16", "cpu", True, ("torch", "bf16")),
        ([FP32], "onnx-int8", "bf16", "cpu", True, ("onnx-int8", "fp32")),
        ([BF16], "auto", "bf16", "cpu", True, ("torch", "bf16")),
        ([BF16], "auto", "fp32", "cpu", True, ("torch", "fp32")),  # trained where bf16 is native, scored where it is not
    ],
)
def test_which_backend_is_used(rows, wanted, precision, device, is_free, chosen):
    manifest = {} if rows is None else {"export": rows}
    hardware = replace(choose_hardware("cpu", precision), device=device)
    backend, used = choose_backend(manifest, wanted, hardware, is_free=is_free)
    assert (backend, used.precision) == chosen


def test_without_onnx_runtime_torch_scores_and_the_notice_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(scorer_module, "is_installed", lambda package: False)
    scorer = load_model(folder, "cpu")
    assert scorer.backend == "torch"
    assert scorer.hardware.notice.endswith(
        "The model's fastest backend, onnx-fp32, needs onnxruntime: install it with `pip install 'textmill[onnx]'`. Torch is used."
    )


def test_a_backend_without_its_file_is_an_error(folder):
    with pytest.raises(
        BackendError, match=r"backend onnx-int8: expected encoder-int8.onnx in .* and the CPU, found \['encoder-fp32.onnx'\]"
    ):
        load_model(folder, "cpu", backend="onnx-int8")


def test_an_onnx_file_that_was_changed_is_not_opened(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "encoder-fp32.onnx").write_bytes(b"x")
    with pytest.raises(ModelFolderError, match=r"found \['encoder-fp32.onnx'\] changed"):
        load_model(copy, "cpu")


def test_int8_is_the_precision_of_an_int8_backend(folder):
    scorer = replace(load_model(folder, "cpu", "fp32"), backend="onnx-int8")
    assert scorer.precision == "int8"
    assert json.loads((folder / "manifest.json").read_text())["files"]["encoder-fp32.onnx"]
