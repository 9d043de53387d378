"""One direction of a link, as arithmetic: who hands it bytes at a time learns when they arrive.

Pure: its time is what it is told. Knows nothing of sockets; what is shared by all connections is here.
"""

import math
import random
from collections.abc import Iterator

PACKET = 1448  # bytes of data in one TCP segment over Ethernet
PIECE = 45 * PACKET  # the most bytes that travel as one
TICK = 0.0005  # seconds that a piece of several packets takes to pass, at most
QUEUE = 0.1  # seconds of data that may wait in front of the link, as in a router's buffer
READ = 1 << 18  # the most bytes that are taken from a connection at once
WINDOW = 64 << 20  # the most bytes of one connection on their way
FAST = 10e9 / 8  # bytes/s that a link without a rate is sized for
LEAST_WAIT = 0.2  # seconds: Linux retransmits after the round trip and this (TCP_RTO_MIN)
MOST_LOSSES = 6  # of one packet in a row


class Lane:
    """A queue of one server at a rate, and a pipe behind it.

    `rate` in bits/s, None for any; `delay` and `jitter` in seconds; `loss` is a share of packets.
    """

    def __init__(
        self, rate: int | None, *, delay: float = 0.0, jitter: float = 0.0, loss: float = 0.0, seed: int = 0
    ) -> None:
        self.rate = math.inf if rate is None else rate / 8  # bytes/s
        self.delay, self.jitter, self.loss = delay, jitter, loss
        self.wait = 2 * delay + jitter + LEAST_WAIT  # before a lost packet is sent again
        self.random = random.Random(seed)
        self.free = -math.inf  # when the last byte that was handed over has passed
        self.lost: float = self._next_loss()  # how many packets from here
        rate_or_fast = min(self.rate, FAST)
        self.piece = max(PACKET, min(PIECE, int(rate_or_fast * TICK) // PACKET * PACKET))
        self.read = max(PACKET, min(READ, int(rate_or_fast * QUEUE / 4)))
        self.window = self.read + min(WINDOW, int(rate_or_fast * (QUEUE + delay + jitter)))

    def backlog(self, now: float) -> float:
        """Seconds that what waits in front of the link takes to pass."""
        return max(0.0, self.free - now)

    def passed(self, size: int, since: float) -> float:
        """When so many bytes have passed that began to at `since`."""
        return since + size / self.rate

    def behind(self, now: float) -> float:
        """Seconds that what passes now is on its way after that."""
        return self.delay + self.jitter * self.random.random()

    def cross(self, size: int, now: float) -> Iterator[tuple[int, float]]:
        """Hand over `size` bytes at `now`: each piece's bytes, and when it arrives. The end of a stream is 0 bytes.

        A piece passes when all before it, of any connection, have passed, and itself; it arrives `delay` later, plus
        the jitter, which is drawn once for bytes that come together, plus the time-outs where a packet of it is lost.
        What arrives out of order is for the receiver to put right.
        """
        after = self.behind(now)
        while True:
            piece = min(size, self.piece)
            self.free = self.passed(piece, max(self.free, now))
            yield piece, self.free + after + self._stall(-(-piece // PACKET))
            size -= piece
            if size <= 0:
                return

    def _stall(self, packets: int) -> float:
        """Seconds that a piece waits because one of its packets is lost: a time-out, doubled each time it is again."""
        if packets < self.lost:
            self.lost -= packets
            return 0.0
        self.lost = self._next_loss()
        times = 1
        while times < MOST_LOSSES and self.random.random() < self.loss:
            times += 1
        return self.wait * (2.0**times - 1)

    def _next_loss(self) -> float:
        """How many packets from here the next one is lost, from 1: a draw instead of one for every packet."""
        if not self.loss:
            return math.inf
        return 1.0 + math.floor(min(math.log(1 - self.random.random()) / math.log1p(-self.loss), 1e15))
