"""Every error offramp raises on purpose.

::

    OfframpError
    ├── InputError           a value that was handed in: shape, dtype, range, name
    │   ├── UnknownModelError    a model, or a version of it, that this node does not serve
    │   └── TooLargeError        a request that would take more memory than the node gives to one
    ├── ArtifactError        a document or bundle on disk
    │   ├── ArtifactMissingError  the file is not there
    │   ├── ArtifactDamagedError  the file is there and is not what it should be (cut short, changed)
    │   ├── ArtifactUntrustedError  a bundle that nobody who is trusted has signed
    │   └── ArtifactVersionError  written by a format version that this program does not know
    ├── DataError            an image set that cannot be read or does not fit
    ├── TrainingError        training cannot go on (loss is not a number, folder holds another run)
    ├── ParityError          an exported graph, or a node, does not compute what its network computes
    ├── MissingExtraError    an optional dependency is not installed
    ├── UnsteadyError        what was measured varied too much to be written down
    ├── BusyError            a node is being changed by somebody else just now
    └── LinkError            between nodes
        ├── UnreachableError     the other node does not answer
        ├── DeadlineError        the other node did not answer in time
        ├── OverloadedError      the other node has more to do than it takes on
        ├── BundleMismatchError  the other node serves another bundle
        ├── BehindError          the other node is there, and who comes behind it cannot be asked
        ├── RefusedError         the other node, or this one, does not let its caller in
        │   ├── UnauthenticatedError  who calls shows no token, or one that is not known
        │   └── ForbiddenError       the token is known, and has no right to this
        └── PortInUseError       the port to listen on is taken

A message says what, which, got, expected, and what mends it. The command line prints it and exits with 2; the nodes
send it with the protocol's status (`offramp.protocol.status`). Foreign exceptions become one of these where a foreign
library is called; anything else that surfaces is a defect of offramp.
"""


class OfframpError(Exception):
    """Base of all of them: catch this to catch everything that offramp raises on purpose."""


class InputError(OfframpError, ValueError):
    """A value that was handed in has the wrong shape, dtype, range or name."""


class UnknownModelError(InputError):
    """A request names a model, or a version of it, that this node does not serve."""


class TooLargeError(InputError):
    """A request would take more memory than this node gives to one."""


class ArtifactError(OfframpError):
    """A document or bundle on disk cannot be used."""


class ArtifactMissingError(ArtifactError):
    """A file that should be there is not."""


class ArtifactDamagedError(ArtifactError):
    """A file is not what was written: cut short, changed, or not of this format at all."""


class ArtifactUntrustedError(ArtifactError):
    """A bundle is not signed, or not by who is trusted here."""


class ArtifactVersionError(ArtifactError):
    """A file is of a format version that this program does not know."""


class DataError(OfframpError):
    """An image set cannot be read, or does not fit the network."""


class TrainingError(OfframpError):
    """Training cannot start or go on."""


class ParityError(OfframpError):
    """An exported graph's outputs, or a node's, differ from its network's by more than the stated tolerance."""


class MissingExtraError(OfframpError):
    """An optional dependency is not installed."""


class UnsteadyError(OfframpError):
    """A measurement varied more from round to round than it may: written down, it would mislead."""


class BusyError(OfframpError):
    """A node is being changed by somebody else just now: one change follows the other."""


class LinkError(OfframpError):
    """Something between two nodes."""


class UnreachableError(LinkError):
    """The other node does not answer."""


class DeadlineError(LinkError):
    """The other node did not answer within the deadline."""


class OverloadedError(LinkError):
    """A node has more to do than it takes on: it sheds load instead of growing."""


class BundleMismatchError(LinkError):
    """The other node serves another bundle."""


class BehindError(LinkError):
    """The other node is there; one behind it cannot be asked, and nobody stands in for that."""


class RefusedError(LinkError):
    """A node does not let its caller in."""


class UnauthenticatedError(RefusedError):
    """A caller shows no token, or one that the node does not know."""


class ForbiddenError(RefusedError):
    """A caller's token has no right to what it asks for."""


class PortInUseError(LinkError):
    """The port to listen on is taken."""
