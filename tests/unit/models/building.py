"""Small models for tests, built on the spot."""

import json
from pathlib import Path

import numpy as np

LABELS = ("calm", "angry", "glad")


def build_bert(directory: Path, labels: tuple[str, ...] = LABELS, *, seed: int = 0) -> Path:
    """A tiny BERT classifier with random weights, saved as people save theirs."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "day",
        "is",
        "fine",
        "bad",
        "word",
        "##s",
        "!",
        "😀",
    ]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(directory)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.5,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(directory)
    return directory


def edit_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def clusters(n: int, seed: int = 0, labels: tuple[str, ...] = LABELS) -> tuple[np.ndarray, list[str]]:
    """Points of length 1 around one direction a label, the first label commonest."""
    rng = np.random.default_rng(seed)
    centres = np.eye(len(labels), 384)
    names = [
        labels[int(k)]
        for k in rng.choice(len(labels), size=n, p=[0.6, *([0.4 / (len(labels) - 1)] * (len(labels) - 1))])
    ]
    points = centres[[labels.index(name) for name in names]] + rng.normal(scale=0.06, size=(n, 384))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), names
