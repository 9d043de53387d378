"""The checkpoint on disk: what is written is read back, and what is wrong with it is said."""

import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from offramp.errors import ArtifactDamagedError, ArtifactError, ArtifactMissingError, ArtifactVersionError
from offramp.models.architecture import Architecture, StandardCnn
from offramp.models.checkpoint import CARD, WEIGHTS, Checkpoint, ModelCard, write_checkpoint
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet


def architecture(width: int = 8) -> Architecture:
    """Three blocks on 8x8 images."""
    return StandardCnn(
        channels=1, height=8, width=8, classes=("a", "b"), widths=(width,) * 3, pool_after=(1,), exits=(2, 3)
    )


def card(weights: bytes, width: int = 8) -> ModelCard:
    """A card that fits these weights."""
    return ModelCard(
        architecture=architecture(width),
        recipe={"name": "by hand", "epochs": 3},
        data="digits",
        seed=7,
        commit="0123456789ab",
        hardware="a processor",
        epochs=3,
        seconds=1.5,
        validation_accuracy={2: 0.5, 3: 0.75},
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )


@pytest.fixture
def net() -> ExitNet:
    """A network whose running statistics are not those that a fresh one has."""
    net = standard_cnn(architecture(), (torch.tensor([0.3]), torch.tensor([0.2])), seed=7)
    net(torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    return net


@pytest.fixture
def folder(net: ExitNet, tmp_path: Path) -> Path:
    """A checkpoint of it."""
    weights = safetensors.torch.save(net.state_dict())
    write_checkpoint(tmp_path / "checkpoint", card(weights), weights)
    return tmp_path / "checkpoint"


def test_a_checkpoint_round_trip_gives_the_network_and_its_card_back(net: ExitNet, folder: Path) -> None:
    """Same tensors bit for bit, same card, in evaluation mode."""
    opened = Checkpoint.open(folder)
    expected = net.state_dict()
    found = opened.net.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert opened.card == card((folder / WEIGHTS).read_bytes())
    assert opened.path == folder
    assert not opened.net.training
    assert not any(module.training for module in opened.net.modules())


def test_a_path_may_be_a_string(folder: Path) -> None:
    """Both kinds of path open the same."""
    assert Checkpoint.open(str(folder)).card == Checkpoint.open(folder).card


def test_the_folder_holds_the_two_files_and_nothing_else(folder: Path) -> None:
    """No half-written neighbour stays behind."""
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]


def test_writing_over_a_checkpoint_replaces_it(folder: Path) -> None:
    """The second network is what is read."""
    weights = safetensors.torch.save(standard_cnn(architecture(4), seed=1).state_dict())
    write_checkpoint(folder, card(weights, 4), weights)
    assert Checkpoint.open(folder).card.architecture.widths == (4, 4, 4)


def test_a_folder_without_a_card_is_not_a_checkpoint(folder: Path) -> None:
    """The card is written last, so this is what an interrupted write leaves."""
    (folder / CARD).unlink()
    assert refusal(folder, ArtifactMissingError) == (
        f"{folder}: not a checkpoint, it has no model.json. Write one with: offramp train MODEL --out {folder}"
    )


def test_missing_weights_are_named(folder: Path) -> None:
    """The card alone is not enough."""
    (folder / WEIGHTS).unlink()
    assert refusal(folder, ArtifactMissingError) == (
        f"{folder / WEIGHTS}: no such file. Check the path, or run the step that writes it."
    )


def test_truncated_weights_are_named_with_what_was_found(folder: Path) -> None:
    """A copy that was cut short is told from the original."""
    whole = (folder / WEIGHTS).read_bytes()
    half = whole[: len(whole) // 2]
    (folder / WEIGHTS).write_bytes(half)
    assert refusal(folder, ArtifactDamagedError) == digest_message(folder, whole, half)


@pytest.mark.parametrize("position", [0, 100, -1])
def test_one_changed_byte_is_found(folder: Path, position: int) -> None:
    """In the header, in a name or in the last weight."""
    whole = (folder / WEIGHTS).read_bytes()
    changed = bytearray(whole)
    changed[position] ^= 1
    (folder / WEIGHTS).write_bytes(changed)
    assert refusal(folder, ArtifactDamagedError) == digest_message(folder, whole, bytes(changed))


def test_a_file_that_is_no_safetensors_file_is_named(folder: Path) -> None:
    """Even where its hash is the card's."""
    rewrite(folder, b"PK\x03\x04 not weights at all")
    assert refusal(folder, ArtifactDamagedError).startswith(
        f"{folder / WEIGHTS}: not a safetensors file, or cut short ("
    )


def test_weights_of_another_architecture_are_named(folder: Path) -> None:
    """Wider layers do not fit, and the message says which."""
    rewrite(folder, safetensors.torch.save(standard_cnn(architecture(4)).state_dict()))
    message = refusal(folder, ArtifactDamagedError)
    assert message.startswith(f"{folder / WEIGHTS}: does not fit the architecture of its model.json: ")
    assert "size mismatch for stages.0.1.weight" in message


def test_weights_of_other_exits_are_named(folder: Path, net: ExitNet) -> None:
    """A head too few is not filled with random numbers."""
    rewrite(folder, safetensors.torch.save({k: v for k, v in net.state_dict().items() if not k.startswith("heads.2")}))
    message = refusal(folder, ArtifactDamagedError)
    assert message.startswith(f"{folder / WEIGHTS}: does not fit the architecture of its model.json: ")
    assert "heads.2.2.weight" in message


def test_an_unknown_version_is_named(folder: Path) -> None:
    """A later program's checkpoint is not guessed at."""
    edit(folder, version=99)
    assert refusal(folder, ArtifactVersionError) == (
        f"{folder / CARD}: offramp.checkpoint version 99, and this program reads version 2 and 1. "
        "Write it again with this program, or read it with the one that wrote it."
    )


def test_a_checkpoint_of_version_1_is_read(folder: Path) -> None:
    """It named no family: there was one."""
    expected = Checkpoint.open(folder).card
    document = json.loads((folder / CARD).read_text())
    assert document["architecture"].pop("family") == "standard-cnn"
    edit(folder, version=1, architecture=document["architecture"])
    assert Checkpoint.open(folder).card == expected


def test_a_card_of_an_unknown_family_is_named(folder: Path) -> None:
    """A network that this program cannot build."""
    document = json.loads((folder / CARD).read_text())
    edit(folder, architecture=document["architecture"] | {"family": "resnet"})
    assert refusal(folder, ArtifactDamagedError) == (
        f"{folder / CARD}: architecture: family 'resnet': unknown, expected one of standard-cnn, graph "
        "(offramp.checkpoint)."
    )


def test_a_card_of_another_format_is_named(folder: Path) -> None:
    """Some other program's model.json."""
    edit(folder, format="somebody.else")
    assert refusal(folder, ArtifactDamagedError) == (
        f"{folder / CARD}: expected a document of format 'offramp.checkpoint', found 'somebody.else'."
    )


def test_a_truncated_card_is_named(folder: Path) -> None:
    """Half a JSON document."""
    (folder / CARD).write_text((folder / CARD).read_text()[:100])
    assert refusal(folder, ArtifactDamagedError).startswith(f"{folder / CARD}: not a JSON document (")


def test_a_card_whose_architecture_cannot_be_is_named(folder: Path) -> None:
    """The reason is the architecture's own."""
    document = json.loads((folder / CARD).read_text())
    edit(folder, architecture=document["architecture"] | {"exits": [1]})
    assert refusal(folder, ArtifactDamagedError) == (
        f"{folder / CARD}: architecture: exits must rise within 1 to 3 and end at 3, got [1] (offramp.checkpoint)."
    )


def refusal(folder: Path, kind: type[ArtifactError]) -> str:
    """The message with which a checkpoint is refused."""
    with pytest.raises(kind) as caught:
        Checkpoint.open(folder)
    assert type(caught.value) is kind
    return str(caught.value)


def digest_message(folder: Path, expected: bytes, found: bytes) -> str:
    """What is said of weights with another hash than the card's."""
    digests = [hashlib.sha256(content).hexdigest()[:16] for content in (expected, found)]
    return (
        f"{folder / WEIGHTS}: expected sha256 {digests[0]}…, found {digests[1]}… ({len(found)} bytes). "
        "The file was changed or cut short: copy it again or train again."
    )


def rewrite(folder: Path, weights: bytes) -> None:
    """Put other weights in, with a card that vouches for them."""
    write_checkpoint(folder, card(weights), weights)


def edit(folder: Path, **changes: object) -> None:
    """Change entries of the card."""
    document = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(document | changes))
