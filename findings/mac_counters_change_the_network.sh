#!/bin/sh
# ptflops 0.7.5, torchinfo 1.8.0, fvcore 0.1.5.post20221221, on torch 2.13.0: counting a network's operations changes it.
#
# Common belief: a count of MACs reads a network, or runs it once on noise, and leaves it as it was; so it may stand
# anywhere: before a training, between two epochs, beside exits of which some are frozen.
#
# Behaviour, each without a word: ptflops leaves the whole network in evaluation mode. Where a program says train() once,
# before its first epoch, and the count comes behind that, BatchNorm never sees the data.
# torchinfo counts in evaluation mode and then puts every module into the root's mode: a BatchNorm that was frozen by
# eval() is awake, and its statistics move with the next batch. fvcore runs a network that trains in training mode on the
# example: BatchNorm's running mean and variance move towards the example's, so that a count by zeros, or by noise, is in
# the statistics that are deployed.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 1200 "$folder/venv/bin/pip" install --quiet torch==2.13.0
timeout 600 "$folder/venv/bin/pip" install --quiet numpy setuptools ptflops==0.7.5 torchinfo==1.8.0 \
  fvcore==0.1.5.post20221221
cd "$folder"
HOME=$folder timeout 300 "$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'END' || { cat "$folder/log" >&2; exit 1; }
import torch
from fvcore.nn import FlopCountAnalysis
from ptflops import get_model_complexity_info
from torch import nn
from torchinfo import summary

SHAPE = (3, 8, 8)


def network():
    """A stage and an exit, both with BatchNorm; the exit's is frozen."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5), nn.BatchNorm1d(5))
    made.train()[4].eval()
    return made


def by_ptflops(net):
    get_model_complexity_info(net, SHAPE, as_strings=False, print_per_layer_stat=False, verbose=False)


def by_torchinfo(net):
    summary(net, input_size=(2, *SHAPE), verbose=0)


def by_fvcore(net):
    FlopCountAnalysis(net, torch.ones(2, *SHAPE)).unsupported_ops_warnings(False).total()


def after(count):
    """Modes and statistics after a count, and whether a step of training behind it moves the statistics."""
    net = network()
    stage, head = net[1], net[4]
    count(net)
    seen = {
        "the network trains": net.training and stage.training,
        "the frozen BatchNorm is frozen": not head.training,
        "the statistics are as they were": bool((stage.running_mean == 0).all()),
    }
    before = [one.running_mean.clone() for one in (stage, head)]
    net(torch.randn(16, *SHAPE)).sum().backward()
    moved = [not torch.equal(old, one.running_mean) for old, one in zip(before, (stage, head))]
    return seen | {"a step moves the stage's": moved[0], "a step leaves the frozen": not moved[1]}


found = {name: after(count) for name, count in
         {"no count": lambda net: None, "ptflops": by_ptflops, "torchinfo": by_torchinfo, "fvcore": by_fvcore}.items()}
for name, seen in found.items():
    print(f"{name:9}", ", ".join(f"{what}: {'yes' if true else 'NO'}" for what, true in seen.items()))
rows = {name: [*seen.values()] for name, seen in found.items()}
assert rows["no count"] == [True, True, True, True, True], "not right without a count either"
assert rows["ptflops"] == [False, True, True, False, True], "ptflops leaves it otherwise"
assert rows["torchinfo"] == [True, False, True, True, False], "torchinfo leaves it otherwise"
assert rows["fvcore"] == [True, True, False, True, True], "fvcore leaves it otherwise"
END
echo "as stated: ptflops, torchinfo and fvcore each leave another network than they were given"
