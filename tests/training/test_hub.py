"""Claims about names on the model hub, with the hub's answers played by a fake: what is asked for, and what is not loaded."""

import json
from types import SimpleNamespace

import pytest

from assets.training.learning import encoder
from assets.training.learning.encoder import BaseModelError, load_encoder, load_tokenizer, locate_base_model
from assets.training.learning.packing import use_packed_attention

TITLE = "Adding `safetensors` variant of this model"


class Hub:
    """A hub with one repository: its main branch holds pickles, pull requests may hold safetensors."""

    def __init__(self, monkeypatch, folder, discussions=()):
        self.folder, self.discussions, self.asked = folder, discussions, []
        (folder / "main").mkdir(parents=True)
        (folder / "main" / "config.json").write_text("{}")
        monkeypatch.setattr(encoder.huggingface_hub, "snapshot_download", self.download)
        monkeypatch.setattr(encoder.huggingface_hub, "HfApi", lambda: self)

    def download(self, repository, revision="main", allow_patterns=()):
        self.asked.append((repository, revision))
        assert not [pattern for pattern in allow_patterns if pattern.endswith((".bin", ".pt", ".pkl"))]
        return str(self.folder / revision)

    def get_repo_discussions(self, repository, *, discussion_type, author):
        return [each for each in self.discussions if each.author == author]


def pull_request(number, author="SFconvertbot", title=TITLE, status="open"):
    return SimpleNamespace(num=number, author=author, title=title, status=status)


def test_the_hubs_own_conversion_is_taken_where_weights_are_pickled(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, tmp_path, [pull_request(3, title="typo"), pull_request(5)])
    converted = tmp_path / "refs" / "pr" / "5"
    converted.mkdir(parents=True)
    (converted / "config.json").write_text("{}")
    (converted / "model.safetensors").write_bytes(b"x")
    assert locate_base_model("microsoft/deberta-v3-base").folder == converted
    assert hub.asked == [("microsoft/deberta-v3-base", "main"), ("microsoft/deberta-v3-base", "refs/pr/5")]


@pytest.mark.parametrize("request_", [pull_request(5, author="somebody"), pull_request(5, status="closed")], ids=["stranger", "closed"])
def test_nobody_elses_conversion_is_taken(tmp_path, monkeypatch, request_):
    hub = Hub(monkeypatch, tmp_path, [request_])
    with pytest.raises(BaseModelError, match=r"Pickled weights are not loaded"):
        locate_base_model("microsoft/deberta-v3-base")
    assert hub.asked == [("microsoft/deberta-v3-base", "main")]


def test_a_sentencepiece_vocabulary_makes_a_fast_tokenizer(tmp_path):
    """The shape in which DeBERTa-v3 is published: `spm.model` and no tokenizer.json. English and Chinese."""
    import sentencepiece
    from transformers import DebertaV2Config, DebertaV2Model

    lines = ["hello world this is a small text", "中文 文本 也 要 能 用", "good bad movie film"] * 20
    pieces = {
        "pad_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "unk_id": 3,
        "pad_piece": "[PAD]",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "unk_piece": "[UNK]",
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(tmp_path / "spm"), vocab_size=32, hard_vocab_limit=False, minloglevel=2, **pieces
    )
    config = DebertaV2Config(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    DebertaV2Model(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"vocab_type": "spm"}))
    tokenizer = load_tokenizer(tmp_path)
    found = tokenizer("hello 中文", return_offsets_mapping=True)
    assert tokenizer.is_fast
    assert max(end for _, end in found["offset_mapping"]) == len("hello 中文")
    assert not use_packed_attention(load_encoder(tmp_path))
