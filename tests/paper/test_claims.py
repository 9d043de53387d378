"""The paper's claims against suites in which they hold, and in which they do not."""

from offramp.paper.claims import claims, published
from suites import build_suite


def test_each_claim_is_held_against_each_regime() -> None:
    """Four of them, under joint training and under distillation."""
    found = claims(build_suite())
    assert [claim.regime for claim in found] == ["joint"] * 4 + ["distill"] * 4
    assert len({claim.says for claim in found}) == 4


def test_claims_hold_where_the_mem_is_three_points_below() -> None:
    """At every exit, in both seeds: SEM-3 76 % against 75 %; at T = 0.3 exit 8 is 3 points below."""
    every, later, _, overall = claims(build_suite())[:4]
    assert (every.holds, every.settled, later.holds) == (True, True, True)
    assert every.found.startswith("MEM below at 4 of 4 exits; from -3.00 (-3.00 to -3.00 over 2 seeds) at exit ")
    assert later.found == "SEM-3 − MEM: +1.00 (+1.00 to +1.00 over 2 seeds)"
    assert overall.found == "MEM − SEM: -3.00 (-3.00 to -3.00 over 2 seeds)"
    assert (overall.in_paper, overall.holds) == ("86.10 against 92.04 %, -5.94 points", True)


def test_claims_fail_where_the_mem_is_above() -> None:
    """Said as plainly."""
    every, later, edge, overall = claims(build_suite())[4:]
    assert [claim.holds for claim in (every, later, edge, overall)] == [False] * 4
    assert every.found.startswith("MEM below at 0 of 4 exits")


def test_a_claim_whose_sides_were_not_trained_is_left_out() -> None:
    """Neither held nor broken."""
    assert [claim.says for claim in claims(build_suite(models=("sem-2", "mem"), regimes=("joint",)))] == [
        "At the same exit the SEM is more accurate than the MEM"
    ]
    assert claims(build_suite(models=("sem-2",))) == []


def test_seeds_that_do_not_agree_leave_a_claim_open() -> None:
    """In one of both the MEM is above."""
    suite = build_suite(points={"joint": -0.1}, regimes=("joint",))
    above = [
        run.model_copy(update={"test_accuracy": {k: value + 0.002 for k, value in run.test_accuracy.items()}})
        if (run.key.model, run.key.seed) == ("mem", 1)
        else run
        for run in suite.runs
    ]
    every = claims(suite.model_copy(update={"runs": tuple(above)}))[0]
    assert not every.settled
    assert "(-0.10 to +0.10 over 2 seeds)" in every.found
    assert claims(suite)[0].settled
    assert not claims(build_suite(seeds=(0,)))[0].settled


def test_numbers_stand_beside_those_of_the_same_data_alone() -> None:
    """The claims are held against any."""
    suite = build_suite()
    same, other = published(suite), published(suite.model_copy(update={"classes": ("cat", "dog")}))
    assert (same.comparable, same.mem_last) == (True, 88.58)
    assert (same.sem, same.mem) == ({2: 72.65, 3: 77.76, 6: 88.92, 7: 90.98}, {2: 64.59, 4: 76.06})
    assert (other.comparable, other.sem, other.mem, other.mem_last, other.frontier) == (False, None, None, None, None)
    assert other.claims == same.claims == tuple(claims(suite))
