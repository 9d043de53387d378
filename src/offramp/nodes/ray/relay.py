"""A tail on the front of a cluster: checks what comes as the tail itself would, and has a replica compute it."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial

from offramp.artifacts.bundle import Bundle
from offramp.errors import InputError, LinkError
from offramp.nodes.cloud import Tail
from offramp.nodes.contract import Reply
from offramp.nodes.features import check_features
from offramp.nodes.ray.balance import Balance
from offramp.nodes.replied import check_logits
from offramp.protocol.served import Call, Pending, Result
from offramp.protocol.tensors import write_request

LONGEST = 600.0  # seconds for a request that sets no deadline


class Relay(Tail):
    """One tail. Its metadata are a tail's, and its configuration that of the replicas."""

    def __init__(self, bundle: Bundle, boundary: int, codec: str, balance: Balance, config: Mapping[str, str]) -> None:
        super().__init__(bundle, boundary, codec)  # type: ignore[arg-type]  # a codec by the manifest
        self.balance = balance
        self.config |= config

    def prepare(self) -> None:
        """The replicas open it when it is first asked."""

    def infer(self, call: Call) -> Pending:  # type: ignore[override]  # a tail answers at once
        """Have a replica finish a batch of features."""
        if Reply.of(call) is not None:
            raise InputError("parameter 'reply_to': a cloud on a cluster sends no direct replies. Leave it out.")
        tensors = call.tensors(*self.sources)
        check_features(self.inputs, tensors)
        request = write_request(self.name, self.version, dict(zip(self.sources, tensors, strict=True)))
        sent = self.balance.begin(request, LONGEST if call.timeout is None else call.timeout, call.record.onward())
        return Pending(sent, partial(self._heard, len(tensors[0]), sent))

    def _heard(self, rows: int, sent: "Future[Result]") -> Result:
        try:
            result = sent.result()
        except InputError as error:  # it has been checked here: it is no fault of who asks
            raise LinkError(f"a replica does not take what this node sends it: {error}") from error
        (output,) = self.outputs
        logits = check_logits("a replica", self.target, result.outputs.get(self.target), rows, output.shape[1])
        return Result({self.target: logits}, by={self.kind: rows})

    def stream(self, call: Call) -> Iterator[Pending]:  # type: ignore[override]
        """The same, in one part."""
        yield self.infer(call)


def relays(bundles: Iterable[Bundle], balance: Balance, config: Mapping[str, str]) -> list[Relay]:
    """Every tail of some bundles, in every codec."""
    return [
        Relay(bundle, cut.boundary, codec, balance, config)
        for bundle in bundles
        for cut in bundle.manifest.cuts
        for codec in cut.codecs
    ]
