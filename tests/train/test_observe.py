"""Who watches a training: the log, TensorBoard's events, the bar."""

import io
import json
import re
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

from offramp.data.image_set import Splits
from offramp.errors import ArtifactError
from offramp.models.architecture import Architecture
from offramp.train.loop import Run, train
from offramp.train.observe import EpochRecord, JsonLog, ProgressBar, TensorBoardLog
from offramp.train.recipe import recipe


def record(epoch: int, loss: float = 1.5) -> EpochRecord:
    """What one epoch of five came to."""
    return EpochRecord(
        epoch=epoch,
        of=5,
        loss=loss,
        learning_rate=0.25,
        validation_accuracy={1: 0.5, 3: 0.75},
        seconds=2.0,
        images_per_second=80.0,
    )


def epochs(path: Path) -> list[int]:
    """The epochs that a log has lines of, in its order."""
    return [json.loads(line)["epoch"] for line in path.read_text().splitlines()]


def events(path: Path) -> Iterator[event_pb2.Event]:
    """Records of an event file: length, its checksum, data, its checksum (TFRecord)."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        data = content[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", content, at + 8)[0] == masked_crc32c(content[at : at + 8])
        assert struct.unpack_from("<I", content, at + 12 + length)[0] == masked_crc32c(data)
        event = event_pb2.Event()
        event.ParseFromString(data)
        yield event
        at += 16 + length


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows of a folder: files in the order of their names, a restart hiding what came after it."""
    shown: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("*tfevents*")):
        for event in events(path):
            if event.HasField("session_log") and event.session_log.status == event_pb2.SessionLog.START:
                for steps in shown.values():
                    for step in [step for step in steps if step >= event.step]:
                        del steps[step]
            for value in event.summary.value:
                shown.setdefault(value.tag, {})[event.step] = value.simple_value
    return shown


def test_a_log_has_one_line_an_epoch(tmp_path: Path) -> None:
    """Each line is the record as JSON, there as soon as the epoch is over."""
    log = JsonLog(tmp_path / "log.jsonl", 0)
    for epoch in (1, 2, 3):
        log.epoch(record(epoch))
        assert epochs(log.path) == list(range(1, epoch + 1))
    lines = log.path.read_text().splitlines()
    assert [EpochRecord.model_validate_json(line) for line in lines] == [record(1), record(2), record(3)]


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_a_resumed_log_drops_the_epochs_that_come_again(tmp_path: Path, keep: int) -> None:
    """An interrupted run may have logged an epoch whose state it did not get to write."""
    path = tmp_path / "log.jsonl"
    first = JsonLog(path, 0)
    for epoch in (1, 2, 3):
        first.epoch(record(epoch))

    again = JsonLog(path, keep)
    for epoch in range(keep + 1, 6):
        again.epoch(record(epoch, loss=0.5))

    assert epochs(path) == [1, 2, 3, 4, 5]
    losses = [json.loads(line)["loss"] for line in path.read_text().splitlines()]
    assert losses == [1.5] * keep + [0.5] * (5 - keep)


def test_a_log_that_ends_in_half_a_line_is_gone_on_with(tmp_path: Path) -> None:
    """A run that was killed while it wrote does not stand in the way of the next."""
    path = tmp_path / "log.jsonl"
    JsonLog(path, 0).epoch(record(1))
    with path.open("a") as file:
        file.write(record(2).model_dump_json()[:40])

    JsonLog(path, 1).epoch(record(2))

    assert epochs(path) == [1, 2]


def test_events_hold_every_scalar_over_epochs(tmp_path: Path) -> None:
    """Loss, learning rate, speed and the validation accuracy of every exit, in the format that TensorBoard reads."""
    board = TensorBoardLog(tmp_path, 0)
    for epoch in (1, 2):
        board.epoch(record(epoch, loss=1.0 / epoch))
    board.close()
    assert scalars(tmp_path) == {
        "train/loss": {1: 1.0, 2: 0.5},
        "train/learning_rate": {1: 0.25, 2: 0.25},
        "train/images_per_second": {1: 80.0, 2: 80.0},
        "validation_accuracy/exit_1": {1: 0.5, 2: 0.5},
        "validation_accuracy/exit_3": {1: 0.75, 2: 0.75},
    }


def test_events_of_a_resumed_run_follow_on_the_first_ones(tmp_path: Path) -> None:
    """An epoch that comes again is shown once, as it came last; what was kept stays, even within one second."""
    for keep, last, loss in ((0, 3, 1.0), (2, 5, 0.5)):
        board = TensorBoardLog(tmp_path, keep)
        for epoch in range(keep + 1, last + 1):
            board.epoch(record(epoch, loss))
        board.close()
    assert len(list(tmp_path.glob("*tfevents*"))) == 2
    assert scalars(tmp_path)["train/loss"] == {1: 1.0, 2: 1.0, 3: 0.5, 4: 0.5, 5: 0.5}


def test_events_that_do_not_fit_are_an_error_that_names_their_folder(tmp_path: Path) -> None:
    """At once, and of the disk: no thread meets it alone, and nothing is said at the program's end."""
    board = TensorBoardLog(tmp_path, 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(ArtifactError) as caught:
            board.epoch(record(1))
        board.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == (
        f"{tmp_path}: cannot be written (File too large). Make room there, or choose another place."
    )


def test_a_trainings_log_and_events_say_the_same(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Epoch by epoch, both written into the run's folder by the training itself."""
    train(Run(minute, recipe("digits").but(epochs=3), "digits", 0), few, tmp_path)
    lines = [EpochRecord.model_validate_json(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    shown = scalars(tmp_path)
    assert [(line.epoch, line.of) for line in lines] == [(1, 3), (2, 3), (3, 3)]
    for line in lines:
        assert shown["train/loss"][line.epoch] == pytest.approx(line.loss)
        assert shown["train/learning_rate"][line.epoch] == pytest.approx(line.learning_rate)
        for exit_, accuracy in line.validation_accuracy.items():
            assert shown[f"validation_accuracy/exit_{exit_}"][line.epoch] == pytest.approx(accuracy)


def test_where_there_is_no_terminal_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file of a long run stays readable: no bar is drawn into it."""
    with ProgressBar("mem") as bar:
        bar.step(4, 20, 1.25)
        bar.epoch(record(2))
    assert capsys.readouterr().out == "mem epoch 2/5 loss 1.500  exits % 1:50.0 3:75.0 80 images/s\n"


def test_on_a_terminal_of_80_columns_nothing_is_cut_off() -> None:
    """Bar, time left and loss on one line, the accuracies of nine exits on the next."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system=None, width=80)
    with ProgressBar("train mem", console) as bar:
        bar.epoch(record(2).model_copy(update={"validation_accuracy": dict.fromkeys(range(1, 10), 1.0)}))
        bar.step(200, 456, 1.25)
    drawn = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", written.getvalue())
    first, second = [line for line in drawn.splitlines() if line.strip()][-2:]
    assert first.startswith("train mem ")
    assert "200/456" in first
    assert first.rstrip().endswith("loss 1.250")
    assert second.split() == ["exits", "%", *(f"{exit_}:100.0" for exit_ in range(1, 10))]
