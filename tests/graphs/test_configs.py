"""What publishers write of a network's input, read as the same numbers; and what is not known, refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from offramp.errors import ArtifactDamagedError, InputError
from offramp.graphs.configs import read_config
from offramp.graphs.spec import InputSpec
from wordlist import tokenizer

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
MEAN, STD = IMAGENET["mean"], IMAGENET["std"]
VIT = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5], "image_processor_type": "ViTFeatureExtractor", "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224},
}  # fmt: skip
CLIP = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3, "size": 224,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28],
}  # fmt: skip
CONVNEXT = {
    "crop_pct": 0.875, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": list(MEAN),
    "image_std": list(STD), "image_processor_type": "ConvNextImageProcessor", "resample": 3,
    "size": {"shortest_edge": 224},
}  # fmt: skip
MOBILENET = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_normalize": True, "do_rescale": True,
    "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2, "size": {"shortest_edge": 256},
    "image_processor_type": "MobileNetV2ImageProcessor", "rescale_factor": 1 / 255,
}  # fmt: skip
EFFICIENTNET = {
    "do_center_crop": False, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": list(MEAN),
    "image_std": [0.5, 0.25, 0.2], "image_processor_type": "EfficientNetImageProcessor", "include_top": True,
    "resample": 0, "rescale_factor": 1 / 255, "rescale_offset": False, "size": {"height": 224, "width": 224},
}  # fmt: skip
MOBILEVIT = {
    "crop_size": {"height": 256, "width": 256}, "do_center_crop": True, "do_flip_channel_order": True,
    "do_normalize": False, "do_rescale": True, "do_resize": True, "resample": 2, "size": {"shortest_edge": 288},
    "image_processor_type": "MobileViTImageProcessor",
}  # fmt: skip
TIMM = {
    "architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {
        "input_size": [3, 224, 224], "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95,
        "crop_mode": "center", "mean": list(MEAN), "std": list(STD), "pool_size": [7, 7], "first_conv": "conv1",
        "classifier": "fc", "test_input_size": [3, 288, 288], "test_crop_pct": 1.0,
    },
}  # fmt: skip


def written(folder: Path, fields: Any, name: str = "preprocessor_config.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(fields))
    return path


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (VIT, InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3, size=(224, 224))),
        (CLIP, InputSpec(mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28), size=(224, 224), fit="crop", side=224,
                         filter="bicubic")),
        (CONVNEXT, InputSpec(mean=MEAN, std=STD, size=(224, 224), fit="crop", side=256, filter="bicubic")),
        (CONVNEXT | {"size": {"shortest_edge": 384}}, InputSpec(mean=MEAN, std=STD, size=(384, 384), filter="bicubic")),
        (MOBILENET, InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3, size=(224, 224), fit="crop", side=256)),
        (EFFICIENTNET, InputSpec(mean=MEAN, std=(0.25, 0.0625, 0.2 * 0.2), size=(224, 224), filter="nearest")),
        (MOBILEVIT, InputSpec(bgr=True, size=(256, 256), fit="crop", side=288)),
        (VIT | {"do_rescale": False, "do_normalize": False}, InputSpec(scale=255.0, size=(224, 224))),
        (EFFICIENTNET | {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
         InputSpec(scale=2.0, mean=(1.0,), size=(224, 224), filter="nearest")),
        (VIT | {"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": 224},
         InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3, size=(224, 224), side=256)),
        (TIMM, InputSpec(mean=MEAN, std=STD, size=(224, 224), fit="crop", side=235, filter="bicubic")),
        (TIMM["pretrained_cfg"] | {"crop_mode": "squash"}, InputSpec(mean=MEAN, std=STD, size=(224, 224), side=235,
                                                                     filter="bicubic")),
    ],
)  # fmt: skip
def test_a_published_configuration_is_read(fields: dict[str, Any], expected: InputSpec, tmp_path: Path) -> None:
    """Hugging Face's and timm's, by its file or by the folder that it lies in."""
    path = written(tmp_path, fields)
    assert read_config(path) == expected
    assert read_config(tmp_path) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (VIT | {"do_pad": True}, "do_pad is not known, and may change the image. Prepare images without it."),
        (VIT | {"do_resize": False}, "do_resize is false, and images of any size come. Say its size."),
        (VIT | {"resample": 5}, "resample 5 is not known. Expected bicubic, bilinear, lanczos, nearest."),
        (VIT | {"size": 224, "image_processor_type": "MyProcessor"}, "size 224 of MyProcessor is not known. Write it "
         "as height and width, or as shortest_edge."),
        (VIT | {"size": {"shortest_edge": 480, "longest_edge": 640}}, "size {'shortest_edge': 480, 'longest_edge': "
         "640} of ViTFeatureExtractor is not known. Write it as height and width, or as shortest_edge."),
        (VIT | {"size": {"shortest_edge": 256}}, "the shorter side becomes 256, and no crop_size says what is taken of "
         "it."),
        ({name: value for name, value in VIT.items() if name != "image_std"}, "do_normalize without image_std. Write "
         "it there."),
        (TIMM["pretrained_cfg"] | {"crop_mode": "border"}, "crop_mode 'border' pads the image, which is not known "
         "here."),
        (TIMM["pretrained_cfg"] | {"interpolation_mode": "x"}, "interpolation_mode = 'x' is not known, and may "
         "change the image."),
        ({"hidden_size": 768}, "says nothing of a network's input. Expected timm's config.json, Hugging Face's "
         "preprocessor_config.json or tokenizer.json."),
    ],
)  # fmt: skip
def test_what_would_change_the_image_and_is_not_known_is_refused(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """By its name: a guess would cost accuracy and say nothing."""
    path = written(tmp_path, fields)
    with pytest.raises(InputError) as caught:
        read_config(path)
    assert str(caught.value) == f"{path}: {message}"


def test_what_is_no_configuration_is_damaged(tmp_path: Path) -> None:
    """A file of something else, or an empty folder."""
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ArtifactDamagedError, match="not JSON"):
        read_config(tmp_path / "a.json")
    with pytest.raises(InputError, match="none of preprocessor_config"):
        read_config(tmp_path)


def test_a_tokenizer_says_what_fills_up(tmp_path: Path) -> None:
    """Its own file, or the configuration beside it, which comes first."""
    (tmp_path / "tokenizer.json").write_bytes(tokenizer())
    assert read_config(tmp_path) == InputSpec(kind="text", pad=0, tokenizer=tokenizer())
    written(tmp_path, {"pad_token": "end", "padding_side": "left"}, "tokenizer_config.json")
    assert read_config(tmp_path) == InputSpec(kind="text", pad=8, pad_left=True, tokenizer=tokenizer())
    written(tmp_path, {"pad_token": "<none>"}, "tokenizer_config.json")
    with pytest.raises(InputError, match="is not among the tokens"):
        read_config(tmp_path)


def test_a_tokenizer_that_names_nothing_to_fill_up_with_is_refused(tmp_path: Path) -> None:
    """Any id would stand for a word."""
    (tmp_path / "tokenizer.json").write_bytes(tokenizer(("one", "[UNK]", "two")))
    with pytest.raises(InputError, match="no token to fill up with is named"):
        read_config(tmp_path)
