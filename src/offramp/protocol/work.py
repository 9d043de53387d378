"""The work of one call, on a pool and off it: a thread computes, and no thread waits for what others are asked for.

Takes a generator that yields results, and before them what they need: futures. Knows no front and no model.
"""

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Steps = Generator[
    Future[Any] | T, None, None
]  # a future is yielded to be waited for: it is done when the next is asked


class Work(Generic[T]):
    """`steps(*arguments, gone)`, advanced on a pool; `gone` is set when nobody wants the rest."""

    def __init__(self, pool: Executor, steps: Callable[..., Steps[T]], *arguments: Any) -> None:
        self.pool, self.gone = pool, threading.Event()
        self.steps = steps(*arguments, self.gone)
        self.step: Future[Any] | None = None

    async def result(self) -> T | None:
        """The next result; None after the last. Raises what the steps raise."""
        while True:
            self.step = self.pool.submit(next, self.steps, None)
            found: Future[Any] | T | None = await asyncio.wrap_future(self.step)
            if not isinstance(found, Future):
                return found
            await _done(found)

    def close(self) -> None:
        """Take nothing more of it: a step that nobody has begun is not, one that runs ends before the steps close."""
        self.gone.set()
        if self.step is not None:
            self.step.add_done_callback(lambda _: self.steps.close())


async def _done(answer: Future[Any]) -> None:
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(arrived.set)

    answer.add_done_callback(tell)
    await arrived.wait()
