#!/bin/sh
# torch 2.13.0: torch.optim.Muon multiplies in bf16 whatever its weights are in, and on a processor that only emulates
# bf16 its step takes many times as long as the same step in fp32.
#
# Common belief: an optimizer computes in the precision of its weights, so that fp32 weights get steps of fp32 and fp64
# ones of fp64; and torch multiplies in bf16 at worst as fast as in fp32, since that is what it does when asked for fp32.
#
# Behaviour: the matrix that a step goes along is made by five iterations in bf16. A step of fp64 weights has 8 significant
# bits; the option for its precision there is not. On a CPU without bf16 instructions torch multiplies bf16 matrices of
# these sizes by a slow path: of a layer of 192 filters of 864 weights one step takes some twenty times as long as with
# the same five iterations in fp32. Both end within a few hundredths of each other.
#
# Exits with 0 while it is so. Where the processor has bf16 instructions, the time is printed and not asked for.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
cd "$folder"
timeout 600 "$folder/venv/bin/python" -W ignore - <<'END'
import time
from statistics import median

import torch

torch.set_num_threads(1)
torch.manual_seed(0)


def stepped(dtype):
    """What a step of Muon at rate 1 adds to weights that are 0."""
    weight = torch.nn.Parameter(torch.zeros(16, 64, dtype=dtype))
    weight.grad = torch.randn(16, 64, dtype=dtype, generator=torch.Generator().manual_seed(1))
    torch.optim.Muon([weight], lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0).step()
    return weight.detach()


for dtype in (torch.float32, torch.float64):
    step = stepped(dtype)
    assert torch.equal(step, step.to(torch.bfloat16).to(dtype)), f"a step of {dtype} has more than bf16's bits"
    print(f"a step of {dtype} weights: every number of it is one of bf16")


def by_hand(gradient):
    """The same five iterations, as published, in fp32."""
    x = gradient / gradient.norm()
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x


gradient = torch.randn(192, 864)
weight = torch.nn.Parameter(torch.zeros(192, 864))
weight.grad = gradient.clone()
muon = torch.optim.Muon([weight], lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0)
times = {"torch.optim.Muon": [], "the same in fp32": []}
for _ in range(7):
    for name, step in (("torch.optim.Muon", muon.step), ("the same in fp32", lambda: by_hand(gradient))):
        start = time.perf_counter()
        step()
        times[name].append(time.perf_counter() - start)
took = {name: median(each) for name, each in times.items()}
ratio = took["torch.optim.Muon"] / took["the same in fp32"]
native = torch.cpu._is_avx512_bf16_supported()
print(", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in took.items()), f"({ratio:.1f} times)")
print("bf16 instructions:", "yes" if native else "no")
weight.data.zero_()
muon.step()
off = float((-weight.detach() - by_hand(gradient)).abs().max())
print(f"largest difference of the two steps: {off:.3f}")
assert off < 0.05
assert native or ratio > 8, "emulated bf16 is not so slow any more"
print("as stated")
END
