"""The rows for programs."""

import csv
import io
from collections.abc import Callable

from offramp.paper.reproduced import TIERS
from offramp.paper.reproduction import Reproduction
from offramp.paper.rows_csv import columns, rows_csv


def test_every_row_is_there_as_it_was(reproduction: Reproduction) -> None:
    """Setup, findings and medians, floats to the last bit, nothing where there is nothing."""
    read = list(csv.DictReader(io.StringIO(rows_csv(reproduction))))
    assert len(read) == len(reproduction.rows)
    for line, row in zip(read, reproduction.rows, strict=True):
        plan = row.setup.plan
        setup = row.setup.model_dump(exclude={"plan"}) | {"exit": row.setup.exit, "threshold": plan.threshold}
        setup |= {"cut": plan.cut, "codec": plan.codec, "drop_threshold": plan.drop_threshold}
        for field, value in setup.items():
            assert line[field] == ("" if value is None else str(value))
        for tier in TIERS:
            accuracy, middle, ends = row.outcome.right(tier), row.p50(tier), row.p50_range(tier)
            assert line[f"{tier}_accuracy"] == ("" if accuracy is None else repr(accuracy))
            assert line[f"{tier}_p50"] == ("" if middle is None else repr(middle))
            found = tuple(line[f"{tier}_p50_{end}"] for end in ("low", "high"))
            assert found == (("", "") if ends is None else tuple(map(repr, ends)))
        assert int(line["exited_locally"]) + int(line["forwarded"]) + int(line["dropped"]) == row.setup.samples
        assert int(line["degraded"]) == row.outcome.degraded
        assert int(line["bytes_to_cloud"]) == row.bytes_to_cloud
        assert line["repeats"] == "3"
    assert any(line["cloud_p50"] == "" for line in read)


def test_floats_are_read_back_the_same(reproduce: Callable[..., Reproduction]) -> None:
    """A third has no short decimal."""
    reproduction = reproduce(sections=("paper",), exits=(3,), mem=False, thresholds=(0.3,))
    (row,) = reproduction.rows
    third = row.model_copy(update={"outcome": row.outcome.model_copy(update={"overall": 1 / 3})})
    (line,) = csv.DictReader(io.StringIO(rows_csv(reproduction.model_copy(update={"rows": (third,)}))))
    assert float(line["overall_accuracy"]) == 1 / 3


def test_a_name_with_a_comma_stays_one_cell(reproduce: Callable[..., Reproduction]) -> None:
    """And a quote, and a line break."""
    reproduction = reproduce(sections=("paper",), exits=(3,), mem=False, thresholds=(0.3,))
    evil = 'a "model",\nof two lines'
    (row,) = reproduction.rows
    changed = row.model_copy(update={"setup": row.setup.model_copy(update={"model": evil})})
    (line,) = csv.DictReader(io.StringIO(rows_csv(reproduction.model_copy(update={"rows": (changed,)}))))
    assert line["model"] == evil


def test_no_rows_are_a_header(reproduce: Callable[..., Reproduction]) -> None:
    """A program reads the same columns."""
    assert rows_csv(reproduce(sections=())) == ",".join(columns()) + "\n"
