#!/bin/sh
# Ray 2.60.0: what runs in an actor, a replica of Ray Serve for one, yields to all that runs beside it: it is started at niceness 15.
#
# Common belief: a worker of Ray's runs as the driver and the raylet do, so that a request costs an actor what it costs a
# process of one's own, and latencies measured beside each other on one machine compare the two.
#
# Behaviour: workers are started at niceness 15 (RAY_worker_niceness); the raylet, and Serve's callers, at 0. On a machine
# with idle cores nothing is seen of it. On one that does other things too, as an edge server or a shared host, a
# replica waits for all of them: Linux gives niceness 15 about 1/28 of the share of niceness 0. What looks like the cost
# of a proxy or of pickling is then the scheduler's. RAY_worker_niceness=0 in the environment of `ray start` ends it.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray==2.60.0
"$folder/venv/bin/python" - <<'END'
import os
import subprocess
import sys

ASK = """
import os, ray
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
@ray.remote
class Actor:
    def niceness(self):
        return os.nice(0)
print("niceness", os.nice(0), ray.get(Actor.remote().niceness.remote(), timeout=120))
"""


def asked(**more):
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"} | more
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=300)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("niceness")]
    driver, actor = map(int, line.split()[1:])
    return driver, actor


driver, actor = asked()
told, evened = asked(RAY_worker_niceness="0")
print(f"believed: an actor at its driver's niceness; seen: driver {driver}, actor {actor}")
print(f"with RAY_worker_niceness=0: driver {told}, actor {evened}")
sys.exit(not (actor == min(driver + 15, 19) and evened == told))
END
