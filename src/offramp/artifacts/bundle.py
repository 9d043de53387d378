"""The bundle: a folder with a manifest and one ONNX graph whose boundaries are named tensors.

A node needs a bundle and nothing else. Reading one checks every byte of it against the manifest, and what was checked
is what is used: the graph is read once. Knows nothing of how the graph is made (export) or run (runtime).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.document import read_bytes, write_bytes
from offramp.artifacts.engine import Precision
from offramp.artifacts.inputs import TOKENIZER, read_samples
from offramp.artifacts.manifest import GRAPH, GRAPH_INT8, FileDigest, Manifest
from offramp.artifacts.self_test import SelfTest
from offramp.artifacts.signature import SIGNATURE, Trust
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError

MANIFEST = "manifest.json"
SELF_TEST = "self-test.json"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte agrees with its manifest."""

    path: Path
    manifest: Manifest
    graph: bytes
    graph_int8: bytes | None = None
    self_test: SelfTest | None = None  # None: written before there were any
    tokenizer: bytes | None = None  # None: it takes no strings

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    def __repr__(self) -> str:
        """Which it is, and not its megabytes of graph."""
        return f"<Bundle {self.manifest.model} {self.id[:16]} of {self.path}>"

    @classmethod
    def open(cls, path: Path | str, trust: Trust | None = None) -> Self:
        """Read a bundle from its folder and check it, and who has signed it where somebody has to have.

        Raises ArtifactMissingError, ArtifactVersionError, ArtifactDamagedError or ArtifactUntrustedError, each naming
        the file.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise ArtifactMissingError(
                f"{path}: not a bundle, it has no {MANIFEST}. Write one with: offramp export CHECKPOINT --out {path}"
            )
        content = read_bytes(path / MANIFEST)
        if trust is not None:
            trust.check(path, content)
        manifest = Manifest.parse(content, str(path / MANIFEST))
        contents = {name: _read_checked(path / name, digest) for name, digest in manifest.files.items()}
        self_test = None
        if (test := contents.get(SELF_TEST)) is not None:
            self_test = SelfTest.parse(test, origin := str(path / SELF_TEST))
            precisions = {"fp32", "int8"} if GRAPH_INT8 in contents else {"fp32"}
            self_test.check(origin, precisions, manifest.exits, len(manifest.classes))
        return cls(path, manifest, contents[GRAPH], contents.get(GRAPH_INT8), self_test, contents.get(TOKENIZER))

    def read(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Samples as a data set holds them, as the network takes them: see `inputs.read_samples`."""
        return read_samples(self.manifest.preprocessing, samples, self.tokenizer)

    def graph_for(self, precision: Precision) -> tuple[str, bytes]:
        """Name and content of the graph that is run in a precision; an InputError where there is none."""
        if precision != "int8":
            return GRAPH, self.graph
        if self.graph_int8 is None:
            raise InputError(
                f"precision int8: {self.path} holds no int8 graph. Export it with: offramp export CHECKPOINT --int8"
            )
        return GRAPH_INT8, self.graph_int8

    @staticmethod
    def write(
        path: Path,
        manifest: Manifest,
        graph: bytes,
        graph_int8: bytes | None = None,
        self_test: SelfTest | None = None,
        tokenizer: bytes | None = None,
    ) -> "Bundle":
        """Write a bundle; the manifest comes last, so a folder with a manifest is a whole bundle."""
        for name in (MANIFEST, SIGNATURE):  # which would be another bundle's
            (path / name).unlink(missing_ok=True)
        write_bytes(path / GRAPH, graph)
        test = None if self_test is None else self_test.to_json().encode()
        for name, content in ((GRAPH_INT8, graph_int8), (SELF_TEST, test), (TOKENIZER, tokenizer)):
            if content is None:
                (path / name).unlink(missing_ok=True)
            else:
                write_bytes(path / name, content)
        manifest.write(path / MANIFEST)
        return Bundle(path, manifest, graph, graph_int8, self_test, tokenizer)


def digest(content: bytes) -> FileDigest:
    """Describe a file's content for the manifest."""
    return FileDigest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _read_checked(path: Path, expected: FileDigest) -> bytes:
    content = read_bytes(path)
    found = digest(content)
    if found != expected:
        raise ArtifactDamagedError(
            f"{path}: expected {expected.bytes} bytes with sha256 {expected.sha256[:16]}…, found {found.bytes} bytes "
            f"with sha256 {found.sha256[:16]}…. The bundle was changed or cut short: copy or export it again."
        )
    return content
