#!/bin/sh
# torch 2.13.0, torch.onnx.export(dynamo=False): a name in `output_names` may go to a copy that no later layer reads.
#
# Common belief: the tensor that a network returns, and that its later layers compute with, is one tensor of the exported
# graph, and `output_names` names that; nn.Flatten of what is flat already (N, D) gives the tensor itself and does nothing.
#
# Behaviour: in Python it does give the very same tensor. The exporter by tracing writes a Flatten node for it all the
# same, and knows the tensor by that node's output from then on. So where a head with a Flatten stands beside the layers
# behind a boundary, the boundary's name goes to the head's copy, and those layers read another tensor, of no name: every
# output of the whole graph is right, and a graph that is cut at that name lacks its own input. With dynamo=True, and
# without the Flatten, the named tensor is what the layers behind it read.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy onnx==1.23.2 onnxscript==0.7.2
cd "$folder"
HOME=$folder "$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'END' || { cat "$folder/log" >&2; exit 1; }
import io

import onnx
import torch
from torch import nn


class Network(nn.Module):
    """Features, a head on them, and a layer behind them."""

    def __init__(self, flatten):
        super().__init__()
        self.first, self.behind = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3)
        self.head = nn.Sequential(*([nn.Flatten()] if flatten else []), nn.Linear(8, 3))

    def forward(self, x):
        features = self.first(x)
        last = self.behind(features)
        return features, self.head(features), last


def readers(flatten, dynamo):
    said = {"output_names": ["features", "logits", "last"], "dynamo": dynamo}
    network, example = Network(flatten).eval(), (torch.zeros(2, 4),)
    if dynamo:
        model = torch.onnx.export(network, example, verbose=False, **said).model_proto
    else:
        file = io.BytesIO()
        torch.onnx.export(network, example, file, **said)
        model = onnx.load_from_string(file.getvalue())
    made = next(node.op_type for node in model.graph.node if "features" in node.output)
    read = {node.output[0] for node in model.graph.node if "features" in node.input}
    print(f"Flatten: {flatten!s:5} dynamo: {dynamo!s:5} 'features' comes of {made}, and is read for {sorted(read)}")
    return made, read


x = torch.zeros(2, 8)
assert nn.Flatten()(x) is x, "flattening what is flat gives another tensor"
assert readers(True, False) == ("Flatten", {"logits"}), "the layer behind reads the named tensor"
for flatten, dynamo in ((False, False), (True, True), (False, True)):
    made, read = readers(flatten, dynamo)
    assert (made, "last" in read) == ("Relu", True), "not right elsewhere either"
END
echo "as stated: by tracing, torch 2.13.0 gives the boundary's name to a copy that the layers behind it do not read"
