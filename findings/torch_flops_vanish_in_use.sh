#!/bin/sh
# torch 2.13.0, FlopCounterMode on a CPU: a Transformer has no operations in the mode in which it is used, an LSTM never.
#
# Common belief: torch's own counter sees every operator below the modules and so whatever is computed; one network
# on one input has one count, in training and evaluation, with gradients and without; what it cannot count, it names.
#
# Behaviour: it adds up formulas of the operators that it knows, and any other is 0 without a word. In evaluation and
# under no_grad or inference_mode, as one deploys, nn.TransformerEncoderLayer and nn.MultiheadAttention call one fused
# operator each, and the count of whole layers is 0. With gradients the same layers count, but for the attention
# itself, whose operator for CPUs is not known either (torch's issue 195460, on that operator alone); a dropout while
# training leads round it, and the count is whole. An LSTM is 0 in every mode, a GRU of three quarters of its size is
# counted. So a network of a linear head on an encoder costs its head, a plan that weighs stages by such counts puts
# the encoder at the edge for nothing, and of two networks the dearer one is the cheaper.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet torch==2.13.0
timeout 300 "$folder/venv/bin/pip" install --quiet numpy
cd "$folder"
HOME=$folder timeout 300 "$folder/venv/bin/python" -W ignore - <<'END'
from contextlib import nullcontext

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

TOKENS, WIDTH, HIDDEN = 16, 64, 128
ATTENTION = 2 * TOKENS * TOKENS * WIDTH  # multiply-adds: scores, and the sum that they weigh
MATRICES = 4 * TOKENS * WIDTH * WIDTH + 2 * TOKENS * WIDTH * HIDDEN
MODES = {"train": (True, nullcontext), "eval": (False, nullcontext), "eval, no_grad": (False, torch.no_grad),
         "eval, inference_mode": (False, torch.inference_mode)}


def counted(network, *inputs):
    """Multiply-adds by mode."""
    found = {}
    for mode, (training, context) in MODES.items():
        network.train(training)
        with context(), FlopCounterMode(display=False) as counter:
            network(*inputs)
        found[mode] = counter.get_total_flops() // 2
    return found


def layer(dropout):
    return nn.TransformerEncoderLayer(WIDTH, 4, HIDDEN, dropout=dropout, batch_first=True)


x = torch.randn(1, TOKENS, WIDTH)
attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
found = {
    "encoder layer, dropout 0.1": counted(layer(0.1), x),
    "encoder layer, dropout 0": counted(layer(0.0), x),
    "MultiheadAttention": counted(attention, x, x, x),
    "encoder of 4 layers": counted(nn.TransformerEncoder(layer(0.0), 4), x),
    "GRU": counted(nn.GRU(WIDTH, WIDTH, batch_first=True), x),
    "LSTM": counted(nn.LSTM(WIDTH, WIDTH, batch_first=True), x),
}
print(f"believed: an encoder layer is {MATRICES + ATTENTION} multiply-adds in every mode, an LSTM 4/3 of a GRU")
for what, counts in found.items():
    print(f"{what}: " + ", ".join(f"{mode} {count}" for mode, count in counts.items()))
dropped, plain, alone, encoder, gru, lstm = (tuple(counts.values()) for counts in found.values())
assert dropped == (MATRICES + ATTENTION, MATRICES, 0, 0), "an encoder layer is counted otherwise"
assert plain == (MATRICES, MATRICES, 0, 0), "an encoder layer without dropout is counted otherwise"
assert alone[2:] == encoder[2:] == (0, 0) and min(*alone[:2], *encoder[:2]) > 0, "attention is counted otherwise"
assert set(lstm) == {0} and set(gru) == {6 * TOKENS * WIDTH * WIDTH}, "an LSTM or a GRU is counted otherwise"
END
echo "as stated: by torch 2.13.0 a Transformer in use has no operations on a CPU, and an LSTM never has"
