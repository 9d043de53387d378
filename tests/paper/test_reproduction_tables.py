"""Table 1, the paper's numbers beside ours, and every row."""

from collections.abc import Callable

from offramp.paper import stated as paper
from offramp.paper.families import Family
from offramp.paper.reproduction import Reproduction
from offramp.paper.reproduction_tables import COLUMNS, beside, lines, pays, table_1
from offramp.paper.view import Point, View

Build = Callable[..., Reproduction]


def test_every_stated_number_stands_beside_ours(reproduction: Reproduction) -> None:
    """In the paper's order, with the section that it is from."""
    found = beside(View.of(reproduction))
    assert [(row.section, row.paper.split()[0]) for row in found] == [
        (s.section, f"{s.value:.{3 if s.quantity == 'overall latency' else 2}f}") for s in paper.STATED
    ]
    by_name = {row.what: row for row in found}
    rows = View.of(reproduction).rows
    sem_8 = rows[Point(Family.SEM, 8, 0.3)]
    assert by_name["SEM exit 8, T = 0.3: forwarded"].ours == f"{sem_8.outcome.count('cloud') / 100:.2f} %"
    assert by_name["SEM exit 8, T = 0.3: edge accuracy"].ours == f"{100 * (sem_8.outcome.right('edge') or 0):.2f} %"
    sem_5 = by_name["SEM exit 5, T = 0.3: overall latency"]
    assert (sem_5.paper, sem_5.ours, sem_5.spread, sem_5.difference) == (
        "3.795 ms", "2.851 ms", "2.850 to 2.852", "-0.944",
    )  # fmt: skip
    mem_2 = by_name["MEM exit 2: all at the local exit"]
    assert (mem_2.paper, mem_2.ours, mem_2.difference) == ("64.59 %", "64.00 %", "-0.59")
    assert by_name["MEM: all at the last exit"].ours == "78.00 %"
    assert by_name["SEM exit 7: all at the last exit"].ours == "90.00 %"


def test_what_was_not_measured_is_a_dash(reproduce: Build) -> None:
    """The paper's number stands alone."""
    found = beside(View.of(reproduce(exits=(), mem=False, sections=())))
    assert len(found) == len(paper.STATED)
    assert {(row.ours, row.difference, row.spread) for row in found} == {("–", "–", "")}


def test_table_1_has_the_papers_parameters_first(reproduction: Reproduction) -> None:
    """Ours beside them; what the paper does not state has a dash there."""
    rows = {row.name: (row.paper, row.ours) for row in table_1(reproduction)}
    assert rows["learning rate"] == ("0.1", "0.1")
    assert rows["momentum"] == ("0.9", "0.9")
    assert rows["weight decay"] == ("0.0001", "0.0005")
    assert rows["batch size"] == ("32", "128")
    assert rows["epochs"] == ("2000", "5")
    assert rows["training samples"] == ("50,000", "45,000")
    assert rows["test samples"] == ("10,000", "10,000")
    assert rows["trained on"] == ("Nvidia GeForce 1080Ti", "A Trainer 1")
    assert rows["nesterov"] == ("–", "yes")
    assert rows["schedule"] == ("–", "one-cycle")


def test_every_row_has_a_line(reproduction: Reproduction) -> None:
    """A cell a column, medians with the lowest and the highest repeat, dashes where nobody answered."""
    for section in ("paper", "baselines", "drop", "cores", "bandwidth", "reply"):
        found = lines(reproduction, section)
        assert len(found) == len(reproduction.section(section))
        assert {len(line.cells) for line in found} == {len(COLUMNS)}
    whole = next(line for line in lines(reproduction, "baselines") if line.cells[0] == "all in the cloud, JPEG")
    assert whole.cells[:6] == ("all in the cloud, JPEG", "–", "1,024", "loopback", "all", "")
    assert whole.cells[9] == whole.cells[12] == "–"
    split = next(line for line in lines(reproduction, "baselines") if line.cells[0] == "cascade at 5")
    assert split.cells[5] == "images to standard"
    direct = lines(reproduction, "reply")[1]
    assert direct.cells[5] == "uint8, direct reply"
    assert direct.cells[13] == "4.50 [4.50, 4.50]"
    dropping = lines(reproduction, "drop")[1]
    assert dropping.cells[5] == "fp32, drop above 0.9"


def test_of_one_repeat_no_range_is_given(reproduce: Build) -> None:
    """The median alone."""
    (line,) = lines(reproduce(repeats=1, sections=("paper",), exits=(4,), mem=False, thresholds=(0.3,)), "paper")
    assert line.cells[12:15] == ("1.80", "5.00", "2.95")


def test_rates_say_whether_a_local_exit_pays(reproduction: Reproduction) -> None:
    """With both latencies and accuracies."""
    slow, _ = pays(reproduction)
    assert slow.rate == "1"
    assert (slow.best, slow.close, slow.verdict) == ("SEM-6", "–", "pays")
    assert slow.local == "SEM-6: 3.00 ms, 84.50 %"
    assert slow.other.startswith("all at the edge: ")
