"""Everything a training run needs, in memory: data, tokens, targets, network, hardware.

Does not belong here: training (`finetuning.py`, `few_shot.py`), writing the result (`run.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedTokenizerBase

from assets.training.jobs import SPLITS, TrainingJob, read_split
from assets.training.learning.adapters import add_adapters
from assets.training.learning.artifacts import ModelSettings
from assets.training.learning.encoder import BaseModel, load_encoder, load_tokenizer, locate_base_model, longest_input
from assets.training.learning.hardware import Hardware, choose_hardware
from assets.training.learning.network import Network, Pooling, freeze_lowest_layers, set_dropout
from assets.training.learning.objectives import Objective, objective_of
from assets.training.learning.processes import Processes, join_processes, pin_to_cores
from assets.training.learning.records import Examples
from assets.training.learning.token_cache import encode_once, key_of_texts
from assets.training.sampling import draw_rows
from assets.training_settings import Training

POOLING: Pooling = "mean"


@dataclass(frozen=True)
class Prepared:
    """All that a training run needs, in memory.

    Attributes:
        base: The pre-trained encoder's files.
        model: The network with a fresh seeded head.
        objective: What is learnt.
        tokenizer: The base model's tokenizer.
        settings: How the finished model scores.
        hardware: Where it runs.
        processes: Those that train together.
        examples: Documents, tokens and targets by split; train is the drawn share.
        is_few_shot: Only a head is fitted.
        merge_adapters: To be called when training has ended.
    """

    base: BaseModel
    model: Network
    objective: Objective
    tokenizer: PreTrainedTokenizerBase
    settings: ModelSettings
    hardware: Hardware
    processes: Processes
    examples: dict[str, Examples]
    is_few_shot: bool
    merge_adapters: Callable[[], None]


def prepare(job: TrainingJob, splits: Sequence[str] = SPLITS, examples: Mapping[str, Examples] | None = None) -> Prepared:
    """Read the data set, find the base model, tokenize what was not tokenized before, seed the network.

    Args:
        job: Data, task and recipe.
        splits: Those to read.
        examples: Take these instead of reading and tokenizing any; made with the same base model, task and `max_tokens`.

    Raises:
        JobError: The data is not as expected.
        BaseModelError: The base model cannot be had.
        HardwareError: The device asked for is not there.
        MissingExtraError: A library that the settings ask for is not installed.
    """
    hardware, processes = prepare_hardware(job.training)
    base = locate_base_model(job.training.base_model)
    objective = objective_of(job.task, job.training.valence_weight)
    tokenizer, encoder = load_tokenizer(base.folder), load_encoder(base.folder)
    objective.prepare(tokenizer, encoder)
    limit = longest_input(encoder, tokenizer, job.training.max_tokens)
    if examples is None:
        examples = {split: read_examples(job, split, objective, tokenizer, base.fingerprint, limit) for split in splits}
    torch.manual_seed(job.training.seed)
    head = objective.build_head(encoder.config.hidden_size, tokenizer, POOLING)
    is_few_shot = job.task.labels_whole_texts and len(examples["train"].documents) < job.training.few_shot_below
    merge = add_adapters(encoder, job.training.lora) if job.training.lora and not is_few_shot else lambda: None
    model = Network(encoder, head, tokenizer.pad_token_id or 0)
    freeze_lowest_layers(encoder, job.training.frozen_layers)
    set_dropout(model, job.training.dropout)
    settings = ModelSettings(task=job.task, pooling=POOLING, max_tokens=limit)
    return Prepared(base, model, objective, tokenizer, settings, hardware, processes, dict(examples), is_few_shot, merge)


def prepare_hardware(training: Training) -> tuple[Hardware, Processes]:
    """Choose the hardware, join the other processes, and keep to this one's share of the cores."""
    hardware = choose_hardware(training.device, training.precision)
    processes = join_processes(hardware.device)
    if processes.count > 1:
        local = training.processes if training.processes > 1 else processes.count
        pinned = pin_to_cores(processes.rank % local, local)
        hardware = replace(hardware, threads=max(1, min(pinned, hardware.threads // local)))
    torch.set_num_threads(hardware.threads)
    return hardware, processes


def read_examples(
    job: TrainingJob, split: str, objective: Objective, tokenizer: PreTrainedTokenizerBase, fingerprint: str, limit: int
) -> Examples:
    """A split as documents, tokens and targets; of train, the share that the settings ask for. The whole split is tokenized, once."""
    documents = read_split(job.dataset_folder, split, job.task)
    texts = documents["text"].tolist()
    key = key_of_texts(fingerprint, job.task.kind, limit, texts)
    encoded = encode_once(job.cache_folder, key, lambda: objective.encode(tokenizer, texts, limit))
    if split == "train" and job.training.share != "all":
        chosen = draw_rows(documents, job.training.share).index.to_numpy()
        documents, encoded = documents.iloc[chosen].reset_index(drop=True), encoded.take(chosen)
    return Examples(documents, encoded, objective.targets(encoded, documents))
