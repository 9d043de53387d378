"""Bundles that are signed: who vouches for one, and every way in which that fails. The keys are openssl's."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.signature import SIGNATURE, Trust
from offramp.errors import ArtifactDamagedError, ArtifactUntrustedError, InputError

Keys = tuple[str, str]  # private and public


def openssl(*arguments: str) -> None:
    """Run it."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Keys]:
    """A maker of pairs of keys, each made once."""
    folder = tmp_path_factory.mktemp("keys")

    def made(name: str, algorithm: str = "ed25519") -> Keys:
        private, public = str(folder / f"{name}.key"), str(folder / f"{name}.pub")
        if not Path(private).exists():
            openssl("genpkey", "-algorithm", algorithm, "-out", private)
            openssl("pkey", "-in", private, "-pubout", "-out", public)
        return private, public

    return made


@pytest.fixture
def signed(small_bundle: Bundle, keys: Callable[[str], Keys], offramp: Any) -> Bundle:
    """A bundle that `ours` has signed, by the command."""
    done = offramp("sign", str(small_bundle.path), "--key", keys("ours")[0])
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout == f"{small_bundle.path / SIGNATURE}: of bundle {small_bundle.id}, {small_bundle.manifest.model}\n"
    )
    return small_bundle


def trust(*files: str) -> Trust | None:
    return Trust.of(files)


def test_a_signed_bundle_opens_for_who_trusts_its_signer(signed: Bundle, keys: Callable[[str], Keys]) -> None:
    """One of several keys is enough; who trusts nobody in particular opens it as ever."""
    ours, theirs = keys("ours")[1], keys("theirs")[1]
    assert Bundle.open(signed.path, trust(theirs, ours)).id == signed.id
    assert trust() is None
    assert Bundle.open(signed.path).id == signed.id


def test_openssl_signs_and_checks_it_too(signed: Bundle, keys: Callable[[str], Keys]) -> None:
    """The file is a plain signature of the manifest's bytes: a key may stay where no offramp is."""
    private, public = keys("ours")
    manifest, signature = str(signed.path / MANIFEST), signed.path / SIGNATURE
    openssl("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", manifest, "-sigfile", str(signature))
    before = signature.read_bytes()
    openssl("pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", manifest, "-out", str(signature))
    assert signature.read_bytes() == before


def test_an_unsigned_bundle_is_refused(small_bundle: Bundle, keys: Callable[[str], Keys]) -> None:
    """The message says how it gets a signature."""
    public = keys("ours")[1]
    with pytest.raises(ArtifactUntrustedError) as refused:
        Bundle.open(small_bundle.path, trust(public))
    assert str(refused.value) == (
        f"{small_bundle.path}: is not signed (no {SIGNATURE}), and bundles have to be by {public}. Sign it where its "
        f"key is: offramp sign {small_bundle.path} --key FILE"
    )


def test_a_signature_of_another_key_or_of_another_bundle_is_refused(
    signed: Bundle, keys: Callable[[str], Keys], tmp_path: Path
) -> None:
    """Both are the same to who looks: this manifest was not signed by that key."""
    theirs = keys("theirs")[1]
    expected = re.escape(f"its signature is of another key than {theirs}, or of another bundle than this one.")
    with pytest.raises(ArtifactUntrustedError, match=expected):
        Bundle.open(signed.path, trust(theirs))
    other = Bundle.write(tmp_path / "other", signed.manifest.model_copy(update={"model": "other"}), signed.graph)
    shutil.copy(signed.path / SIGNATURE, other.path)
    with pytest.raises(ArtifactUntrustedError, match="or of another bundle than this one"):
        Bundle.open(other.path, trust(keys("ours")[1]))


def test_a_signature_does_not_stand_in_for_hashes(signed: Bundle, keys: Callable[[str], Keys]) -> None:
    """It is over the manifest; each file is held against that as ever."""
    graph = signed.path / "graph.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactDamagedError, match="sha256"):
        Bundle.open(signed.path, trust(keys("ours")[1]))


def test_a_bundle_that_is_written_anew_has_no_signature(signed: Bundle) -> None:
    """That of before is of another."""
    Bundle.write(signed.path, signed.manifest, signed.graph)
    assert not (signed.path / SIGNATURE).exists()


def test_a_cut_signature_is_none(signed: Bundle, keys: Callable[[str], Keys]) -> None:
    """Said before it is held against anything."""
    (signed.path / SIGNATURE).write_bytes(b"short")
    with pytest.raises(ArtifactUntrustedError, match="expected an ed25519 signature of 64 bytes, found 5 bytes"):
        Bundle.open(signed.path, trust(keys("ours")[1]))


def test_a_key_that_does_not_do_is_refused(
    small_bundle: Bundle, keys: Any, refusal: Callable[..., str], tmp_path: Path
) -> None:
    """To sign with, and to trust; the message says how one is made."""
    private, public = keys("ours")
    for bad, said in (
        (public, "not a private key in PEM form. Make a private one with: openssl genpkey"),
        (keys("x", "x25519")[0], "expected an ed25519 key, got X25519PrivateKey"),
        ("/nowhere", "cannot be read (No such file or directory)"),
    ):
        assert refusal("sign", str(small_bundle.path), "--key", bad).startswith(f"key {bad}: {said}")
    with pytest.raises(InputError, match="not a public key in PEM form"):
        trust(private)
    locked = str(tmp_path / "locked.key")
    openssl("pkey", "-in", private, "-aes256", "-passout", "pass:secret", "-out", locked)
    assert "is encrypted, and no password is asked for" in refusal("sign", str(small_bundle.path), "--key", locked)


def test_nothing_is_signed_that_is_damaged(small_bundle: Bundle, keys: Any, refusal: Callable[..., str]) -> None:
    """Its signature would vouch for it."""
    (small_bundle.path / "graph.onnx").write_bytes(b"x")
    assert "The bundle was changed or cut short" in refusal("sign", str(small_bundle.path), "--key", keys("ours")[0])
    assert not (small_bundle.path / SIGNATURE).exists()
