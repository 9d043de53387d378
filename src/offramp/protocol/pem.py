"""Certificates and keys as files in PEM form: read and held against each other, so that a node finds out at its start.

Takes paths, gives bytes. Knows neither servers nor clients.
"""

import base64
import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from offramp.errors import InputError

BEGIN_KEY = b"-----BEGIN PRIVATE KEY-----"
EDWARDS = (bytes.fromhex("06032b6570"), bytes.fromhex("06032b6571"))  # 1.3.101.112 and 113


@dataclass(frozen=True)
class Pair:
    """A certificate, with those between it and its authority, and its private key."""

    chain: bytes
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of the certificate, as openssl shows it, without colons."""
        end = b"-----END CERTIFICATE-----"
        first = self.chain[self.chain.index(b"-----BEGIN CERTIFICATE-----") :].partition(end)[0] + end
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first.decode("ascii"))).hexdigest()[:16]


def read_pair(cert: str, key: str) -> Pair:
    """Read a certificate and its key; InputError where one of them is none, or they do not belong together.

    A key that is encrypted is refused: nobody is there to type its password when a node starts.
    """
    pair = Pair(read_file(cert, "certificate"), read_file(key, "key"))
    if b"ENCRYPTED" in pair.key:
        raise InputError(
            f"key {key}: is encrypted, and a node asks for no password. Write it without one, readable by the node's "
            f"user alone: openssl pkey -in {key} -out FILE"
        )
    if _is_edwards(pair.key):
        raise InputError(
            f"key {key}: is an Ed25519 or Ed448 key, which grpc's TLS does not take. Make one of ECDSA (P-256) or RSA, "
            "and its certificate by an authority of such a key."
        )
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)
    return pair


def _is_edwards(key: bytes) -> bool:
    """Whether a key in PEM form is one, by the algorithm's number near its start (PKCS #8, RFC 8410)."""
    try:
        start = base64.b64decode(key.partition(BEGIN_KEY)[2].partition(b"-----")[0])[:16]
    except ValueError:
        return False  # what it is instead is found by who reads it
    return any(number in start for number in EDWARDS)


def load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Have a context show a certificate; InputError where it cannot."""
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # else openssl would ask on the terminal
    except ssl.SSLError as error:
        reason = error.reason or "no PEM"
        said = "it is another certificate's key" if "MISMATCH" in reason else reason.replace("_", " ").lower()
        raise InputError(
            f"certificate {cert} with key {key}: {said}. Expected a certificate and its own private key, in PEM form."
        ) from error


def read_authorities(path: str) -> bytes:
    """Read the certificates of authorities; InputError where there are none in the file."""
    content = read_file(path, "authority")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise InputError(f"authority {path}: holds no certificates in PEM form ({error}).") from error
    return content


def read_file(path: str, what: str) -> bytes:
    """Read a file that an option names; InputError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{what} {path}: cannot be read ({error.strerror}). Check the path and who may read it."
        ) from None


def check_pair(cert: str | None, key: str | None) -> None:
    """Raise InputError where one is named without the other."""
    if (cert is None) != (key is None):
        named, lacking = ("certificate", "key") if key is None else ("key", "certificate")
        raise InputError(f"{named} {cert or key}: named without its {lacking}. Name both, --tls-cert and --tls-key.")
