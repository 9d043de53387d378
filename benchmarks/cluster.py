"""A cloud on a Ray cluster of two machines against the single node: latency below saturation, and a machine that dies.

node     the single node, `offramp serve cloud`, of as many threads as one replica
front N  `--engine ray --replicas N`: the front balances over the replicas, which are called directly
proxy    Ray's own gRPC proxy, in front of one replica
handle   Ray's own DeploymentHandle, from a driver, to one replica, which hands it to its node
empty    the same of a call that does nothing: the least that a front would add that used handles

One request is sent at a time, of one sample, in turns; each answer is held against the network run in this process. The
cluster's machines are network namespaces of this one (`raylets`): added milliseconds are stated, and no speed-up is.
Then a machine is killed under load, another's cable is cut, and a raylet alone is killed: what is lost is counted.
"""

import argparse
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from alternate import Spread, alternate, last_line, show
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions
from offramp.children import Child
from offramp.machine import here
from offramp.runtime.onnx_span import RUNTIME
from ray_load import Load
from raylets import SETTINGS, Machine, Raylets, raylets, with_no_fuss

READY = 300.0  # seconds for a front, on a busy machine
PROXY = 19100


def front(bundle: Path, cluster: Raylets, replicas: int, *more: str) -> Child:
    """Start one under a name of its own."""
    name = ("--ray-application", f"tails-{replicas}", "--replicas", str(replicas), "--replica-cpus", "0.5")
    cloud = ("serve", "cloud", str(bundle), "--engine", "ray", "--ray-address", cluster.address, "--port", "0")
    engine = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")
    return Child(f"front {replicas}", ("-m", "offramp", *cloud, *engine, *name, *more), "", kept=True)


def node(bundle: Path) -> Child:
    """The single node."""
    engine = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")
    return Child("node", ("-m", "offramp", "serve", "cloud", str(bundle), "--port", "0", *engine), "", kept=True)


class Handle:
    """One replica, called by a DeploymentHandle."""

    def __init__(self, cluster: Raylets, load: Load) -> None:
        import ray
        from ray import serve

        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        self.handle = serve.get_app_handle("tails-1")
        self.requests = [request.SerializeToString() for request in load.requests]
        self.seconds: list[float] = []

    def rush(self, count: int) -> None:
        """Ask so many, one after another."""
        for number in range(count):
            start = time.perf_counter()
            self.ask(number)
            self.seconds.append(time.perf_counter() - start)

    def ask(self, number: int) -> None:
        """Ask one thing."""
        self.handle.ModelInfer.remote(self.requests[number % len(self.requests)], None).result(timeout_s=30)

    def taken(self) -> list[float]:
        """Seconds of each since this was asked last."""
        found, self.seconds = self.seconds, []
        return found


def ray_shutdown() -> None:
    """Leave the cluster before it ends: else Ray speaks of it after the last line."""
    import ray

    ray.shutdown()


class Empty(Handle):
    """The same, and nothing is asked of the replica but that it answers."""

    def __init__(self, handle: Handle) -> None:
        self.handle, self.seconds = handle.handle, []

    def ask(self, number: int) -> None:
        """Ask next to nothing."""
        self.handle.whose.remote().result(timeout_s=30)


def latencies(bundle: Bundle, cluster: Raylets, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one request at a time, of each contender, in turns."""
    with ExitStack() as stack:
        fronts: dict[str, Child] = {}
        for count in (1,) if options.quick else (1, 2, 4):
            more = ("--ray-proxy", str(PROXY)) if count == 1 else ()
            child = fronts[f"front {count}"] = stack.enter_context(front(bundle.path, cluster, count, *more))
            child.address(READY)  # the first starts Ray Serve, with its proxies
        addresses = {"node": stack.enter_context(node(bundle.path)).address(READY)}
        addresses |= {name: child.address(READY) for name, child in fronts.items()}
        loads: dict[str, Any] = {name: Load(bundle, 3, address, 1) for name, address in addresses.items()}
        loads["proxy"] = Load(bundle, 3, f"127.0.0.1:{PROXY}", 1, "tails-1")
        loads["handle"] = Handle(cluster, loads["node"])
        stack.callback(ray_shutdown)
        loads["empty"] = Empty(loads["handle"])
        for name, load in loads.items():
            load.rush(50)  # opens the session of each replica
            load.taken()
            print(f"{name}: warm", flush=True)
        p50s: dict[str, list[float]] = {name: [] for name in loads}

        def ask(name: str) -> None:
            loads[name].rush(options.requests)
            p50s[name].append(float(np.median(loads[name].taken())))

        alternate({name: partial(ask, name) for name in loads}, rounds=options.rounds)
        p50s = {name: values[1:] for name, values in p50s.items()}  # the first warms up
        return {
            "p50_seconds": {name: Spread.of(values) for name, values in p50s.items()},
            "added_seconds": {
                name: Spread.of([a - b for a, b in zip(values, p50s["node"], strict=True)])
                for name, values in p50s.items()
                if name != "node"
            },
        }


def raylet_alone(machine: Machine) -> None:
    """Kill the raylet of a machine, and leave what it started to notice."""
    pattern = f"raylet/raylet .*--node_ip_address={machine.address} "
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, timeout=30).stdout
    assert found, "there is a raylet"
    for pid in found.split():
        with_no_fuss(int(pid))


def under_load(bundle: Bundle, cpus: float, requests: int, end: Callable[[Machine], None]) -> dict[str, Any]:
    """Have four replicas on two machines answer, end one of the machines in the middle, and count."""
    with raylets(2, cpus) as cluster, front(bundle.path, cluster, 4) as child:
        load = Load(bundle, 3, child.address(READY), 8)
        words = " ".join(child.words)
        thread = threading.Thread(target=load.rush, args=(requests,))
        thread.start()
        while sum(len(client.seconds) for client in load.clients) < requests // 3:
            time.sleep(0.05)
        end(cluster.machines[0])
        thread.join()
        seconds = [one for client in load.clients for one in client.seconds]
        with urlopen(f"http://{child.http_address()}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        counted = sum(float(line.split()[-1]) for line in lines if line.startswith("offramp_samples_total{"))
        lost = sum(": lost (" in line for line in child.output)
        figures = load.told() | {"asked": requests // 8 * 8, "counted_by_the_front": counted, "replicas_lost": lost}
        return figures | {"longest_seconds": round(max(seconds), 3), "machines": words.split(", ")[-1]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="of a network of digits at 16 x 16, cut at 3")
    parser.add_argument("--quick", action="store_true", help="few rounds of few calls: to see that it runs")
    parser.add_argument("--rounds", type=int, help="default 11")
    parser.add_argument("--requests", type=int, help="a round and contender; default 200")
    parser.add_argument("--load", type=int, help="requests while a machine dies; default 20000, 0 leaves it out")
    parser.add_argument("--ends", nargs="+", default=["machine", "raylet", "cable"])
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 11)
    options.requests = options.requests or (40 if options.quick else 200)
    os.environ.update(SETTINGS | {"OMP_NUM_THREADS": "1"})
    bundle, figures = Bundle.open(options.bundle), dict[str, Any]()
    with raylets(2, 4) as cluster:
        figures |= latencies(bundle, cluster, options)
    show(
        "One request at a time",
        ("", "p50 ms", "over the node ms"),
        [
            (name, spread.show(1000), figures["added_seconds"][name].show(1000) if name != "node" else "")
            for name, spread in figures["p50_seconds"].items()
        ],
        f"Median (least to most) of {options.rounds} alternating rounds of {options.requests} requests.",
    )
    load = (2000 if options.quick else 20000) if options.load is None else options.load
    ends = {"machine": Machine.kill, "raylet": raylet_alone, "cable": Machine.cut}
    for name in options.ends if load else ():
        figures[f"{name}_dies"] = under_load(bundle, 4, load, ends[name])
        print(name, figures[f"{name}_dies"], flush=True)
    conditions = Conditions(**here(), batch_size=1, link="bridge of this machine", runtime=RUNTIME, dtype="fp32")
    last_line(
        "cluster", figures, conditions, bundle=bundle.id, rounds=options.rounds, requests=options.requests, load=load
    )


if __name__ == "__main__":
    main()
