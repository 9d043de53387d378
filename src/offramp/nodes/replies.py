"""Direct reply: the cloud's answers go straight to the client, over a stream which the client opened (the paper's way).

A client asks the cloud's model `replies` with a `token` of its own and keeps the stream open. The edge's requests carry
that token; the tail's logits go out on the stream, with the rows they belong to, and the edge gets an empty answer.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace

from offramp.artifacts.outcome import LAST_TIER
from offramp.errors import InputError, OverloadedError, UnreachableError
from offramp.nodes.contract import REPLIES, ROW, TIER, TOKEN
from offramp.protocol.served import Call, Pending, Result, TensorSpec
from offramp.protocol.streams import STOPPING

TOKEN_LEAST = 16  # characters: a token is a secret between client, edge and cloud
STREAMS = 32  # open at once
HELD = 1_000  # results that a client has not taken yet, before it is given up


class Replies:
    """The streams that clients opened, as a model on the cloud's server."""

    def __init__(self, version: str, tier: str = LAST_TIER) -> None:
        self.name, self.version, self.tier = REPLIES, version, tier
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs = (TensorSpec(ROW, "INT64", (-1,)),)
        self.config = {"kind": "direct replies"}
        self.streams: dict[str, deque[Future[Result]]] = {}  # what is untaken, and the next, which is awaited
        self.changing = threading.Lock()

    def prepare(self) -> None:
        """Nothing has to be opened."""

    def infer(self, call: Call) -> Result:
        """Refuse: a reply that nobody waits for cannot be sent later."""
        raise InputError("replies: open it with the streaming call (ModelStreamInfer), and keep the stream open.")

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Give what comes for the client's token until it goes; first an empty result that says the stream is open."""
        token = call.parameters.get(TOKEN)
        if not isinstance(token, str) or len(token) < TOKEN_LEAST:
            raise InputError(
                f"parameter 'token': expected a string of at least {TOKEN_LEAST} characters, got {token!r}."
            )
        with self.changing:
            if token in self.streams:
                raise InputError("parameter 'token': a stream is open under it already. Choose a random one.")
            if len(self.streams) >= STREAMS:
                raise OverloadedError(f"replies: {STREAMS} streams are open, the most there can be. Come back later.")
            answers = self.streams[token] = deque([Future()])
        try:
            yield Result({}, {"open": True, TIER: self.tier}, last=False)
            while True:  # until the client goes, and this is closed; another may always come
                yield Pending(answers[0], lambda: replace(answers.popleft().result(), last=False))
        finally:
            with self.changing:
                self.streams.pop(token, None)

    def send(self, token: str, result: Result) -> None:
        """Give a result to the client of a token; InputError where there is none, or it takes nothing any more."""
        with self.changing:
            answers = self.streams.get(token)
            if answers is None:
                raise InputError(
                    "parameter 'reply_to': no stream is open here under this token. Open one to the cloud's model "
                    "'replies' first; a cloud with several workers offers none."
                )
            if len(answers) > HELD:
                raise OverloadedError(f"replies: the client has left {HELD} results untaken.")
            if not answers[-1].set_running_or_notify_cancel():
                raise InputError("parameter 'reply_to': the stream under this token has just ended.")
            answers.append(Future())
            answers[-2].set_result(result)

    @property
    def listeners(self) -> int:
        """Clients whose streams are open."""
        return len(self.streams)

    def close(self) -> None:
        """End each stream behind what has been sent, as that of a node that stops."""
        with self.changing:
            ended, self.streams = self.streams, {}
        for answers in ended.values():
            if answers[-1].set_running_or_notify_cancel():
                answers[-1].set_exception(UnreachableError(STOPPING))
