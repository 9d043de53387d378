"""How many threads a runtime gets."""

import os
from pathlib import Path

import pytest

from offramp.machine import cores_to_use

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def test_a_number_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    """More than there are cores, too: that is the user's to say."""
    assert cores_to_use(7, tmp_path / "missing") == 7


@pytest.mark.parametrize("quota", ["max 100000\n", "", "800000000 100000\n"])
def test_zero_is_every_core_of_this_process(tmp_path: Path, quota: str) -> None:
    """Without a quota, or with one above the cores that there are."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores_to_use(0, file) == cores_to_use(0, tmp_path / "missing") == HERE


@pytest.mark.parametrize("quota", ["100000 100000\n", "50000 100000\n"])
def test_a_container_gets_what_it_pays_for(tmp_path: Path, quota: str) -> None:
    """A quota of one core or half of one is one thread, however many cores the machine has."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores_to_use(0, file) == 1
