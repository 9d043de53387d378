"""Decode many images of one place: what cannot be read is said all at once, or passed over where that is asked for."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.artifacts.preprocessing import BILINEAR, Fit, ReadAs, Resampling
from offramp.data.decode import decode
from offramp.errors import DataError
from offramp.progress import Watch, unwatched

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 100  # of the names of what cannot be read


@dataclass(frozen=True)
class Reading:
    """How images are read, and what happens to those that cannot be."""

    read_as: ReadAs = "reduced"
    fit: Fit = "stretch"
    skip_bad: bool = False
    watch: Watch = unwatched  # is told how many images of a part are read
    by: Resampling = BILINEAR


READING = Reading()


class Reader:
    """Reads images one by one and remembers what was bad. `digests` are of the encoded images that could be read."""

    def __init__(self, place: str, mode: Literal["L", "RGB"], height: int, width: int, how: Reading = READING) -> None:
        self.place, self.mode, self.size = place, mode, (width, height)
        self.how, self.skip_bad = how, how.skip_bad
        self.digests: list[int] = []
        self.bad: dict[str, str] = {}  # by name, what is wrong with it
        self.count = 0

    def read(self, source: Path | bytes | None, name: str, shown: str) -> "Image | None":
        """Decode a file or its bytes; None where it cannot be. Messages call it `shown`, the summary `name`."""
        self.count += 1
        try:
            how = self.how
            image = decode(source, self.mode, shown, read_as=how.read_as, size=self.size, fit=how.fit, by=how.by)
            content = source.read_bytes() if isinstance(source, Path) else source
        except (DataError, OSError) as error:
            self.bad[name] = str(error)
            return None
        self.digests.append(digest(content or b""))
        return image

    def finish(self) -> dict[str, str]:
        """Give what was passed over with the reason, or raise a DataError that lists it."""
        if not self.bad or self.skip_bad:
            return {name: f"not read: {why}" for name, why in self.bad.items()}
        said = list(self.bad.values())
        if len(said) == 1:
            raise DataError(f"{said[0]} Or go on without it: --skip-bad")
        more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
        raise DataError(
            f"{self.place}: {len(said)} of {self.count} images cannot be read. Mend or remove them, or go on without "
            f"them: --skip-bad. They are {', '.join(list(self.bad)[:SHOWN])}{more}"
        )


def digest(content: bytes) -> int:
    """64 bits of an encoded image's sha256: the same bytes are the same image, wherever they lie."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
