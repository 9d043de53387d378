#!/bin/sh
# torch 2.13.0 with onnxscript 0.7.2: `len(x)` in a network makes an ONNX file that says its batch is free, and is wrong.
#
# Common belief: in a network, len(x) and x.shape[0] are the same; with dynamic_shapes of Dim.AUTO the exporter finds out
# by itself which sizes may vary; and where a file's input has a symbol for its batch, any batch may be run.
#
# Behaviour: len() of a tensor has to give Python an int, so that export makes a constant of it, the example's batch;
# x.shape[0] stays a symbol. With a named Dim the exporter refuses and says so. With Dim.AUTO it does not: torch.export
# gives a program for that one batch, torch.onnx.export a file whose input is ("s…", 8) all the same. At another batch than
# the example's the file fails inside, or, where the size only scales something, answers wrongly and says nothing. The
# same network with x.shape[0] is right at every batch.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$folder"
HOME=$folder ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'END' || { cat "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime as ort
import torch
from torch import nn

AUTO = torch.export.Dim.AUTO


class Network(nn.Module):
    """Logits less their mean over the batch, which is taken by hand."""

    def __init__(self, by_len):
        super().__init__()
        self.by_len, self.linear = by_len, nn.Linear(8, 4)

    def forward(self, x):
        logits = self.linear(x)
        return logits - logits.sum(0) / (len(x) if self.by_len else x.shape[0])


def errors(by_len):
    torch.manual_seed(0)
    network = Network(by_len).eval()
    program = torch.onnx.export(network, (torch.zeros(2, 8),), dynamic_shapes={"x": {0: AUTO}}, dynamo=True,
                                verbose=False)
    session = ort.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    found = {}
    for batch in (2, 3, 8):
        x = torch.randn(batch, 8)
        answer = session.run(None, {entry.name: x.numpy()})[0]
        found[batch] = float(np.abs(answer - network(x).detach().numpy()).max())
    said = "len(x)    " if by_len else "x.shape[0]"
    print(said, "input", entry.shape, ", ".join(f"batch {b}: off by {e:.1e}" for b, e in found.items()))
    return entry.shape, found


shape, wrong = errors(by_len=True)
assert isinstance(shape[0], str), "the file says that its batch is fixed"
assert wrong[2] < 1e-5 < 0.01 < min(wrong[3], wrong[8]), "not wrong at other batches than the example's"
_, right = errors(by_len=False)
assert max(right.values()) < 1e-5, "wrong with x.shape[0] too"

fixed = torch.export.export(Network(True).eval(), (torch.zeros(2, 8),), dynamic_shapes={"x": {0: AUTO}})
taken = next(node.meta["val"].shape for node in fixed.graph.nodes if node.name == "x")
print("torch.export's program with len(x) takes", tuple(taken))
assert taken[0] == 2, "the program's batch is free"
try:
    torch.export.export(Network(True).eval(), (torch.zeros(2, 8),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
except Exception as error:
    print("with a named Dim:", type(error).__name__)
else:
    raise SystemExit("a named Dim is not refused")
END
echo "as stated: torch 2.13.0 writes a file with a free batch that is right at the example's alone"
