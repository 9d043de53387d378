"""How many threads a runtime gets, and what a measurement says of the machine."""

import os
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from offramp.machine import commit, cores_to_use, here, instructions, processor, processor_kind

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


def test_conditions_are_of_this_machine_now() -> None:
    """The date is now with its time zone, and the cores are real."""
    found = here()
    age = datetime.now().astimezone() - datetime.fromisoformat(found["date"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert found["cores"] >= 1
    assert found["commit"] == commit()
    assert found["hardware"] == processor() != ""


def test_the_commit_is_the_checkouts() -> None:
    """Twelve digits of git's own answer, `+` where files differ from it."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert commit().rstrip("+") == head.stdout[:12]
    assert re.fullmatch(r"[0-9a-f]{12}\+?", commit())


def test_a_kind_of_processor_is_its_name_and_what_kernels_are_chosen_by(tmp_path: Path) -> None:
    """Two virtual machines of one name and other instruction sets are two kinds; an ARM core has no name here."""
    cpuinfo = tmp_path / "cpuinfo"
    first, second = "model name\t: AMD EPYC\nflags\t\t: fpu avx2 fma\n", "model name\t: another\nflags\t\t: amx_bf16\n"
    cpuinfo.write_text(f"{first}\n{second}")
    assert processor_kind(cpuinfo) == "AMD EPYC avx2 fma"
    assert instructions(cpuinfo) == {"fpu", "avx2", "fma"}
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert processor_kind(cpuinfo).endswith(" asimd asimddp")
    assert instructions(tmp_path / "missing") == frozenset()
    assert processor_kind(tmp_path / "missing").strip()
