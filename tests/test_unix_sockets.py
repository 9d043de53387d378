"""Unix sockets: their addresses, and how a path is taken and let go."""

import fcntl
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from offramp.errors import InputError, PortInUseError
from offramp.sockets import check_address, check_addresses, is_local, listening
from offramp.unix_sockets import LONGEST, SocketFile, http_beside, listening_at, mode_of, open_to, path_of

WAIT = 30.0  # seconds after which a test that hangs fails


@contextmanager
def listener(path: Path, mode: int = 0o600) -> Iterator[SocketFile]:
    """Somebody who listens there."""
    made, file = listening_at(str(path), 8, mode)
    with made:
        yield file
    file.remove()


def reached(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(WAIT)
        return caller.connect_ex(str(path)) == 0


def refused(path: Path, kind: type[Exception]) -> str:
    """What is said of a path that cannot be had."""
    with pytest.raises(kind) as caught:
        listening_at(str(path), 8)
    return str(caught.value).removeprefix(f"cannot listen on unix:{path}: ")


def test_an_address_is_a_whole_path() -> None:
    """With the slashes of a URL too, as grpc takes it; beside HOST:PORT where there are several."""
    assert check_address("unix:/run/edge.sock") == "unix:/run/edge.sock"
    assert check_address("unix:///run/edge.sock") == "unix:/run/edge.sock"
    assert check_addresses("unix:/run/a.sock, 10.0.0.5:8001") == ("unix:/run/a.sock", "10.0.0.5:8001")
    assert path_of("localhost:8001") is None
    assert [is_local(one) for one in ("unix:/run/edge.sock", "localhost:8001", "10.0.0.5:8001")] == [True, True, False]


@pytest.mark.parametrize(
    "address", ["unix:", "unix:edge.sock", "unix://edge.sock", "unix:/a b", "unix:/a%20", "unix:/a/"]
)
def test_what_is_no_whole_path_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        check_address(address)
    assert str(caught.value) == (
        f"address {address!r}: expected unix: and a whole path of letters, digits and ._+=@~-, like "
        "unix:/run/offramp/edge.sock."
    )


def test_a_path_longer_than_the_system_takes_is_refused(tmp_path: Path) -> None:
    """The longest that is not can be listened at, also while its file has another name."""
    longest = Path(f"/tmp/{'x' * (LONGEST - 9)}{os.getpid() % 10000:04}")
    with listener(longest):
        assert reached(longest)
    with pytest.raises(InputError) as caught:
        path_of(f"unix:{longest}y")
    assert str(caught.value) == (
        f"address 'unix:{longest}y': a path of 107 characters, and a Unix socket has at most 106. Choose a shorter one."
    )


def test_http_has_a_socket_beside() -> None:
    assert http_beside("/run/edge.sock") == "/run/edge.http.sock"
    assert http_beside("/run/edge") == "/run/edge.http"


def test_a_mode_is_octal_and_lets_its_owner_in() -> None:
    assert [mode_of(text) for text in ("600", "0660", "777")] == [0o600, 0o660, 0o777]
    for text in ("60", "888", "060", "1600", "rw"):
        with pytest.raises(InputError) as caught:
            mode_of(text)
        assert str(caught.value) == (
            f"socket mode {text!r}: expected three octal digits, the first 6 or 7, like 600 or 660."
        )


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o600, "user {user}"), (0o660, "user {user} and group {group}"), (0o666, "anyone on this machine")],
)
def test_a_file_has_its_mode_from_the_first_and_says_who_comes_in(tmp_path: Path, mode: int, who: str) -> None:
    """Whatever the process's own mask is, which stays as it was."""
    from grp import getgrgid
    from pwd import getpwuid

    path, before = tmp_path / "a.sock", os.umask(0o027)
    try:
        with listener(path, mode):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            named = who.format(user=getpwuid(os.getuid()).pw_name, group=getgrgid(path.stat().st_gid).gr_name)
            assert open_to(str(path)) == f"a Unix socket of mode {mode:04o}, {named}"
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_nobody_finds_a_socket_before_it_listens(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with closing(socket.socket(socket.AF_UNIX)) as made:
        with SocketFile(str(path)).taken() as name:
            made.bind(name)
            assert not path.exists()
            made.listen()
        assert reached(path)
        assert list(tmp_path.iterdir()) == [path]


def test_the_file_goes_at_the_end(tmp_path: Path) -> None:
    with listener(tmp_path / "a.sock"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_socket_in_use_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with listener(path):
        said = refused(path, PortInUseError)
        assert said == "another process listens there. Choose another path, or stop that one."
        assert reached(path)


def test_the_socket_of_one_that_died_is_replaced(tmp_path: Path) -> None:
    """Also one that died before its file had its own name."""
    path = tmp_path / "a.sock"
    for left in (path, Path(f"{path}~")):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(left))
            dead.listen()
    with listener(path):
        assert reached(path)
    assert not list(tmp_path.iterdir())


def test_a_socket_that_another_has_put_in_its_place_is_left(tmp_path: Path) -> None:
    """One that still finishes what it took listens no more: the next may have begun."""
    path = tmp_path / "a.sock"
    made, file = listening_at(str(path), 8)
    made.close()
    with listener(path):
        file.remove()
        assert reached(path)


def test_a_file_that_is_no_socket_is_refused_and_stays(tmp_path: Path) -> None:
    """A link to a socket is none either."""
    file, link = tmp_path / "notes", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to(tmp_path / "a.sock")
    for path in (file, link):
        assert refused(path, InputError) == (
            "a file is there that is no socket. Choose a path in a folder where this user may write."
        )
    assert file.read_text() == "mine"


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    assert refused(tmp_path / "no/a.sock", InputError) == (
        f"{tmp_path}/no: No such file or directory. Choose a path in a folder where this user may write."
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_where_this_user_may_not_write_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert refused(tmp_path / "a.sock", InputError) == (
        "Permission denied. Choose a path in a folder where this user may write."
    )


def test_of_two_that_want_a_path_at_once_one_gets_it(tmp_path: Path) -> None:
    """The second looks when the first listens, and finds it."""
    path, file, said = tmp_path / "a.sock", SocketFile(str(tmp_path / "a.sock")), list[str]()
    with closing(socket.socket(socket.AF_UNIX)) as made:
        with file.taken() as name:
            second = threading.Thread(target=lambda: said.append(refused(path, PortInUseError)))
            second.start()
            second.join(0.2)
            assert second.is_alive()
            made.bind(name)
            made.listen()
        second.join(WAIT)
        assert said == ["another process listens there. Choose another path, or stop that one."]


def test_a_folder_that_somebody_keeps_locked_is_given_up(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert refused(tmp_path / "a.sock", PortInUseError) == (
            f"another process has had {tmp_path} locked for 5 s. Choose another folder."
        )
    finally:
        os.close(folder)


def test_a_listener_says_its_address_and_takes_its_file_away(tmp_path: Path) -> None:
    found = listening(f"unix:{tmp_path}/a.sock", 4711, 8)
    assert (found.address, found.port) == (f"unix:{tmp_path}/a.sock", 0)
    found.close()
    assert not list(tmp_path.iterdir())
