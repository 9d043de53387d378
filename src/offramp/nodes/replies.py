"""Direct reply: the cloud's answers go straight to the client, over a stream which the client opened (the paper's way).

A client asks the cloud's model `replies` with a `token` of its own and keeps the stream open. The edge's requests carry
that token; the tail's logits go out on the stream, with the rows they belong to, and the edge gets an empty answer.
"""

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace

from offramp.errors import InputError, OverloadedError
from offramp.nodes.contract import REPLIES, ROW, TOKEN
from offramp.protocol.served import Call, Result, TensorSpec

TOKEN_LEAST = 16  # characters: a token is a secret between client, edge and cloud
STREAMS = 32  # open at once; each holds a thread
HELD = 1_000  # results that a client has not taken yet, before it is given up
LOOK = 0.5  # seconds between looks at whether the client is still there


class Replies:
    """The streams that clients opened, as a model on the cloud's server."""

    def __init__(self, version: str) -> None:
        self.name, self.version = REPLIES, version
        self.inputs: tuple[TensorSpec, ...] = ()
        self.outputs = (TensorSpec(ROW, "INT64", (-1,)),)
        self.config = {"kind": "direct replies"}
        self.streams: dict[str, queue.Queue[Result]] = {}
        self.changing = threading.Lock()

    def prepare(self) -> None:
        """Nothing has to be opened."""

    def infer(self, call: Call) -> Result:
        """Refuse: a reply that nobody waits for cannot be sent later."""
        raise InputError("replies: open it with the streaming call (ModelStreamInfer), and keep the stream open.")

    def stream(self, call: Call) -> Iterator[Result]:
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
            waiting = self.streams[token] = queue.Queue(HELD)
        try:
            yield Result({}, {"open": True}, last=False)
            while not call.cancelled.is_set():
                try:
                    yield replace(waiting.get(timeout=LOOK), last=False)  # of this stream: another may always come
                except queue.Empty:
                    continue
        finally:
            with self.changing:
                del self.streams[token]

    def send(self, token: str, result: Result) -> None:
        """Give a result to the client of a token; InputError where there is none, or it takes nothing any more."""
        waiting = self.streams.get(token)
        if waiting is None:
            raise InputError(
                "parameter 'reply_to': no stream is open here under this token. Open one to the cloud's model "
                "'replies' first; a cloud with several workers offers none."
            )
        try:
            waiting.put_nowait(result)
        except queue.Full:
            raise OverloadedError(f"replies: the client has left {HELD} results untaken.") from None
