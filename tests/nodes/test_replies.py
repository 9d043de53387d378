"""The streams of clients that are answered directly: what comes for a token, when it is too much, and how one ends."""

import numpy as np
import pytest

from offramp.errors import InputError, OverloadedError
from offramp.nodes.contract import ROW, TOKEN, Reply
from offramp.nodes.replies import HELD, STREAMS, Replies
from offramp.protocol.served import Call, Pending, Result

SECRET = "0123456789abcdef"


def opening(token: str = SECRET) -> Call:
    """A client's request."""
    return Call({}, {TOKEN: token})


def row(number: int) -> Result:
    """An answer to it."""
    return Result({ROW: np.array([number])})


def taken(part: Result | Pending) -> int:
    """The row of a part that is there."""
    assert isinstance(part, Pending)
    assert part.answer.done()
    result = part.finish()
    assert not result.last  # another may always come
    return int(result.outputs[ROW][0])


def test_results_come_in_the_order_in_which_they_were_sent() -> None:
    """Those that came before they were asked for, and those that are awaited; first one that says it is open."""
    replies = Replies("1")
    stream = replies.stream(opening())
    assert next(stream) == Result({}, {"open": True, "tier": "cloud"}, last=False)
    for number in range(3):
        replies.send(SECRET, row(number))
    assert [taken(next(stream)) for _ in range(3)] == [0, 1, 2]
    awaited = next(stream)
    assert isinstance(awaited, Pending)
    assert not awaited.answer.done()
    replies.send(SECRET, row(3))
    assert taken(awaited) == 3


def test_a_client_that_takes_nothing_is_given_up() -> None:
    """Who takes one has room for one."""
    replies = Replies("1")
    stream = replies.stream(opening())
    next(stream)
    for number in range(HELD):
        replies.send(SECRET, row(number))
    with pytest.raises(OverloadedError, match="the client has left 1000 results untaken"):
        replies.send(SECRET, row(HELD))
    assert taken(next(stream)) == 0
    replies.send(SECRET, row(HELD))


def test_a_token_is_free_again_when_its_stream_is_closed() -> None:
    """And nothing can be sent to it meanwhile; twice at once it cannot be open."""
    replies = Replies("1")
    stream = replies.stream(opening())
    next(stream)
    with pytest.raises(InputError, match="a stream is open under it already"):
        next(replies.stream(opening()))
    next(stream)  # is awaited
    stream.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(InputError, match="no stream is open here under this token"):
        replies.send(SECRET, row(0))
    next(replies.stream(opening()))


def test_a_stream_whose_client_has_just_gone_takes_nothing() -> None:
    """Between the client's end and the stream's."""
    replies = Replies("1")
    stream = replies.stream(opening())
    next(stream)
    awaited = next(stream)
    assert isinstance(awaited, Pending)
    assert awaited.answer.cancel()
    with pytest.raises(InputError, match="the stream under this token has just ended"):
        replies.send(SECRET, row(0))


def test_streams_are_bounded() -> None:
    """So is what a client may claim of a node."""
    replies = Replies("1")
    streams = [replies.stream(opening(f"{number:016}")) for number in range(STREAMS)]
    for stream in streams:
        next(stream)
    with pytest.raises(OverloadedError, match="32 streams are open, the most there can be"):
        next(replies.stream(opening()))


def test_a_request_says_whom_to_answer() -> None:
    """By the stream's token and the client's own name for it; most say nothing."""
    assert Reply.of(Call({})) is None
    assert Reply.of(Call({}, {"reply_to": SECRET})) == Reply(SECRET, "")
    assert Reply.of(Call({}, {"reply_to": SECRET, "reply_as": "4"})) == Reply(SECRET, "4")
