"""What `import offramp` promises."""

import subprocess
import sys

import offramp


def test_public_names_are_these() -> None:
    """A name added or removed is a decision, and this list is changed with it."""
    assert offramp.__all__ == [
        "Answers", "Bundle", "Client", "Credentials", "Edge", "LocalCloud", "OfframpError", "Plan", "RemoteCloud",
        "Tier", "__version__", "attach", "pretrained",
    ]  # fmt: skip


def test_every_public_name_is_there() -> None:
    """What is promised can be had."""
    assert [getattr(offramp, name).__name__ for name in offramp.__all__ if name != "__version__"] == [
        name for name in offramp.__all__ if name != "__version__"
    ]


def test_a_name_that_is_not_there_is_pythons_own_error() -> None:
    """`hasattr` and `from offramp import` work as everywhere."""
    assert not hasattr(offramp, "Trainer")


def test_importing_alone_costs_nothing() -> None:
    """Neither a runtime nor grpc nor numpy is loaded before it is needed."""
    code = "import sys, offramp; print([m for m in ('numpy', 'grpc', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_the_version_is_of_three_numbers_or_more() -> None:
    """A version that installers can compare."""
    major, minor, *_ = offramp.__version__.split(".")
    assert (major + minor).isdigit()
