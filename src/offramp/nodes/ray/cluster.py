"""A Ray cluster as it is joined: by a driver that knows in seconds, and says in words, why it cannot.

Ray itself tries for minutes, and then says "failed to connect": whether its head is there, and asks for a token, is
asked before, by the head's own CheckAlive.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import grpc

from offramp.errors import InputError, MissingExtraError, RefusedError, UnreachableError
from offramp.nodes.ray.asked import HERE, LOCAL
from offramp.sockets import check_address

T = TypeVar("T")
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
PATIENCE = 5.0  # seconds for the head to say that it lives
JOINING, LEAVING = 60.0, 30.0  # seconds to become part of a cluster, and to leave it
MODE, TOKEN, TOKEN_FILE, KEPT = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", ".ray/auth_token"
OURS = "offramp.errors."  # how an error of ours begins in a traceback
STORE = 100_000_000  # bytes of a local cluster's object store: nothing large goes through it

log = logging.getLogger("offramp")


def need_ray(what: str) -> None:
    """Raise MissingExtraError where Ray is not installed."""
    if find_spec("ray") is None:
        raise MissingExtraError(
            f"{what} --engine ray: ray is not installed. Install it with: pip install 'offramp[ray]'"
        )


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Be a driver of the cluster at HOST:PORT, of that on this machine, or of one for this process; give Ray itself.

    Raises UnreachableError where there is none, RefusedError where it asks for a token that is not shown.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of what will be one day
    named = address not in (HERE, LOCAL)
    if named or (address == HERE and "RAY_ADDRESS" in os.environ):
        address = os.environ["RAY_ADDRESS"] if address == HERE else address
        _check_alive(check_address(address))
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # what it does is said by this program
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "address": address}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": STORE}
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise UnreachableError(
            "no Ray cluster runs on this machine. Start one (ray start --head), name one elsewhere that this machine "
            f"is part of (--ray-address HOST:PORT), or have one for this process alone (--ray-address {LOCAL})."
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise UnreachableError(
            f"Ray cluster {address}: cannot be joined ({_first(error)}). This machine must be part of it: ray start "
            f"--address={address if named else 'HOST:PORT'}"
        ) from error
    try:
        yield ray
    finally:
        within(LEAVING, ray.shutdown, "leaving the Ray cluster")


def _check_alive(address: str) -> None:
    """Raise where the head of a cluster does not say that it lives, to who shows what this process would."""
    if (error := alive(address)) is None:
        return
    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        raise RefusedError(_refused(address, shown=_token() is not None)) from error
    raise UnreachableError(
        f"no Ray cluster answers at {address} ({error.code().name.lower()}: {str(error.details())[:200]}). Start its "
        "head (ray start --head --port=PORT), or check the address (--ray-address HOST:PORT) and the network."
    ) from error


def alive(address: str) -> Any:
    """Ask the head of a cluster whether it lives: None where it does, else grpc's error."""
    metadata = [("authorization", f"Bearer {token}")] if (token := _token()) else None
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(ALIVE)(b"", timeout=PATIENCE, metadata=metadata)
        except grpc.RpcError as error:
            return error
    return None


def _token() -> str | None:
    """What Ray shows to a cluster whose address is named: nothing, whatever lies in a user's home, but by the mode."""
    if os.environ.get(MODE, "").lower() != "token":
        return None
    if token := os.environ.get(TOKEN):
        return token
    path = Path(os.environ.get(TOKEN_FILE) or Path.home() / KEPT)
    return path.read_text().strip() if path.is_file() else None


def _refused(address: str, *, shown: bool) -> str:
    if shown:
        return (
            f"Ray cluster {address} does not know this token. Put the one of its head into {TOKEN}, or name its file "
            f"in {TOKEN_FILE} (ray get-auth-token prints it there)."
        )
    kept = Path.home() / KEPT
    found = (
        f"one lies in {kept}, which Ray does not look for where an address is named"
        if kept.is_file()
        else (f"none lies in {kept}: copy the head's there (ray get-auth-token prints it), readable for you alone")
    )
    return f"Ray cluster {address} asks for a token, and none is shown: {found}. Set {MODE}=token, and start again."


def cores_of(ray: Any) -> list[float]:
    """Cores of each machine of a cluster."""
    return [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]


def places_in(cores: Sequence[float], cpus: float) -> int:
    """For how many at once there is room that take so many cores each, and none of them two machines'."""
    return sum(int(has / cpus + 1e-9) for has in cores)


def check_resources(ray: Any, count: int, cpus: float, what: str) -> None:
    """Raise InputError where the cluster has no cores for so many of these at once."""
    cores = cores_of(ray)
    places = places_in(cores, cpus)
    if places < count:
        raise InputError(
            f"{count} {what} of {cpus:g} cores each: this cluster has room for {places} ({len(cores)} machines with "
            f"{', '.join(f'{has:g}' for has in cores)} cores). Ask for fewer or smaller ones, or have more machines "
            "join: ray start --address=HOST:PORT"
        )


def within(seconds: float, work: Callable[[], T], what: str) -> T | None:
    """Do something that may never end, and wait so long for it; the log says where it took longer, or failed."""
    done: list[T] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:
            log.warning("%s failed: %s", what, _first(error))

    thread = threading.Thread(target=run, name="ray", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        log.warning("%s takes longer than %g s: left to itself", what, seconds)
    return done[0] if done else None


def said(error: BaseException | str) -> str:
    """What an error of ours said that Ray gives back in a traceback of its own; else its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith(OURS)]
    last = (ours or lines or [type(error).__name__])[-1]
    return last.partition(": ")[2] if ours else last


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
