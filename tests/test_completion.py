"""What a shell offers: every value that has names, without torch."""

import json
import subprocess
import sys

import pytest

from offramp.artifacts.codec import CODECS
from offramp.cli import completion
from offramp.models.architecture import PRESETS
from offramp.train.recipe import RECIPES
from offramp.train.regimes.settings import REGIMES

# As a shell calls the program when Tab is pressed; in one process, which counts what it has imported.
ASK = """
import io, json, os, sys
from contextlib import redirect_stdout
from offramp.cli import main
sys.argv = ["offramp"]
found = {}
for line in json.load(sys.stdin):
    words = line.split(" ")
    os.environ.update(_OFFRAMP_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    with redirect_stdout(io.StringIO()) as out:
        try:
            main()
        except SystemExit:
            pass
    found[line] = out.getvalue().split()
print(json.dumps([found, "torch" in sys.modules]))
"""
SEMS = [f"sem-{k}" for k in range(1, 9)]
OFFERED = {
    "offramp train ": ["standard", *SEMS, "mem"],
    "offramp show m": ["mem"],
    "offramp train mem --preset ": list(PRESETS),
    "offramp train mem --recipe ": list(RECIPES),
    "offramp train mem --regime ": list(REGIMES),
    "offramp train mem --fit ": ["stretch", "crop"],
    "offramp train mem --head ": ["linear", "conv"],
    "offramp suite digits --regimes joint,early-": ["joint,early-distill", "joint,early-ensemble"],
    "offramp suite digits --models mem,sem-1,s": ["mem,sem-1,standard", *(f"mem,sem-1,{sem}" for sem in SEMS[1:])],
    "offramp export net --exporter ": ["torchscript", "dynamo"],
    "offramp slice bundle --gives ": list(CODECS),
    "offramp slice bundle --takes f": ["fp32", "fp16"],
    "offramp pretrained ": ["cifar10-medium-mem", "cifar10-small-mem"],
    "offramp predict net --runtime ": ["auto", "onnxruntime", "openvino"],
    "offramp predict net --precision ": ["auto", "fp32", "bf16", "int8"],
    "offramp predict net --split ": ["train", "validation", "calibration", "test"],
    "offramp profile bundle --link l": ["loopback", "lan", "lte"],
    "offramp evaluate file --score m": ["max-probability", "margin"],
    "offramp bench --codec ": list(CODECS),
    "offramp bench --scenario ": ["clients", "single-stream", "multi-stream", "server", "offline"],
    "offramp serve edge bundle --codec u": ["uint8"],
    "offramp serve edge bundle --link ": ["loopback", "lan", "wifi", "lte", "3g", "satellite"],
    "offramp link l": ["loopback", "lan", "lte"],
    "offramp link lan --direction ": ["up", "down"],
    "offramp reproduce --sections paper,b": ["paper,baselines", "paper,bandwidth"],
}


@pytest.fixture(scope="module")
def asked() -> tuple[dict[str, list[str]], bool]:
    """What is offered for each line, and whether torch was imported for it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps(list(OFFERED)), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found, torch = json.loads(done.stdout)
    return found, torch


@pytest.mark.parametrize("line", OFFERED)
def test_a_value_is_completed_by_its_names(asked: tuple[dict[str, list[str]], bool], line: str) -> None:
    """And by those alone that begin as what was typed does."""
    assert sorted(asked[0][line]) == sorted(OFFERED[line])


def test_nobody_waits_for_torch(asked: tuple[dict[str, list[str]], bool]) -> None:
    """It takes seconds to import, and what it knows is known without it."""
    assert not asked[1]
    assert (tuple(RECIPES), tuple(REGIMES)) == (completion.RECIPES, completion.REGIMES)
