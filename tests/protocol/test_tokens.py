"""Tokens and their rights, from a file: what is read, who is let in by it, and which files are refused."""

import hashlib
import re
from pathlib import Path

import pytest

from certificates import secret
from offramp.errors import ForbiddenError, InputError, UnauthenticatedError
from offramp.protocol.secret_file import read_secret
from offramp.protocol.tokens import Tokens, read_tokens

A, B = "a1" * 32, "b2" * 32  # the same for every worker that collects the tests


def tokens(folder: Path, *lines: str) -> Tokens:
    """Those of a file of these lines."""
    return Tokens(secret(folder / "tokens", "\n".join(lines) + "\n"))


def test_a_line_is_a_name_its_rights_and_a_token_or_its_hash(tmp_path: Path) -> None:
    """Other lines are comments or empty. Of a token the hash is held, and shows nothing of it."""
    hashed = hashlib.sha256(B.encode()).hexdigest()
    found = tokens(tmp_path, "# who", "", f"  cams   infer {A}", f"edge-7\tinfer,read sha256:{hashed}")
    assert [(holder.name, sorted(holder.rights)) for holder in found.holders] == [
        ("cams", ["infer"]),
        ("edge-7", ["infer", "read"]),
    ]
    assert found.check(f"Bearer {A}", "infer").name == "cams"
    assert found.check(f"bearer  {B} ".encode(), "read").name == "edge-7"
    assert A not in repr(found.holders)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"Basic {A}", "Bearer ", f"Bearer {A}0", f"Bearer {A[:-1]}", f"Bearer {A} {B}", "Bearer é"],
)
def test_who_shows_no_token_or_another_is_not_known(tmp_path: Path, header: str | None) -> None:
    """Whatever stands in the header; the message has none of it."""
    with pytest.raises(UnauthenticatedError, match=r"^(no|unknown) token: ") as refused:
        tokens(tmp_path, f"cams infer {A}").check(header, "infer")
    assert A[:8] not in str(refused.value)


def test_a_token_without_the_right_is_known_and_refused(tmp_path: Path) -> None:
    """By the name of who holds it."""
    with pytest.raises(ForbiddenError, match=r"^the token of 'cams' has no right to control, but to infer, read\.$"):
        tokens(tmp_path, f"cams read,infer {A}").check(f"Bearer {A}", "control")


BAD = [
    (f"cams {A}", "line 1: expected NAME RIGHTS TOKEN with spaces between them"),
    (f"c:ms infer {A}", "line 1: expected NAME RIGHTS TOKEN"),
    (f"cams infer,write {A}", "line 1: unknown right 'write' of cams. Expected some of infer, read, control."),
    ("cams infer short", "line 1: a token is 32 to 4096 visible ASCII characters, and this one is of 5."),
    (f"cams infer {'x' * 4097}", "line 1: a token is 32 to 4096 visible ASCII characters, and this one is of 4097."),
    ("cams infer sha256:12", "line 1: after sha256: 64 hexadecimal digits are expected"),
    (f"cams infer {A}\ncams read {B}", "line 2: the name 'cams' stands here twice."),
    (f"cams infer {A}\nedge read {A}", "line 2: the same token stands above. Give each its own."),
    ("# nobody", "holds none, so nobody could come in."),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_a_file_that_does_not_do_is_refused(tmp_path: Path, content: str, said: str) -> None:
    """The message names the line, and nothing of a token."""
    path = secret(tmp_path / "tokens", content)
    with pytest.raises(InputError, match=re.escape(f"tokens {path}: {said}")) as refused:
        read_tokens(path)
    assert A not in str(refused.value)


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o604])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    """A node's and a caller's; the message has the command that mends it."""
    path = secret(tmp_path / "tokens", f"cams infer {A}", mode)
    expected = re.escape(
        f"others on this machine may read or change it (mode {mode:04o}). Let its owner alone: chmod 600 "
    )
    for read in (read_tokens, read_secret):
        with pytest.raises(InputError, match=expected):
            read(path)


def test_a_caller_s_file_holds_one_token(tmp_path: Path) -> None:
    """With white space around it; nothing else, and no file is no token."""
    assert read_secret(secret(tmp_path / "mine", f"\n{A}\n")) == A
    with pytest.raises(InputError, match="expected one token and nothing else, got 2 words"):
        read_secret(secret(tmp_path / "two", f"cams {A}"))
    with pytest.raises(InputError, match="a token is 32 to 4096"):
        read_secret(secret(tmp_path / "short", "abc"))
    with pytest.raises(InputError, match=r"^token file .*nowhere: cannot be read \(No such file or directory\)"):
        read_secret(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="cannot be read"):
        read_secret(str(tmp_path))
