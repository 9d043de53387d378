"""Triton's system shared memory: which files become regions, their bounds, and tritonclient by both protocols."""

import importlib
import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from offramp.errors import InputError, TooLargeError
from offramp.protocol import shared_memory
from offramp.protocol.guarded import right_of_call, right_of_path
from offramp.protocol.server import Server
from offramp.protocol.shared_memory import LARGEST, REGIONS, Placed, Regions, is_here, is_peer_here, write

shm = pytest.importorskip("tritonclient.utils.shared_memory", reason="tritonclient has no shared memory here")

WAIT = 30.0  # seconds after which a test that hangs fails
X = np.array([[1, 2], [3, 4.5]], np.float32)


@pytest.fixture
def regions(tmp_path: Path) -> Regions:
    """Of a folder of one file of 100 bytes, of which requests take 60 at most."""
    (tmp_path / "file").write_bytes(bytes(range(100)))
    return Regions(60, str(tmp_path))


def refused(regions: Regions, key: str = "file", offset: int = 0, size: int = 100) -> str:
    """What is said of a region that cannot be."""
    with pytest.raises(InputError) as caught:
        regions.register("r", key, offset, size)
    assert regions.status("") == []
    return str(caught.value)


def written(regions: Regions, name: str, place: Placed, content: bytes) -> Placed:
    """Where contents are, that were written to a place."""
    return write(name, regions.hold({name: place})[name], content)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_region_is_a_part_of_a_file(regions: Regions) -> None:
    """Under a name with POSIX's slash or without; contents are copies."""
    regions.register("r", "/file", 10, 50)
    assert regions.status("r") == [{"name": "r", "key": "/file", "offset": 10, "byte_size": 50}]
    assert regions.read({"x": Placed("r", 5, 3), "y": Placed("r", 49, 1)}) == {"x": bytes((15, 16, 17)), "y": b"\x3b"}
    assert written(regions, "z", Placed("r", 20, 30), b"new") == Placed("r", 20, 3)
    assert regions.read({"z": Placed("r", 19, 5)}) == {"z": b"\x1dnew!"}


@pytest.mark.parametrize("key", ["", "/", ".", "..", "/..", "...", "a/b", "../file", "//file", "a\0b", "x" * 256])
def test_a_key_is_the_name_of_a_file_right_below_the_folder(regions: Regions, key: str) -> None:
    assert refused(regions, key) == (
        f"region 'r': key {key[:255]!r}: expected the name of a file right below {regions.folder}."
    )


def test_what_is_no_file_of_its_own_is_refused(regions: Regions, tmp_path: Path) -> None:
    """Links lead elsewhere; to open a pipe might wait. Nothing stays open."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = descriptors()
    assert refused(regions, "link").endswith("/link cannot be opened: Too many levels of symbolic links.")
    assert refused(regions, "folder").endswith("/folder cannot be opened: Is a directory.")
    assert refused(regions, "none").endswith("/none cannot be opened: No such file or directory.")
    assert refused(regions, "pipe", size=1).endswith("/pipe has not the 1 bytes from 0 on.")
    assert descriptors() == before


def test_a_region_lies_in_its_file(regions: Regions, tmp_path: Path) -> None:
    for offset, size in ((0, 101), (1, 100), (2**63, 1), (0, 2**63)):
        assert refused(regions, offset=offset, size=size)
    assert refused(regions, size=101) == f"region 'r': {tmp_path}/file has not the 101 bytes from 0 on."
    assert refused(regions, size=0) == "region 'r': byte_size: expected 1 or more, got 0."
    assert refused(regions, offset=-1) == "r: offset: expected a whole number of bytes, got -1."


def test_regions_are_so_many_and_so_large_in_all(regions: Regions, tmp_path: Path) -> None:
    """A descriptor each; unregistered they are closed, all at once too."""
    before = descriptors()
    for number in range(REGIONS):
        regions.register(str(number), "file", 0, 1)
    with pytest.raises(TooLargeError) as caught:
        regions.register("one more", "file", 0, 1)
    assert str(caught.value) == (
        f"region 'one more': 64 regions of 64 bytes are registered, and this node takes 64 of {LARGEST} bytes in all. "
        "Unregister some."
    )
    regions.unregister("")
    assert descriptors() == before
    os.truncate(tmp_path / "file", LARGEST)
    regions.register("all", "file", 0, LARGEST)
    with pytest.raises(TooLargeError):
        regions.register("one more", "file", 0, 1)


def test_a_name_is_registered_once(regions: Regions) -> None:
    regions.register("r", "file", 0, 10)
    with pytest.raises(InputError) as caught:
        regions.register("r", "file", 0, 10)
    assert str(caught.value) == ("region 'r': registered already. Unregister it first, or choose another name.")
    regions.unregister("r")
    regions.unregister("r")  # as Triton does
    regions.register("r", "file", 0, 10)


def test_a_tensor_lies_in_its_region(regions: Regions) -> None:
    regions.register("r", "file", 10, 50)
    for place in (Placed("r", 0, 51), Placed("r", 50, 1), Placed("r", 2**70, 1)):
        with pytest.raises(InputError) as caught:
            regions.read({"x": place})
        assert str(caught.value) == f"x: {place.size} bytes from {place.offset} on, and region 'r' has 50."
        with pytest.raises(InputError):
            written(regions, "x", place, b"y")
    with pytest.raises(InputError) as caught:
        regions.read({"x": Placed("s", 0, 1)})
    assert str(caught.value) == "x: shared memory region 's' is not registered here."
    with pytest.raises(InputError) as caught:
        written(regions, "x", Placed("r", 0, 2), b"abc")
    assert str(caught.value) == "x: 3 bytes, and its place in region 'r' has 2."
    with pytest.raises(InputError, match=r"^region 's': not registered here\.$"):
        regions.status("s")


def test_the_tensors_of_a_request_together_are_bounded(regions: Regions) -> None:
    """Before any memory is taken: the same region may be named many times."""
    regions.register("r", "file", 0, 50)
    with pytest.raises(TooLargeError) as caught:
        regions.read({"x": Placed("r", 0, 31), "y": Placed("r", 0, 30)})
    assert str(caught.value) == (
        "inputs: 61 bytes in shared memory, and this node takes at most 60 in one request. Send smaller batches, or "
        "start the node with a larger --max-batch."
    )


def test_a_file_that_is_cut_short_is_an_error_and_stays_so(regions: Regions, tmp_path: Path) -> None:
    """It is not made longer by what is written."""
    regions.register("r", "file", 0, 50)
    os.truncate(tmp_path / "file", 20)
    for use in (
        lambda: regions.read({"x": Placed("r", 10, 11)}),
        lambda: written(regions, "x", Placed("r", 19, 2), b"ab"),
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert str(caught.value) == "x: the file of region 'r' is shorter than it was when it was registered."
    assert (tmp_path / "file").stat().st_size == 20


def test_an_output_for_which_the_memory_is_not_there_is_an_error(regions: Regions, tmp_path: Path) -> None:
    """A file may have holes, and the system fill the first of them alone; a limit of this process stands for it."""
    regions.register("r", "file", 0, 100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    messages = []
    for at in (20, 40):
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1]))
        try:
            written(regions, "x", Placed("r", at, 30), b"y" * 30)
        except InputError as error:
            messages.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert messages == [
        "x: region 'r' cannot be written: of 30 bytes there was room for 20.",
        "x: region 'r' cannot be written: File too large.",
    ]


def test_a_region_has_a_name(regions: Regions) -> None:
    """Without one, all are meant where they are asked after or forgotten."""
    for name in ("", "x" * 256):
        with pytest.raises(InputError) as caught:
            regions.register(name, "file", 0, 1)
        assert str(caught.value) == f"region {name[:255]!r}: expected a name of 1 to 255 characters."
    regions.register("x" * 255, "file", 0, 1)


def test_who_is_on_this_machine_is_seen_by_the_connection() -> None:
    """What a client says of itself has no part in it; of one that has gone, nothing is known."""
    here, there = ("127.0.0.1", 8000), ("10.0.0.5", 8000)
    assert [is_here(one, here) for one in (here, ("::1", 1), ("::ffff:127.0.0.1", 1))] == [True] * 3
    assert [is_here(one, there) for one in (there, ("::ffff:10.0.0.5", 1), None)] == [False] * 3
    assert is_here(None, ("/run/a.sock", None))
    peers = ("unix:", "unix:/run/a.sock", "ipv4:127.0.0.1:51", "ipv6:%5B::1%5D:51", "ipv6:[::1]:51")
    assert all(map(is_peer_here, peers))
    assert not any(map(is_peer_here, ("ipv4:10.0.0.5:51", "ipv6:%5Bfe80::1%5D:51", "vsock:2:1", "", "unixx:")))


@pytest.fixture
def server(double: Any) -> Iterator[Server]:
    """A server that offers it."""
    running = Server([double], "127.0.0.1", 0, max_batch=4, http_port=0, shared_memory=True)
    running.start()
    yield running
    running.stop(WAIT)


@pytest.fixture(params=["grpc", "http"])
def triton(request: pytest.FixtureRequest, server: Server) -> Iterator[tuple[Any, Any]]:
    """A module of tritonclient, and its client."""
    module = importlib.import_module(f"tritonclient.{request.param}")
    assert server.http is not None
    with closing(
        module.InferenceServerClient(server.address if request.param == "grpc" else server.http.address)
    ) as it:
        yield module, it


@pytest.fixture
def region() -> Iterator[Any]:
    """The client's, of 64 bytes, with the input at its begin."""
    key = f"offramp-test-{token_hex(8)}"
    made = shm.create_shared_memory_region("r", key, 64, create_only=True)
    shm.set_shared_memory_region(made, [X])
    yield made
    with suppress(FileNotFoundError):
        shm.destroy_shared_memory_region(made)


def asked(module: Any, size: int = X.nbytes, place: int = 16) -> dict[str, Any]:
    """A request whose input and first output lie in the region, and whose second output does not."""
    given = module.InferInput("x", list(X.shape), "FP32")
    given.set_shared_memory("r", size)
    twice = module.InferRequestedOutput("twice")
    twice.set_shared_memory("r", place, 32)
    return {"inputs": [given], "outputs": [twice, module.InferRequestedOutput("word")]}


def test_tensors_come_and_go_by_it(triton: tuple[Any, Any], region: Any) -> None:
    """The answer says where they are and how large; the other output comes as always."""
    module, client = triton
    client.register_system_shared_memory("r", region._shm_key, 64)
    for _ in range(3):
        shm.set_shared_memory_region(region, [np.zeros((2, 6), np.float32)], offset=16)
        answer = client.infer("double", **asked(module))
        assert shm.get_contents_as_numpy(region, np.float32, [2, 2], offset=32).tolist() == (2 * X).tolist()
        assert answer.as_numpy("word").tolist() == [b"row 0", b"row 1"]
        told = answer.get_output("twice")
        if module.__name__.endswith("http"):
            where = {"shared_memory_region": "r", "shared_memory_offset": 32, "shared_memory_byte_size": 16}
            assert (told["parameters"], "data" in told) == (where, False)
        else:
            where = told.parameters
            assert where["shared_memory_region"].string_param == "r"
            assert [where[f"shared_memory_{name}"].int64_param for name in ("offset", "byte_size")] == [32, 16]


def test_regions_are_told_and_forgotten(triton: tuple[Any, Any], region: Any) -> None:
    """In Triton's words; the extension is named."""
    module, client = triton
    web = module.__name__.endswith("http")
    plain = {} if web else {"as_json": True}
    assert "system_shared_memory" in client.get_server_metadata(**plain)["extensions"]
    client.register_system_shared_memory("r", region._shm_key, 40, 16)
    for name in ("", "r"):
        told = client.get_system_shared_memory_status(name, **plain)
        (one,) = told if web else told["regions"].values()
        assert {key: str(value) for key, value in one.items()} == {
            "name": "r", "key": region._shm_key, "offset": "16", "byte_size": "40",
        }  # fmt: skip
    client.unregister_system_shared_memory("r")
    with pytest.raises(InferenceServerException, match="region 'r': not registered here"):
        client.get_system_shared_memory_status("r")
    with pytest.raises(InferenceServerException, match="x: shared memory region 'r' is not registered here"):
        client.infer("double", **asked(module))
    client.register_system_shared_memory("r", region._shm_key, 64)
    client.unregister_system_shared_memory()
    assert not client.get_system_shared_memory_status(**plain)


def test_what_does_not_fit_is_said(triton: tuple[Any, Any], region: Any) -> None:
    """And the next request is answered."""
    module, client = triton
    client.register_system_shared_memory("r", region._shm_key, 64)
    cases = {
        "x: shape \\[2, 2\\] of FP32 takes 16 bytes, got 12": asked(module, size=12),
        "x: 65 bytes from 0 on, and region 'r' has 64": asked(module, size=65),
        "twice: 16 bytes, and its place in region 'r' has 15": asked(module, place=15),
    }
    for message, request in cases.items():
        with pytest.raises(InferenceServerException, match=message):
            client.infer("double", **request)
    with pytest.raises(InferenceServerException, match="key '/etc/passwd': expected the name of a file"):
        client.register_system_shared_memory("s", "/etc/passwd", 10)
    client.infer("double", **asked(module))


def test_where_an_output_goes_is_seen_before_it_is_computed(triton: tuple[Any, Any], region: Any, double: Any) -> None:
    """What cannot be written there costs no computation."""
    module, client = triton
    client.register_system_shared_memory("r", region._shm_key, 64)
    for size, place, name in ((48, 32, "r"), (16, 2**62, "r"), (16, 0, "s")):
        twice = module.InferRequestedOutput("twice")
        twice.set_shared_memory(name, size, place)
        with pytest.raises(InferenceServerException, match="twice: "):
            client.infer("double", asked(module)["inputs"], outputs=[twice])
    assert double.calls == []


def test_an_output_goes_where_its_name_led_when_it_was_asked_for(
    triton: tuple[Any, Any], server: Server, region: Any, double: Any
) -> None:
    """Whatever the name means by the time that the model has answered."""
    module, client = triton
    assert server.http is not None
    address = server.http.address if module.__name__.endswith("http") else server.address
    client.register_system_shared_memory("r", region._shm_key, 64)
    other = shm.create_shared_memory_region("other", f"offramp-test-{token_hex(8)}", 64, create_only=True)
    failed: list[Exception] = []

    def ask() -> None:
        try:
            with closing(module.InferenceServerClient(address)) as own:
                own.infer("double", **asked(module), parameters={"wait": True})
        except Exception as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    try:
        asking.start()
        assert double.entered.wait(WAIT)
        client.unregister_system_shared_memory("r")
        client.register_system_shared_memory("r", other._shm_key, 64)
        double.opened.set()
        asking.join(WAIT)
        assert failed == []
        assert shm.get_contents_as_numpy(region, np.float32, [2, 2], offset=32).tolist() == (2 * X).tolist()
        assert not shm.get_contents_as_numpy(other, np.float32, [16]).any()
    finally:
        double.opened.set()
        shm.destroy_shared_memory_region(other)


def test_a_client_that_cuts_its_file_short_meanwhile_ends_no_node(
    triton: tuple[Any, Any], region: Any, double: Any
) -> None:
    """Again and again, as requests read and write it: each is answered or refused in words."""
    module, client = triton
    client.register_system_shared_memory("r", region._shm_key, 64)
    path, done = Path("/dev/shm") / region._shm_key, threading.Event()

    def cut() -> None:
        while not done.is_set():
            for size in (0, 64, 20, 64):
                os.truncate(path, size)

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        for _ in range(200):
            with suppress(InferenceServerException):
                client.infer("double", **asked(module))
    finally:
        done.set()
        cutting.join(WAIT)
    os.truncate(path, 20)
    with pytest.raises(InferenceServerException, match="twice: the file of region 'r' is shorter than it was"):
        client.infer("double", **asked(module))
    os.truncate(path, 64)
    client.infer("double", **asked(module))


def test_parts_of_an_answer_have_no_place_there(server: Server, region: Any) -> None:
    """They would lie over each other; inputs may lie there."""
    module = importlib.import_module("tritonclient.grpc")
    heard: list[Any] = []
    came = threading.Semaphore(0)

    def hear(result: Any, error: Any) -> None:
        heard.append(error or result)
        came.release()

    with closing(module.InferenceServerClient(server.address)) as client:
        client.register_system_shared_memory("r", region._shm_key, 64)
        client.start_stream(hear)
        client.async_stream_infer("double", **asked(module))
        assert came.acquire(timeout=WAIT)
        assert "the parts of an answer would take each other's place in shared memory" in str(heard.pop())
        client.async_stream_infer("double", asked(module)["inputs"])
        assert came.acquire(timeout=WAIT)
        assert heard[0].as_numpy("twice").tolist() == [[2, 4]]
        client.stop_stream()


def outside() -> str:
    """The address of this machine on its network; empty where it has none."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))
        found = str(one.getsockname()[0])
        return "" if found.startswith("127.") else found
    return ""


@pytest.mark.skipif(not outside(), reason="this machine is on no network")
@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_nobody_has_it_who_comes_from_elsewhere(kind: str, double: Any, region: Any) -> None:
    """Whatever was registered from here."""
    server = Server([double], "0.0.0.0", 0, max_batch=4, http_port=0, shared_memory=True)
    server.start()
    assert server.http is not None
    module, port = importlib.import_module(f"tritonclient.{kind}"), server.port if kind == "grpc" else server.http.port
    try:
        with closing(module.InferenceServerClient(f"127.0.0.1:{port}")) as near:
            near.register_system_shared_memory("r", region._shm_key, 64)
            near.infer("double", **asked(module))
        with closing(module.InferenceServerClient(f"{outside()}:{port}")) as far:
            for call in (far.get_system_shared_memory_status, far.unregister_system_shared_memory):
                with pytest.raises(InferenceServerException, match="offered to callers on this machine alone"):
                    call()
            with pytest.raises(InferenceServerException, match="offered to callers on this machine alone"):
                far.register_system_shared_memory("s", region._shm_key, 64)
            with pytest.raises(InferenceServerException, match="x: shared memory is not offered"):
                far.infer("double", **asked(module))
    finally:
        server.stop(WAIT)


def test_a_web_page_has_none(server: Server, region: Any) -> None:
    """A browser on this machine sends what a page of anyone's asks, and says only whose it is."""
    assert server.http is not None
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2]}
    there = {"shared_memory_region": "r", "shared_memory_byte_size": 16}
    register = "/v2/systemsharedmemory/region/r/register", {"key": region._shm_key, "byte_size": 64}
    reads = "/v2/models/double/infer", {"inputs": [{**tensor, "parameters": there}]}
    writes = (
        "/v2/models/double/infer",
        {"inputs": [{**tensor, "data": [1, 2, 3, 4]}], "outputs": [{"name": "twice", "parameters": there}]},
    )

    def status(path: str, body: Any, headers: dict[str, str]) -> int:
        with closing(HTTPConnection(server.http.address, timeout=WAIT)) as caller:
            caller.request("POST", path, json.dumps(body), {"Content-Type": "text/plain", **headers})
            return caller.getresponse().status

    page = {"Origin": "https://elsewhere.example"}
    assert status(*register, page) == 403
    assert [status(*asked, {}) for asked in (register, reads)] == [200, 200]
    before = shm.get_contents_as_numpy(region, np.uint8, [64]).tolist()
    for more in ({}, {"Accept-Encoding": "gzip"}):  # by the way past ASGI, and by ASGI
        assert [status(*asked, page | more) for asked in (reads, writes)] == [400, 400]
    assert status("/v2/systemsharedmemory/unregister", {}, page) == 403
    assert shm.get_contents_as_numpy(region, np.uint8, [64]).tolist() == before
    assert status(*writes, {}) == 200


def test_who_may_ask_models_may_register_what_they_are_asked_by() -> None:
    """By token; who may only read sees which regions there are, and takes none away."""
    for what, right in (("Register", "infer"), ("Unregister", "infer"), ("Status", "read")):
        assert right_of_call(f"/inference.GRPCInferenceService/SystemSharedMemory{what}") == right
        assert right_of_path(["v2", "systemsharedmemory", what.lower()]) == right
        assert right_of_path(["v2", "systemsharedmemory", "region", "status", what.lower()]) == right
        assert right_of_path(["v2", "models", what.lower()]) == "read"


def test_what_is_in_use_is_not_closed_under_it(regions: Regions) -> None:
    """A region that is unregistered lives as long as a request holds it: its descriptor is nobody else's."""
    regions.register("r", "file", 0, 50)
    held = regions._found("x", Placed("r", 0, 1))
    regions.unregister("r")
    assert os.pread(held.file, 2, 1) == b"\x01\x02"


def test_the_folder_is_the_system_s() -> None:
    assert shared_memory.FOLDER == "/dev/shm"
