"""Triton's own core on a repository of `offramp export --triton`: `foreign_triton.py REPOSITORY GRPC_PORT`.

Runs in an environment that has nvidia-pytriton and onnxruntime and knows nothing of offramp. That package's Triton has
the Python backend alone: each model's `backend` is exchanged for it, with a `model.py` beside the ONNX file that runs
it, and all else of `config.pbtxt` stays as it was written. Works in the folder where it is started.
"""

import os
import shutil
import sys
from pathlib import Path

import pytriton

MODEL = """
from pathlib import Path

import onnxruntime as ort
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        file = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs = [one.name for one in self.session.get_inputs()]
        self.outputs = [one.name for one in self.session.get_outputs()]

    def execute(self, requests):
        answers = []
        for request in requests:
            sent = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            found = zip(self.outputs, self.session.run(self.outputs, sent), strict=True)
            answers.append(triton.InferenceResponse([triton.Tensor(*output) for output in found]))
        return answers
"""


def main(repository: str, port: str) -> None:
    package, here = Path(pytriton.__file__).parent, Path.cwd()
    served = here / "served"
    shutil.copytree(repository, served)
    for config in served.glob("*/config.pbtxt"):
        text = config.read_text()
        assert 'backend: "onnxruntime"' in text
        text = text.replace('backend: "onnxruntime"', 'backend: "python"').replace('"model.onnx"', '"model.py"')
        config.write_text(text)
        for file in config.parent.glob("*/model.onnx"):
            file.with_name("model.py").write_text(MODEL)
    engine = package / "tritonserver"
    shutil.copytree(engine / "backends", here / "backends")
    stub = f"{sys.version_info.major}.{sys.version_info.minor}/triton_python_backend_stub"
    shutil.copy(engine / "python_backend_stubs" / stub, here / "backends" / "python")
    # The stub's interpreter looks for its packages where the first Python of the path has them.
    found = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    libraries = str(package.parent / "nvidia_pytriton.libs")
    options = {
        "model-repository": str(served),
        "backend-directory": str(here / "backends"),
        "grpc-address": "127.0.0.1",
        "grpc-port": port,
        "allow-http": "false",
        "allow-metrics": "false",
    }
    os.execve(
        engine / "bin" / "tritonserver",
        ["tritonserver", "--disable-auto-complete-config", *(f"--{name}={value}" for name, value in options.items())],
        os.environ | {"PATH": found, "LD_LIBRARY_PATH": libraries},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
