"""Where results go: what cannot be written is said before the work, in one line, and leaves nothing behind."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import check_output, write_bytes
from offramp.cli import main
from offramp.errors import ArtifactError


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files of this process may grow to `size` bytes: the nearest to a full disk that needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# A call of each verb that takes `--out`. What most of them work on is not there: they must not come to look for it.
VERBS = {
    "train": ("train", "mem", "--data", "nowhere"),
    "suite": ("suite", "nowhere"),
    "report": ("report", "nowhere"),
    "export": ("export", "nowhere"),
    "slice": ("slice", "nowhere"),
    "predict": ("predict", "nowhere"),
    "bench": ("bench", "--edge", "127.0.0.1:1"),
    "demo": ("demo",),
    "reproduce": ("reproduce", "nowhere"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_place_below_a_file_is_refused_before_the_work(
    verb: str, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """A file stands where a folder would have to be."""
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "deeper" / "out"
    message = refusal(*VERBS[verb], "--out", str(out))
    assert message == f"{out}: cannot be written (Not a directory). Choose a place that can be written to."
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_page_below_a_file_is_refused_before_its_predictions_are_read(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """`--plots` is such a place too."""
    (tmp_path / "file").write_text("mine")
    message = refusal("evaluate", "nowhere.parquet", "--plots", str(tmp_path / "file" / "plots"))
    assert message.startswith(f"{tmp_path}/file/plots: cannot be written (Not a directory).")


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_told_before_the_work(verb: str, tmp_path: Path, refusal: Callable[..., str]) -> None:
    """Even where an empty file could be made there."""
    out = tmp_path / "results" / "out"
    with small_disk(1_000):
        message = refusal(*VERBS[verb], "--out", str(out))
    assert message == f"{out}: cannot be written (File too large). Make room there, or choose another place."
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """Whole or not at all."""
    path = tmp_path / "document.json"
    write_bytes(path, b"old")
    with small_disk(1_000), pytest.raises(ArtifactError, match=r"cannot be written \(File too large\)"):
        write_bytes(path, bytes(2_000))
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    """And what can be written is let pass, and nothing is left there."""
    with pytest.raises(ArtifactError, match="Is a directory"):
        check_output(tmp_path)
    check_output(tmp_path, folder=True)
    check_output(tmp_path / "new" / "file.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into any folder")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    """Told by name."""
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match="Permission denied"):
        check_output(tmp_path / "file.json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_is_written_to_and_never_replaced() -> None:
    """A rename would put a file in its place."""
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_bytes(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


PRINTING = [("evaluate", "PREDICTIONS"), ("evaluate", "PREDICTIONS", "--json"), ("show", "BUNDLE"), ("--help",)]


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_reader_that_went_away_is_one_line(
    arguments: tuple[str, ...], bundle: Bundle, predictions_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `| head -1` leaves the program."""
    reader, writer = os.pipe()
    os.close(reader)
    given = {"PREDICTIONS": str(predictions_file), "BUNDLE": str(bundle.path)}
    out = os.fdopen(writer, "w")
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main([given.get(word, word) for word in arguments])
    with suppress(BrokenPipeError):  # where something is left to be written
        out.close()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said == (
        "offramp: error: output: cannot be written (Broken pipe). Whoever reads it must read to its end, or the disk "
        "needs room.\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_process_whose_output_is_full_says_it_once(predictions_file: Path) -> None:
    """Python's own end adds no second message."""
    command = [sys.executable, "-m", "offramp", "evaluate", str(predictions_file), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=180, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr
