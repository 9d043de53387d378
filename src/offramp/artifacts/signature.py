"""Who vouches for a bundle: a detached ed25519 signature over its manifest, which has the hash of every other file.

It is 64 bytes in a file beside the manifest, as openssl makes and checks it (`openssl pkeyutl -sign -rawin`). Keys are
PEM files. Knows nothing of what a manifest says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.artifacts.document import read_bytes
from offramp.errors import ArtifactUntrustedError, InputError, MissingExtraError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE = "manifest.json.sig"
LENGTH = 64  # bytes
NEW_KEY = "openssl genpkey -algorithm ed25519 -out FILE"


@dataclass(frozen=True)
class Trust:
    """Public keys, of which one must have signed."""

    keys: "tuple[Ed25519PublicKey, ...]"
    said: str  # where they came from

    @classmethod
    def of(cls, files: Iterable[str]) -> "Trust | None":
        """Read them from files; None where there are none. Raises InputError, and MissingExtraError."""
        paths = tuple(files)
        keys = tuple(_read_key(path, private=False) for path in paths)
        return cls(keys, ", ".join(paths)) if keys else None

    def check(self, folder: Path, manifest: bytes) -> None:
        """Raise ArtifactUntrustedError unless the signature in a bundle's folder is one of theirs, of this manifest."""
        from cryptography.exceptions import InvalidSignature

        path = folder / SIGNATURE
        if not path.is_file():
            raise ArtifactUntrustedError(
                f"{folder}: is not signed (no {SIGNATURE}), and bundles have to be by {self.said}. Sign it where its "
                f"key is: offramp sign {folder} --key FILE"
            )
        signature = read_bytes(path)
        if len(signature) != LENGTH:
            raise ArtifactUntrustedError(
                f"{path}: expected an ed25519 signature of {LENGTH} bytes, found {len(signature)} bytes."
            )
        for key in self.keys:
            try:
                key.verify(signature, manifest)
            except InvalidSignature:
                continue
            return
        raise ArtifactUntrustedError(
            f"{folder}: its signature is of another key than {self.said}, or of another bundle than this one. Copy the "
            "bundle again with its signature, or sign it with the right key."
        )


def sign(manifest: bytes, key: str) -> bytes:
    """Give the signature of a bundle's manifest by a private key's file; InputError where that is none."""
    private: Ed25519PrivateKey = _read_key(key, private=True)
    return private.sign(manifest)


def _read_key(path: str, *, private: bool) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtraError(
            "signatures: cryptography is not installed. Install it with: pip install 'offramp[sign]'"
        ) from error
    kind = "private" if private else "public"
    try:
        content = Path(path).read_bytes()
        key: Any = (
            serialization.load_pem_private_key(content, None) if private else serialization.load_pem_public_key(content)
        )
    except OSError as error:
        raise InputError(
            f"key {path}: cannot be read ({error.strerror}). Check the path and who may read it."
        ) from error
    except TypeError as error:  # its words for a key with a password
        raise InputError(
            f"key {path}: is encrypted, and no password is asked for. Write it without one: "
            f"openssl pkey -in {path} -out FILE"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"key {path}: not a {kind} key in PEM form. Make a private one with: {NEW_KEY}") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey):
        raise InputError(f"key {path}: expected an ed25519 key, got {type(key).__name__}. Make one with: {NEW_KEY}")
    return key
