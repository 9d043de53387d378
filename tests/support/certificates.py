"""Real certificates, keys and token files: an authority of a test's own, and what it has signed."""

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path

import trustme

from ports import HERE


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, as paths."""

    cert: str
    key: str


class Authority:
    """Signs certificates for this machine, in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder, self.authority = folder, trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca = str(folder / f"{name}.pem")
        self.authority.cert_pem.write_to_path(self.ca)

    def signed(self, name: str, *hosts: str, expired: bool = False) -> Signed:
        """A certificate and a key of this file name, for these hosts or for this machine's address."""
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        made = self.authority.issue_cert(
            *(hosts or (HERE, "localhost", "::1")),
            key_type=trustme.KeyType.ECDSA,
            not_before=yesterday - dt.timedelta(days=1) if expired else None,
            not_after=yesterday if expired else None,
        )
        found = Signed(str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key"))
        self.written(made, found)
        return found

    @staticmethod
    def written(made: trustme.LeafCert, to: Signed) -> None:
        """Put a certificate and its key where they are read, each in one step."""
        for blobs, path in (((made.private_key_pem,), to.key), (made.cert_chain_pems, to.cert)):
            beside = Path(path + ".new")
            beside.write_bytes(b"".join(blob.bytes() for blob in blobs))
            beside.rename(path)


def token() -> str:
    """One that nobody guesses."""
    return secrets.token_hex(32)


def secret(path: Path, content: str, mode: int = 0o600) -> str:
    """A file that its owner alone may read; give its path."""
    path.write_text(content)
    path.chmod(mode)
    return str(path)
