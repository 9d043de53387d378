"""What TLS costs: an edge and a cloud in plain text against the same two by mutual TLS with tokens, in turns.

Real processes on loopback, the network that comes with the package, one unmodified tritonclient that asks one batch
after another, over gRPC and over HTTP. What leaves at exit 1 computes least for its bytes, and is the worst case; what
is forwarded as an image goes by TLS twice. Fails where the throughput by TLS is below `--least` of that without.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

from alternate import Spread, alternate, last_line, ratio, show
from offramp.artifacts.measurement import Conditions
from offramp.artifacts.plan import Plan
from offramp.artifacts.pretrained import pretrained
from offramp.machine import here
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings, EdgeSettings
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access
from offramp.runtime.onnx_span import RUNTIME

LAST, SHAPE = 9, (3, 32, 32)
WAYS: dict[str, dict[str, Any]] = {
    "leaves at exit 1": {"exit": 1, "threshold": 1.0},
    "all at the edge": {"exit": LAST, "threshold": 0.0},
    "all forwarded as images": {"exit": 0, "cut": 0, "codec": "fp32"},
}
REQUEST = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]


@dataclass(frozen=True)
class Files:
    """What both nodes and their callers know each other by."""

    ca: str
    cert: str
    key: str
    token: str  # its file
    tokens: str  # the nodes' file
    value: str

    @classmethod
    def made(cls, folder: Path) -> "Files":
        """By openssl, an authority and one certificate for this machine; and a token."""
        ca, ca_key, cert, key = (str(folder / name) for name in ("ca.pem", "ca.key", "node.pem", "node.key"))
        authority = [*REQUEST, "-subj", "/CN=benchmark", "-keyout", ca_key, "-out", ca]
        node = [*REQUEST, "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1", "-CA", ca, "-CAkey", ca_key]
        for arguments in (authority, [*node, "-keyout", key, "-out", cert]):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)
        value = token_hex(32)
        written = {"token": value, "tokens": f"benchmark infer,read {value}\n"}
        for name, content in written.items():
            (folder / name).write_text(content)
            (folder / name).chmod(0o600)
        return cls(ca, cert, key, str(folder / "token"), str(folder / "tokens"), value)


def nodes(held: ExitStack, threads: int, files: Files | None) -> tuple[str, str]:
    """Start an edge and its cloud, by TLS where there are files for it; the edge's gRPC and HTTP addresses."""
    common: dict[str, Any] = {
        "bundles": (str(pretrained() / "bundle"),), "threads": threads, "runtime": "onnxruntime", "precision": "fp32",
        "http_port": 0,
    }  # fmt: skip
    credentials = None
    if files is not None:
        common["access"] = Access(cert=files.cert, key=files.key, client_ca=files.ca, tokens=files.tokens)
        credentials = Credentials(ca=files.ca, cert=files.cert, key=files.key, token_file=files.token)
    cloud = held.enter_context(child_node(CloudSettings(**common)))
    plan = Plan.of(4, 0.3)
    told = EdgeSettings(**common, plan=plan, cloud=cloud.address(), degraded=False, credentials=credentials)
    edge = held.enter_context(child_node(told))
    return edge.address(), edge.http_address()


def asks(held: ExitStack, threads: int, batch: int, files: Files | None) -> dict[str, Callable[[], object]]:
    """A call for each protocol and each way through the network, each on one connection that stays."""
    grpc, http = nodes(held, threads, files)
    by: dict[str, dict[str, Any]] = {"gRPC": {}, "HTTP": {}}
    headers: dict[str, str] = {}
    if files is not None:
        by["gRPC"] = {
            "ssl": True, "root_certificates": files.ca, "private_key": files.key, "certificate_chain": files.cert,
        }  # fmt: skip
        trusted = {"ca_certs": files.ca, "certfile": files.cert, "keyfile": files.key}
        by["HTTP"] = {"ssl": True, "ssl_options": trusted}
        headers = {"authorization": f"Bearer {files.value}"}
    image = np.random.default_rng(0).random((batch, *SHAPE), np.float32)
    calls: dict[str, Callable[[], object]] = {}
    for name, module, address in (("gRPC", over_grpc, grpc), ("HTTP", over_http, http)):
        client = module.InferenceServerClient(address, **by[name])
        held.callback(client.close)
        tensor = module.InferInput("image", list(image.shape), "FP32")
        tensor.set_data_from_numpy(image)
        for way, plan in WAYS.items():
            how = {"parameters": plan, "headers": headers}
            calls[f"{name}, {way}"] = lambda ask=client.infer, tensor=tensor, how=how: ask(
                "classifier", [tensor], **how
            )
    return calls


def main() -> None:
    """Time, print, and say whether it passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of each session")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=20, help="requests a turn")
    parser.add_argument("--least", type=float, default=0.9, help="smallest median ratio of throughputs that passes")
    parser.add_argument("--quick", action="store_true", help="two rounds: only to see that it runs")
    options = parser.parse_args()
    rounds, repeats = (2, 2) if options.quick else (options.rounds, options.repeats)
    found: dict[str, dict[str, Spread]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        files = Files.made(Path(folder))
        plain, tls = (asks(held, options.threads, options.batch_size, by) for by in (None, files))
        for way in plain:
            times = alternate({"plain": plain[way], "tls": tls[way]}, rounds=rounds, repeats=repeats, warm_up=2)
            rates = {name: Spread.of([options.batch_size / second for second in times[name]]) for name in times}
            found[way] = rates | {"ratio": ratio(times["plain"], times["tls"])}
    show(
        f"TLS, mutual, with tokens, against plain text: batches of {options.batch_size}, {rounds} rounds in turn",
        ("", "plain, images/s", "TLS, images/s", "TLS / plain"),
        [[way, *(it[name].show() for name in ("plain", "tls", "ratio"))] for way, it in found.items()],
    )
    passed = all(it["ratio"].median >= options.least for it in found.values())
    conditions = Conditions(
        batch_size=options.batch_size, link="loopback, unshaped", runtime=RUNTIME, dtype="fp32", **here()
    )
    settings = {"threads": options.threads, "rounds": rounds, "repeats": repeats, "least": options.least}
    last_line("tls", found, conditions, **settings, passed=passed)
    sys.exit(not passed)


if __name__ == "__main__":
    main()
