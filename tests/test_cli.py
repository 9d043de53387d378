"""The command line: what it prints, and how it refuses."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from offramp._version import __version__
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.pretrained import known, pretrained
from offramp.machine import here
from offramp.models.checkpoint import Checkpoint
from offramp.paper.reproduction import REPRODUCTION, Agreed, Reproduction, Trained

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_lists_a_verb_for_each_step(offramp: Program) -> None:
    """A newcomer finds the pipeline in one screen."""
    text = offramp("--help").stdout
    for verb in ("train", "show", "export", "predict", "evaluate", "serve", "bench", "demo", "suite", "report"):
        assert f" {verb} " in text


def test_the_version_is_told(offramp: Program) -> None:
    """As it is installed."""
    done = offramp("--version")
    assert (done.returncode, done.stdout) == (0, f"offramp {__version__}\n")


def test_a_run_whose_loss_is_no_number_says_so(tmp_path: Path, offramp: Program) -> None:
    """Exit code 2, what to do, and no checkpoint that looks finished."""
    done = offramp("train", "sem-2", "--epochs", "1", "--learning-rate", "1e30", "--out", "net", cwd=tmp_path)
    assert done.returncode == 2
    assert "not a number any more" in done.stderr or "not numbers any more" in done.stderr
    assert done.stderr.endswith(
        "Lower the learning rate and train again, in this folder or another: no epoch was kept.\n"
    )
    assert not (tmp_path / "net" / "model.json").exists()


def test_report_draws_a_reproduction(tmp_path: Path, offramp: Program) -> None:
    """Told from a suite by its document; of an empty one there is a page and a table without rows."""
    Reproduction(
        name="empty",
        data="digits",
        classes=("0", "1"),
        test_samples=0,
        image_bytes=256,
        trained=Trained(
            suite="suites/digits", preset="tiny", head="linear", regime="joint", seed=0, recipe={}, samples=None,
            hardware="unknown",
        ),
        models=(),
        rows=(),
        repeats=3,
        conditions=Conditions(**here(), batch_size=32, link="loopback", runtime="none", dtype="fp32"),
        topology="processes",
        agreement=Agreed(compared=0, differing=0, ties=0),
        seconds=0.0,
    ).write(tmp_path / "run" / REPRODUCTION)  # fmt: skip
    done = offramp("report", "run", "--out", "drawn", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "drawn/report.html: report; beside it: rows.csv\n"
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["report.html", "rows.csv"]


def test_train_export_predict_evaluate_from_a_shell(tmp_path: Path, offramp: Program) -> None:
    """The steps pass files to each other, by the defaults that the documentation shows."""
    trained = offramp("train", "2,5", "--epochs", "1", "--out", "net", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "exits-2-5, validation accuracy in % by exit 2: " in trained.stdout

    exported = offramp("export", "net", cwd=tmp_path)
    assert exported.stdout.startswith("net/bundle: bundle "), exported.stderr

    portable = ("--runtime", "onnxruntime", "--precision", "fp32")
    predicted = offramp("predict", "net/bundle", "--out", "p.parquet", *portable, cwd=tmp_path)
    written = "p.parquet: 359 samples of digits (test) at exits 2, 5, 9, onnxruntime fp32\n"
    route = f"route: the whole graph in one piece, of UINT8 images, on {Engine().release} fp32\n"
    assert predicted.stdout == written + route, predicted.stderr

    evaluated = json.loads(
        offramp("evaluate", "p.parquet", "--each", "--threshold", "1", "--json", cwd=tmp_path).stdout
    )
    assert [(row["exit"], row["answered"], list(row["accuracy"])) for row in evaluated] == [
        (2, {"edge": 359}, ["edge"]),
        (5, {"edge": 359}, ["edge"]),
    ]


def test_show_counts_macs_of_a_preset(offramp: Program) -> None:
    """The preset for CIFAR-10 on a CPU has about 12 M MACs."""
    text = offramp("show", "mem", "--preset", "small").stdout
    assert "11,649,024" in text


def test_training_again_into_a_folder_needs_resume(checkpoint: Checkpoint, refusal: Callable[..., str]) -> None:
    """Nothing is overwritten by accident."""
    message = refusal("train", "mem", "--epochs", "6", "--out", str(checkpoint.path))
    assert message == f"{checkpoint.path}: holds a run already. Go on with it by --resume, or choose another folder."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "sem-9"),
            "model 'sem-9': unknown. Choose standard, sem-1 to sem-8, mem, or list exits between 1 and 9 like 2,5.",
        ),
        (
            ("train", "mem", "--preset", "huge"),
            "preset 'huge': unknown. Choose one of tiny, small, medium, slim, full.",
        ),
        (
            ("train", "mem", "--recipe", "best"),
            "recipe 'best': unknown. Choose one of paper, modern, fast, jpeg, digits, or give a .json file.",
        ),
        (
            ("train", "mem", "--regime", "best"),
            "regime 'best': unknown. Choose one of joint, early, late, ramp, mixed, separate, distill, ensemble, "
            "equilibrium, project, equalize, fade, equilibrium-distill, mixed-distill, early-distill, early-ensemble.",
        ),
        (
            ("train", "mem", "--data", "nowhere"),
            "nowhere: no such folder. Give 'digits', a folder of parquet files, a folder of images by class, or "
            "hub:NAME for a data set on the Hugging Face Hub.",
        ),
        (
            ("train", "sem-2", "--loss-weights", "1:0.5,9:1"),
            "loss weights: expected one for each of the exits 2, 9, got 1, 9.",
        ),
        (
            ("train", "sem-2", "--loss-weights", "heavy"),
            "loss weights 'heavy': expected EXIT:WEIGHT pairs like 1:1.0,9:0.5.",
        ),
        (
            ("suite", "digits", "--budget", "soon"),
            "budget 'soon': expected a time above 0 like 9m, 90s or 1h30m.",
        ),
        (
            ("train", "mem", "--bottleneck", "3"),
            "bottleneck '3': expected BOUNDARY:CHANNELS pairs like 1:3,6:4.",
        ),
        (
            ("report", "nothing-here"),
            "nothing-here: no suite, no reproduction and no training run. Write one with: offramp suite SOURCE --out "
            "nothing-here",
        ),
        (
            ("export", "nothing-here"),
            "nothing-here: not a checkpoint, it has no model.json. Write one with: offramp train MODEL "
            "--out nothing-here",
        ),
        (
            ("predict", "nothing-here"),
            "nothing-here: neither a checkpoint (model.json) nor a bundle (manifest.json). Write one with: "
            "offramp train, then offramp export",
        ),
        (
            ("evaluate", "nothing.parquet"),
            "nothing.parquet: no such file. Check the path, or run the step that writes it.",
        ),
        (
            ("serve", "cloud", "bundle", "--host", "unix:/run/cloud.sock", "--http-port", "8000"),
            "http port 8000: the node listens on a Unix socket, and for HTTP on the one beside it, "
            "unix:/run/cloud.http.sock. Leave it out.",
        ),
        (
            ("serve", "cloud", "nothing-here"),
            "nothing-here: not a bundle, it has no manifest.json, and not a suite, it has no suite.json. Write one "
            "with: offramp export CHECKPOINT, or offramp reproduce --prepare",
        ),
        (
            ("bench", "--edge", "127.0.0.1:1", "--scenario", "burst"),
            "scenario 'burst': unknown. Choose one of clients, single-stream, multi-stream, server, offline.",
        ),
        (
            ("bench", "--edge", "127.0.0.1:1", "--rate", "200"),
            "rate 200: of scenario server, and this is clients. Say --scenario server.",
        ),
        (
            ("bench", "--edge", "127.0.0.1:1", "--bound", "50ms"),
            "bound 50 ms: of which percentile of the latencies? Say it with --percentile.",
        ),
        (
            ("bench", "--edge", "127.0.0.1:1", "--duration", "soon"),
            "duration 'soon': expected a time like 50ms or 2s.",
        ),
        (
            ("attach", "net.onnx", "--data", "digits", "--cache-most", "much"),
            "cache-most 'much': expected an amount like 2GB or 500MB.",
        ),
        (
            ("bench", "--edge", "nowhere"),
            "address 'nowhere': expected HOST:PORT with a port from 1 to 65535, like 127.0.0.1:8001 or [::1]:8001.",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    arguments: tuple[str, ...], message: str, refusal: Callable[..., str]
) -> None:
    """Exit code 2, and a message that says what would."""
    assert refusal(*arguments) == message


@pytest.mark.parametrize("threshold", ["-0.1", "1.01", "nan"])
def test_an_edge_refuses_a_threshold_outside_its_range(
    bundle: Bundle, threshold: str, refusal: Callable[..., str]
) -> None:
    """Scores lie in [0, 1], and so must thresholds."""
    message = refusal("serve", "edge", str(bundle.path), "--exit", "3", f"--threshold={threshold}")
    assert message == (
        f"threshold {float(threshold)!r}: expected a number in [0, 1]. A sample leaves when its score is below the "
        "threshold: at 0 none does."
    )


def test_an_edge_refuses_an_exit_that_the_model_lacks(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """And names those that there are."""
    message = refusal("serve", "edge", str(bundle.path), "--exit", "10", "--threshold", "0.3")
    assert message == "exit 10: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them."


def test_an_edge_without_a_cloud_must_answer_everything(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """At a local exit something may have to be forwarded."""
    message = refusal("serve", "edge", str(bundle.path), "--exit", "3", "--threshold", "0.3")
    assert message == (
        "exit 3: what is not sure enough there goes to a cloud, and this edge has none. Name one (--cloud HOST:PORT), "
        "or answer everything here at exit 9."
    )


def test_a_node_refuses_a_bundle_with_a_changed_byte(
    bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    """Every byte is checked against the manifest before anything is served."""
    changed = tmp_path / "bundle"
    shutil.copytree(bundle.path, changed)
    graph = bytearray((changed / "graph.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (changed / "graph.onnx").write_bytes(graph)

    message = refusal("serve", "cloud", str(changed))

    assert message.startswith(f"{changed / 'graph.onnx'}: expected {len(graph)} bytes with sha256 ")
    assert message.endswith("The bundle was changed or cut short: copy or export it again.")


def test_a_bundle_of_an_unknown_version_is_refused(bundle: Bundle, tmp_path: Path, refusal: Callable[..., str]) -> None:
    """A newer format is not guessed at."""
    newer = tmp_path / "bundle"
    shutil.copytree(bundle.path, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(manifest | {"version": 99}))

    assert refusal("serve", "cloud", str(newer)) == (
        f"{newer / 'manifest.json'}: offramp.bundle version 99, and this program reads version 4, 3, 2 and 1. "
        "Write it again with this program, or read it with the one that wrote it."
    )


def test_a_truncated_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path, refusal: Callable[..., str]) -> None:
    """Half a file of weights is no network."""
    cut = tmp_path / "checkpoint"
    cut.mkdir()
    shutil.copy(checkpoint.path / "model.json", cut)
    weights = (checkpoint.path / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])

    message = refusal("export", str(cut))

    assert message.startswith(f"{cut / 'model.safetensors'}: expected sha256 ")
    assert message.endswith("The file was changed or cut short: copy it again or train again.")
    assert not (cut / "bundle").exists()


def test_a_folder_with_no_images_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    """One with folders for classes, and nothing in them."""
    (tmp_path / "cats").mkdir()
    message = refusal("train", "mem", "--preset", "small", "--data", str(tmp_path))
    assert message == f"{tmp_path}: no images in its 1 folders. Expected files such as cats/one.png."


@pytest.fixture(scope="module", autouse=True)
def asked_nobody() -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that asks where no edge is, started with the file's first test since it waits for 10 s."""
    command = [sys.executable, "-m", "offramp", "bench", "--edge", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_bench_says_that_no_edge_answers(asked_nobody: "subprocess.Popen[str]") -> None:
    """Within its own time, not grpc's; a shell gets one message, and exit code 2."""
    out, err = asked_nobody.communicate(timeout=180)
    assert (asked_nobody.returncode, out) == (2, "")
    assert err == (
        "offramp: error: 127.0.0.1:1 does not answer (waited 10 s). Start it, or check the address and the network.\n"
    )


def test_a_folder_is_trained_on_and_predicted_as_it_was_split(tmp_path: Path, offramp: Program) -> None:
    """The summary is printed and kept; predict finds the data, says what is new, and refuses trained images as test."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 6), ("test", 8)):
        for number in range(count):
            path = tmp_path / "photos" / part / ("cat", "owl")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (16, 24), np.uint8)).save(path)
    trained = offramp(
        "train", "2", "--data", "photos", "--preset", "tiny", "--recipe", "digits", "--epochs", "1",
        "--batch-size", "4", "--fit", "crop", "--out", "net", cwd=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "  cropped at the centre to the network's shape\n" in trained.stdout
    assert "  validation: 6 from val\n" in trained.stdout
    assert "  test: 8 from test\n" in trained.stdout
    record = json.loads((tmp_path / "net" / "model.json").read_text())["record"]
    assert record["rule"]["by"] == "content"
    assert record["source"]["fit"] == "crop"
    assert sum(record["parts"]["test"]["classes"].values()) == 8
    (tmp_path / "photos" / "test" / "owl" / "7.png").unlink()
    predicted = offramp("predict", "net", cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr
    assert "7 samples of photos (test)" in predicted.stdout
    assert "    test: 7 images, -1; other content\n" in predicted.stderr
    refused = offramp("predict", "net", "--data", "elsewhere", cwd=tmp_path)
    assert refused.returncode == 2
    assert "elsewhere: no such folder. The network was trained on photos." in refused.stderr
    learnt = offramp(
        "predict", "net", "--data", "photos/train", cwd=tmp_path
    )  # another folder, in part the same images
    assert learnt.returncode == 2
    assert re.search(r"of its \d+ test images at least \d+ are those that the network was trained on", learnt.stderr)
    assert offramp("predict", "net", "--data", "photos/train", "--split", "train", cwd=tmp_path).returncode == 0


def test_the_packages_networks_are_listed_and_found(offramp: Program) -> None:
    """Each by its name with what it is; one alone by its folder."""
    listed = offramp("pretrained", "--list")
    assert listed.returncode == 0, listed.stderr
    rows = [line for line in listed.stdout.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == known()
    assert re.search(r"11\.6 +│ 0\.49 +│ 4\.0 │ 84\.3% of 1,000 images", rows[known().index("cifar10-small-mem")])
    assert offramp("pretrained").stdout == f"{pretrained()}\n"
    assert "unknown. There is" in offramp("pretrained", "resnet", "--list").stderr
