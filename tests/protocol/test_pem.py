"""Certificates and keys as files: what is wrong with them is said when they are read."""

import re
import subprocess
from pathlib import Path

import pytest

from certificates import Authority, Signed
from offramp.errors import InputError
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access
from offramp.protocol.pem import read_authorities, read_pair
from offramp.protocol.secret_file import read_secret
from offramp.protocol.tokens import Tokens


@pytest.fixture
def mine(tmp_path: Path) -> Signed:
    """A certificate and its key."""
    return Authority(tmp_path).signed("mine")


def test_a_pair_is_read_with_its_fingerprint(mine: Signed) -> None:
    """The one that openssl prints."""
    command = ["openssl", "x509", "-in", mine.cert, "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pair = read_pair(mine.cert, mine.key)
    assert printed.partition("=")[2].replace(":", "").lower().startswith(pair.fingerprint)
    assert "PRIVATE" not in repr(pair)


def test_another_certificate_s_key_is_refused(mine: Signed, tmp_path: Path) -> None:
    """Each is good by itself."""
    other = Authority(tmp_path, "other").signed("other")
    with pytest.raises(InputError) as refused:
        read_pair(mine.cert, other.key)
    assert str(refused.value) == (
        f"certificate {mine.cert} with key {other.key}: it is another certificate's key. Expected a certificate and "
        "its own private key, in PEM form."
    )


def test_an_encrypted_key_is_refused_and_no_password_asked_for(mine: Signed) -> None:
    """The message has the command that writes it without one."""
    locked = mine.key + ".locked"
    command = ["openssl", "pkey", "-in", mine.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(InputError, match=re.escape(f"key {locked}: is encrypted, and a node asks for no password.")):
        read_pair(mine.cert, locked)


@pytest.mark.parametrize(
    "content", ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_refused(mine: Signed, tmp_path: Path, content: str) -> None:
    """As one's own, and as an authority's."""
    bad = tmp_path / "bad.pem"
    bad.write_text(content)
    with pytest.raises(InputError, match=re.escape(f"certificate {bad} with key {mine.key}: ")):
        read_pair(str(bad), mine.key)
    with pytest.raises(InputError, match=re.escape(f"authority {bad}: holds no certificates in PEM form")):
        read_authorities(str(bad))


def test_a_file_that_is_not_there_is_named(mine: Signed) -> None:
    """With what it was for."""
    with pytest.raises(InputError, match=r"^key /nowhere: cannot be read \(No such file or directory\)"):
        read_pair(mine.cert, "/nowhere")


def test_what_is_named_without_its_other_half_is_refused() -> None:
    """Of a node and of a caller, before any file is read."""
    for kind in (Access, Credentials):
        with pytest.raises(InputError, match=r"^certificate c\.pem: named without its key\."):
            kind(cert="c.pem")
        with pytest.raises(InputError, match=r"^key k\.pem: named without its certificate\."):
            kind(key="k.pem")
    with pytest.raises(
        InputError, match=r"^client authority ca\.pem: callers are asked for certificates by TLS alone\."
    ):
        Access(client_ca="ca.pem")
    with pytest.raises(InputError, match=r"^certificate c\.pem: shown to nobody without TLS\."):
        Credentials(cert="c.pem", key="k.pem")
    assert Credentials(ca="public").read("node.example:8001").tls
    assert Credentials(ca=Path("ca.pem")).ca == "ca.pem"  # type: ignore[arg-type]


def test_the_page_s_commands_make_what_nodes_take(tmp_path: Path) -> None:
    """Those of docs/security.md, as they stand there: certificates, keys and tokens; strict clients take them too."""
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    made, tokens = (next(block for block in blocks if word in block) for word in ("-CAcreateserial", "umask"))
    subprocess.run(["sh", "-ec", made + tokens], cwd=tmp_path, check=True, capture_output=True)
    folder = tmp_path / "tls"
    for name in ("cloud", "edge", "client"):
        read_pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        strict = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", f"{name}.pem"]
        subprocess.run(strict, cwd=folder, check=True, capture_output=True)
    value = read_secret(str(folder / "edge-7.token"))
    assert Tokens(str(folder / "tokens")).check(f"Bearer {value}", "read").name == "edge-7"
