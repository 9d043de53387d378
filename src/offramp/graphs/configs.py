"""Read what a classifier was given in training from the files that its publisher put beside it.

timm's `config.json` (or a dump of a model's `pretrained_cfg`), Hugging Face's `preprocessor_config.json`, and
`tokenizer.json` with the `tokenizer_config.json` beside it; or the folder that holds them. A field that would change
what the network sees, and is not known here, is refused by its name: a guess would cost accuracy and say nothing.
"""

import json
from collections.abc import Mapping
from math import floor
from pathlib import Path
from typing import Any, Literal

from offramp.artifacts.document import read_bytes
from offramp.artifacts.inputs import TOKENIZER
from offramp.artifacts.preprocessing import Filter
from offramp.errors import ArtifactDamagedError, InputError
from offramp.graphs.spec import InputSpec

PREPROCESSOR, TIMM = "preprocessor_config.json", "config.json"
FILTERS: dict[Any, Filter] = {  # by their names, and by Pillow's numbers
    "nearest": "nearest", "lanczos": "lanczos", "bilinear": "bilinear", "bicubic": "bicubic",
    0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic",
}  # fmt: skip
# Hugging Face's families whose one number is the shorter side's length; it is both sides' of all others that are known.
SHORTER = ("CLIP", "ConvNext", "Levit", "LeViT", "MobileNet", "MobileViT", "PoolFormer", "SegFormer", "SiglipNaFlex")
BOTH = ("ViT", "DeiT", "Beit", "BEiT", "Swin", "Siglip", "DINO", "Dinov", "DPT", "BitImage", "EfficientNet", "Pvt")
KNOWN = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order"}
HARMLESS = {"do_reduce_labels"}  # of labels


def read_config(path: Path) -> InputSpec:
    """What a file, or a folder of such files, says of a network's input.

    Raises InputError for a file that is none of those known, and for a field that is not: each by its name.
    """
    if path.is_dir():
        found = next((path / name for name in (PREPROCESSOR, TOKENIZER, TIMM) if (path / name).is_file()), None)
        if found is None:
            raise InputError(f"{path}: none of {PREPROCESSOR}, {TOKENIZER} and {TIMM} lies in it. Name the file.")
        path = found
    content = read_bytes(path)
    fields = _json(content, path)
    if "model" in fields and "added_tokens" in fields:
        return _of_tokenizer(content, fields, path)
    if isinstance(inner := fields.get("pretrained_cfg", fields.get("default_cfg")), dict):
        return _of_timm(inner, path)
    if {"interpolation", "crop_pct"} & fields.keys() and "input_size" in fields:
        return _of_timm(fields, path)
    if any(name.startswith("do_") for name in fields) or "image_processor_type" in fields:
        return _of_processor(fields, path)
    raise InputError(
        f"{path}: says nothing of a network's input. Expected timm's config.json, Hugging Face's {PREPROCESSOR} or "
        f"{TOKENIZER}."
    )


def _json(content: bytes, path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactDamagedError(f"{path}: not JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise ArtifactDamagedError(f"{path}: a {type(fields).__name__}, and a configuration is an object.")
    return fields


def _of_timm(fields: Mapping[str, Any], path: Path) -> InputSpec:
    """As timm's `create_transform` evaluates."""
    size = tuple(fields.get("input_size") or (3, 224, 224))
    share = float(fields.get("crop_pct") or 0.875)
    mode = fields.get("crop_mode") or "center"
    if mode not in ("center", "squash"):
        raise InputError(f"{path}: crop_mode {mode!r} pads the image, which is not known here.")
    changing = ("input_", "crop", "interpol", "resize", "pad_", "fill", "color", "channel")
    known = {"input_size", "crop_pct", "crop_mode", "interpolation"}
    if unknown := [name for name in fields if name.startswith(changing) and name not in known and fields[name]]:
        raise InputError(f"{path}: {unknown[0]} = {fields[unknown[0]]!r} is not known, and may change the image.")
    height, width = int(size[1]), int(size[2])
    if height != width:
        raise InputError(f"{path}: input_size {list(size)} is not square, and what is cropped of it is not known.")
    return InputSpec(
        mean=_numbers(fields.get("mean", (0.485, 0.456, 0.406))),
        std=_numbers(fields.get("std", (0.229, 0.224, 0.225))),
        size=(height, width),
        fit="stretch" if mode == "squash" else "crop",
        side=max(floor(height / share), height),
        filter=_filter(fields.get("interpolation", "bilinear"), "interpolation", path),
    )


def _of_processor(fields: Mapping[str, Any], path: Path) -> InputSpec:
    """As the image processors of transformers."""
    asked = {name for name, value in fields.items() if name.startswith("do_") and value}
    if unknown := sorted(asked - KNOWN - HARMLESS):
        raise InputError(f"{path}: {unknown[0]} is not known, and may change the image. Prepare images without it.")
    if fields.get("do_resize") is False:
        raise InputError(f"{path}: do_resize is false, and images of any size come. Say its size.")
    family = str(fields.get("image_processor_type") or fields.get("feature_extractor_type") or "")
    framed = _framed(fields, family, path)
    factor = float(fields.get("rescale_factor", 1 / 255)) if fields.get("do_rescale", True) else 1.0
    offset = 1.0 if fields.get("rescale_offset") and factor != 1.0 else 0.0
    scale = 255 * factor
    scale = 1.0 if abs(scale - 1) < 1e-6 else scale
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    if fields.get("do_normalize", True):
        if missing := [name for name in ("image_mean", "image_std") if name not in fields]:
            raise InputError(f"{path}: do_normalize without {missing[0]}. Write it there.")
        mean, std = _numbers(fields["image_mean"]), _numbers(fields["image_std"])
        if fields.get("include_top") and family.startswith("EfficientNet"):
            std = tuple(value * value for value in std)  # that family divides twice
    if offset:
        mean = tuple(value + offset for value in mean or (0.0,))
    return InputSpec(scale=scale, mean=mean, std=std, bgr="do_flip_channel_order" in asked, **framed)


def _framed(fields: Mapping[str, Any], family: str, path: Path) -> dict[str, Any]:
    """Size, side, fit and filter."""
    filter_ = _filter(fields.get("resample", 2), "resample", path)
    size, fit, side = _size(fields.get("size"), family, path)
    crops = bool(fields.get("do_center_crop"))
    if crops and fit == "stretch" and size[0] != size[1]:
        raise InputError(f"{path}: size {fields['size']} is not square, and its centre is cropped: not known here.")
    cropped = _size(fields["crop_size"], "ViT", path)[2] if crops and fields.get("crop_size") is not None else None
    if fit == "stretch" and cropped is None:
        return {"size": size, "fit": fit, "filter": filter_}
    if family.startswith("ConvNext"):  # a share in place of a crop's size; none of large images
        share = float(fields.get("crop_pct") or 224 / 256)
        if side >= 384:
            return {"size": (side, side), "filter": filter_}
        return {"size": (side, side), "fit": "crop", "side": int(side / share), "filter": filter_}
    if fields.get("crop_pct") is not None:
        raise InputError(f"{path}: crop_pct of {family or 'an unnamed processor'} is not known. Say side and size.")
    if family.startswith(("Levit", "LeViT")):
        side = int(256 / 224 * side)
    if cropped is None:
        raise InputError(f"{path}: the shorter side becomes {side}, and no crop_size says what is taken of it.")
    return {"size": (cropped, cropped), "fit": fit, "side": side, "filter": filter_}


def _size(given: Any, family: str, path: Path) -> tuple[tuple[int, int], Literal["stretch", "crop"], int]:
    """A size as (height, width) where it is both, the way that an image is brought to it, and one number of it."""
    if isinstance(given, Mapping) and set(given) == {"height", "width"}:
        height, width = int(given["height"]), int(given["width"])
        return (height, width), "stretch", min(height, width)
    if isinstance(given, Mapping) and set(given) == {"shortest_edge"}:
        side = int(given["shortest_edge"])
        return (side, side), "crop", side
    if isinstance(given, int) and not isinstance(given, bool):
        if family.startswith(SHORTER):
            return (given, given), "crop", given
        if family.startswith(BOTH):
            return (given, given), "stretch", given
    raise InputError(
        f"{path}: size {given!r} of {family or 'an unnamed processor'} is not known. Write it as height and width, or "
        "as shortest_edge."
    )


def _of_tokenizer(content: bytes, fields: Mapping[str, Any], path: Path) -> InputSpec:
    beside = path.with_name("tokenizer_config.json")
    config = _json(read_bytes(beside), beside) if beside.is_file() else {}
    own = fields.get("padding") or {}
    name = config.get("pad_token")
    name = name.get("content") if isinstance(name, dict) else name
    ids = {token["content"]: token["id"] for token in fields["added_tokens"]}
    vocabulary = fields["model"].get("vocab", {})
    known = dict(vocabulary) if isinstance(vocabulary, dict) else {word: at for at, (word, *_) in enumerate(vocabulary)}
    known |= ids
    if name is not None and name not in known:
        raise InputError(f"{beside}: pad_token {name!r} is not among the tokens of {path.name}.")
    pad = known[name] if name is not None else own.get("pad_id")
    if pad is None:
        pad = next((known[one] for one in ("[PAD]", "<pad>", "<PAD>") if one in known), None)
    if pad is None:
        raise InputError(f"{path}: no token to fill up with is named. Put pad_token into {beside.name} beside it.")
    side = str(config.get("padding_side") or own.get("direction") or "right").lower()
    return InputSpec(kind="text", pad=int(pad), pad_left=side == "left", tokenizer=content)


def _filter(given: Any, name: str, path: Path) -> Filter:
    if given not in FILTERS:
        raise InputError(f"{path}: {name} {given!r} is not known. Expected {', '.join(sorted(set(FILTERS.values())))}.")
    return FILTERS[given]


def _numbers(given: Any) -> tuple[float, ...]:
    return tuple(map(float, given)) if isinstance(given, list | tuple) else (float(given),)
