"""Whose a run's folder is, where several machines write to one storage."""

from pathlib import Path

import pytest

from offramp.errors import TrainingError
from offramp.suite.lease import Lease, begun


def test_who_begins_later_has_the_run_and_who_began_before_leaves_it(tmp_path: Path) -> None:
    """Also where it is only cut off, and comes back; what each began with is kept."""
    folder = tmp_path / "runs" / "one"
    first = Lease(folder, "10.0.0.1", 0)
    first.step(1, 10, 0.5)
    second = Lease(folder, "10.0.0.2", 3)
    second.step(1, 10, 0.5)
    with pytest.raises(TrainingError, match="another machine goes on"):
        first.check()
    assert [(one["machine"], one["from_epoch"]) for one in begun(folder)] == [("10.0.0.1", 0), ("10.0.0.2", 3)]
    assert begun(tmp_path) == []
