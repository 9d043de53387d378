"""How the process of a node starts: without what only costs time then; and how it comes to rest once it is ready.

Loads nothing of a node: it is called before that.
"""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def starting() -> Iterator[None]:
    """For what is loaded meanwhile: no search for garbage, until `settle`, and no threads for numpy's linear algebra.

    The search took an eighth of the imports' time and found nothing; starting the threads took another, and a node
    multiplies no matrices in numpy. Who has said how many there are to be is heeded.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle() -> None:
    """What is there now stays: the search for garbage passes it over from now on, and what is free goes back."""
    gc.enable()
    gc.freeze()
    with suppress(AttributeError):  # of glibc alone
        ctypes.CDLL(None).malloc_trim(0)
