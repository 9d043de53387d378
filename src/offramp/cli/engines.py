"""What export writes for other people's servers: a Triton repository, an InferenceService of KServe."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.document import check_output
from offramp.artifacts.new_folder import check_new_folder
from offramp.errors import InputError
from offramp.export.kserve import check_replicas, check_storage, write_service
from offramp.export.triton import NOUN, Repository, tails_of, write_repository


@dataclass(frozen=True)
class Engines:
    """What was asked for; nothing, most often."""

    triton: Path | None = None
    tails: tuple[str, ...] = ()
    how: Repository = field(default_factory=Repository)
    kserve: Path | None = None
    storage: str = ""
    replicas: int = 1

    @classmethod
    def asked(
        cls,
        triton: Path | None,
        tails: Sequence[str] | None,
        version: int,
        max_batch: int,
        kserve: Path | None,
        storage: str | None,
        replicas: int,
    ) -> Self:
        """What the options say; an InputError where they make no sense together, an ArtifactError for a bad place."""
        if tails and triton is None:
            raise InputError(f"tail {tails[0]!r}: a choice of what --triton DIR writes. Name that too.")
        if kserve is not None and storage is None:
            raise InputError(
                "--kserve: the service fetches a model repository. Write one with --triton DIR, lay it where the "
                "cluster can fetch it, and name the place with --storage URI."
            )
        how = Repository(version, max_batch)
        if triton is not None:
            check_new_folder(triton, NOUN)
        if kserve is not None:
            check_output(kserve)
            check_storage(storage or "")
            check_replicas(replicas)
        return cls(triton, tuple(tails or ()), how, kserve, storage or "", replicas)

    def alone(self, source: Path, **other: object) -> None:
        """Write them for a bundle that is there; `other` are options that make a bundle, which this does not."""
        if self.triton is None and self.kserve is None:
            raise InputError(
                f"{source}: is a bundle already. Give the CHECKPOINT that it is of, or write the bundle's tails for "
                "another server with --triton DIR or --kserve FILE."
            )
        if given := [name for name, value in other.items() if value]:
            option = given[0].replace("_", "-")
            raise InputError(f"{source}: is a bundle, and --{option} is of making one. Give a CHECKPOINT, or leave it.")
        self.write(Bundle.open(source))

    def refuse_suite(self, source: Path) -> None:
        """An InputError where they are asked of a suite's many bundles."""
        if self.triton is not None or self.kserve is not None:
            raise InputError(
                f"{source}: is a suite, and a repository or a service is of one network. Name one of its bundles."
            )

    def write(self, bundle: Bundle) -> None:
        """Write what was asked for, and say what."""
        if self.triton is not None:
            tails = tails_of(bundle, self.tails)
            write_repository(self.triton, bundle, tails, self.how)
            names = ", ".join(tail.name for tail in tails)
            print(f"{self.triton}: {names}, version {self.how.version}, of bundle {bundle.id}")
        if self.kserve is not None:
            write_service(self.kserve, bundle, self.storage, self.replicas)
            print(f"{self.kserve}: an InferenceService of {self.storage}, of bundle {bundle.id}")
