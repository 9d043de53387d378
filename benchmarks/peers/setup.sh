#!/usr/bin/env bash
# Virtual environments of the peers that benchmarks measure against, each with what it pins.
# Usage: benchmarks/peers/setup.sh [FOLDER]   (default: benchmarks/peers/venvs)
set -euo pipefail
folder=${1:-$(dirname "$0")/venvs}
python=${PYTHON:-python3}
make() { # name, requirements
  local name=$1
  shift
  [ -x "$folder/$name/bin/python" ] || "$python" -m venv "$folder/$name"
  "$folder/$name/bin/python" -m pip install --quiet "$@"
}
make mlserver mlserver==1.7.1 onnxruntime==1.32.0
make litserve litserve==0.2.19 onnxruntime==1.32.0
make ray "ray[serve]==2.60.0" onnxruntime==1.32.0
# The servers of tests/system/test_foreign_engines.py. Triton's core comes with nvidia-pytriton, and its Python backend
# is linked to the libpython of the system's own Python, which PYTHON has to name then.
make pytriton nvidia-pytriton==0.7.0 onnxruntime==1.32.0
make kserve kserve==0.21.0 onnxruntime==1.32.0
# earlyon asks for torchvision, which its ready-made networks are of; exits on other networks need none of it.
make earlyon torch==2.13.0 numpy click fvcore safetensors
"$folder/earlyon/bin/python" -m pip install --quiet --no-deps earlyon==0.3.0
