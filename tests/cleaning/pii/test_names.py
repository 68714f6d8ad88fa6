"""Names come from a real model for token classification; the one made here calls every word a person."""

import pytest

from assets.cleaning.pii.names import ModelNames, NoNames, open_name_finder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Makes a small model whose head always gives the second of two labels; returns its folder."""

    def make(person="B-PER"):
        import torch
        from transformers import BertConfig, BertForTokenClassification, BertTokenizerFast

        folder = tmp_path_factory.mktemp("ner")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "lee", "王", "明"]
        (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
        tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128)
        labels = {0: "O", 1: person}
        sizes = {"vocab_size": len(words), "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        config = BertConfig(**sizes, id2label=labels, label2id={name: number for number, name in labels.items()})
        network = BertForTokenClassification(config)
        with torch.no_grad():
            network.classifier.weight.zero_()
            network.classifier.bias.copy_(torch.tensor([0.0, 9.0]))
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_people_that_the_model_tags_are_names_with_their_places(model):
    finder = open_name_finder(model())
    found = finder.find(["Ann  Lee", "王明"])
    assert [(each.start, each.end, each.kind, each.value) for each in found[0]] == [(0, 3, "name", "ann"), (5, 8, "name", "lee")]
    assert {each.kind for each in found[1]} == {"name"}
    assert finder.find([]) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_model_without_a_label_for_people_is_an_error(model):
    with pytest.raises(
        ValueError, match=r"cleaning.pii.names_model: expected a model with a label out of .* found .* with \['B-LOC', 'O'\]"
    ):
        ModelNames(model("B-LOC")).find(["Ann"])


def test_without_a_model_no_names_are_found():
    assert isinstance(open_name_finder(None), NoNames)
    assert open_name_finder(None).find(["Ann", "王明"]) == [[], []]
