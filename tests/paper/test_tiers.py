"""Three tiers: chains beside each other, on nodes in memory; when a third pays, in words, on a page and as rows."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.cli.networks import report
from offramp.data.image_set import ImageSet, Splits
from offramp.errors import InputError
from offramp.exits.answers import Answers, tier_name
from offramp.exits.evaluation import route
from offramp.measure.predict import of_plan
from offramp.paper.reproduction import REPRODUCTION, Reproduction
from offramp.paper.reproduction_page import write_report
from offramp.paper.tiers import ALL, TIERS, Answered, Chain, ThreeTiers, World, chains_of, local_exits
from offramp.paper.tiers_page import write_tiers
from offramp.paper.tiers_run import measure_tiers
from offramp.paper.tiers_words import answer, answers, compared, conditions, rows_of, samples_csv
from reader import Reader

WORLD = World(near="lan", far="lte", device_cores=0.25)


@dataclass
class InMemory:
    """A chain in memory: asked for one sample at a time, it answers as its spans do."""

    answers: Answers
    places: dict[bytes, int]
    sent: dict[str, int]
    slower: int = 0

    def infer(self, model: str, inputs: Mapping[str, np.ndarray], timeout: float) -> Any:
        assert model == "classifier"
        (image,) = inputs.values()
        row = self.places[image.tobytes()]
        tier = tier_name(int(self.answers.tier[row]))
        outputs = {"label": self.answers.label[row : row + 1], "exit": self.answers.exit[row : row + 1]}
        sent = {f"bytes_to_{to}": size for to, size in self.sent.items() if tier != "device"}
        return SimpleNamespace(outputs=outputs | {"tier": np.array([tier.encode()], object)}, parameters=sent)


@pytest.fixture(scope="module")
def few(digits: Splits) -> ImageSet:
    return digits.test.rows(slice(24))


@pytest.fixture(scope="module")
def predicted(bundle: Bundle, few: ImageSet) -> dict[str, Answers]:
    """What each chain answers."""
    plans = chains_of(bundle.manifest)
    return {
        name: route(of_plan(bundle, plan, Engine(threads=1)).predict(few, "test"), plan) for name, plan in plans.items()
    }


@pytest.fixture(scope="module")
def found(bundle: Bundle, few: ImageSet, predicted: dict[str, Answers]) -> ThreeTiers:
    """Measured on them."""
    return measure_tiers(bundle, few, (WORLD,), 2, devices=in_memory(bundle, few, predicted))


def in_memory(bundle: Bundle, few: ImageSet, answers: dict[str, Answers]) -> Any:
    batch = bundle.manifest.preprocessing.from_uint8(few.images)  # type: ignore[union-attr]
    places = {image[None].tobytes(): row for row, image in enumerate(batch)}

    @contextmanager
    def devices(world: World, plans: Mapping[str, Plan]) -> Iterator[dict[str, Any]]:
        yield {name: InMemory(answers[name], places, {"edge": 300, "cloud": 200}) for name in plans}

    return devices


def test_every_chain_has_the_same_two_exits(bundle: Bundle) -> None:
    """And all of them can be followed."""
    first, second = local_exits(bundle.manifest)
    assert 0 < first < second < bundle.manifest.last
    plans = chains_of(bundle.manifest)
    for name, plan in plans.items():
        plan.check(bundle.manifest)
        asked = [one.exit for part in plan.tiers.values() for one in part.active]
        assert asked == ([] if name == "all in the cloud" else [first, second])
    assert list(plans[ALL].tiers) == ["device", "edge"]
    assert list(plans["all on the device"].tiers) == ["device"]
    alone = bundle.manifest.model_copy(update={"heads": bundle.manifest.heads[-1:]})
    with pytest.raises(InputError, match="a chain needs two local exits"):
        local_exits(alone)


def test_each_chain_has_a_device_in_a_container(bundle: Bundle) -> None:
    """By the plan that `--prepare` writes under its name; and the test node asks every one of them."""
    text = (Path(__file__).parents[2] / "compose.tiers.yaml").read_text("utf-8")
    names = [name.replace(" ", "-") for name in chains_of(bundle.manifest)]
    assert re.findall(r"^  (\S+): { <<: \*device, command: /suite/tiers/(\S+)\.json }", text, re.MULTILINE) == [
        (name, name) for name in names
    ]
    assert re.findall(r"--device (\S+):8001", text) == names
    assert re.findall(r"^      (\S+): { condition: service_healthy }", text, re.MULTILINE) == names


def test_each_sample_has_its_tier_its_time_and_its_bytes(found: ThreeTiers, predicted: dict[str, Answers]) -> None:
    """As the chain answered, which is as the evaluation says."""
    assert found.differing == 0
    assert [one.name for one in found.chains] == list(predicted)
    for chain in found.chains:
        expected = predicted[chain.name]
        assert [one.tier for one in chain.samples] == [tier_name(int(tier)) for tier in expected.tier]
        assert [one.exit for one in chain.samples] == expected.exit.tolist()
        assert all((one.bytes_to_edge == 300) == (one.tier != "device") for one in chain.samples)
        assert chain.percentile_ms(0.5) <= chain.percentile_ms(0.95) <= max(one.ms for one in chain.samples)
        assert sum(chain.share(tier) for tier in ("device", "edge", "cloud")) == pytest.approx(1)


def test_an_answer_that_is_not_the_evaluation_s_is_counted(
    bundle: Bundle, few: ImageSet, predicted: dict[str, Answers]
) -> None:
    """Once for each repeat."""
    other = replace(predicted[ALL], label=np.where(np.arange(24) == 3, 11, predicted[ALL].label))
    measured = measure_tiers(bundle, few, (WORLD,), 2, devices=in_memory(bundle, few, predicted | {ALL: other}))
    assert measured.differing == 2


def chain(name: str, ms: float, plan: Plan) -> Chain:
    sample = Answered(index=0, tier="edge", exit=2, right=True, ms=ms, bytes_to_edge=100, bytes_to_cloud=0)
    return Chain(world=WORLD, name=name, plan=plan, samples=(sample,))


def test_a_third_tier_pays_where_it_is_the_quickest() -> None:
    """And by how much, against the best of fewer."""
    plan = Plan.of(2, 0.3)
    one = answer(WORLD, [chain(ALL, 8.0, plan), chain("device and edge", 10.0, plan), chain("all", 30.0, plan)])
    assert one.startswith(
        "Lan to the edge, lte to the cloud; device on 0.25 of a core: a third tier pays. Three tiers "
    )
    assert "8.00 ms in the mean, 20.0 % less than the best of fewer (device and edge, 10.00 ms), with 100 and 0" in one
    other = answer(WORLD, [chain("device and edge", 10.0, plan), chain(ALL, 12.0, plan)])
    assert "a third tier does not pay. Three tiers take 12.00 ms in the mean, 20.0 % more than the best" in other
    assert answer(WORLD, [chain(ALL, 1.0, plan)]).endswith("nothing to hold a third tier against.")


def test_it_may_pay_where_no_more_of_the_network_fits(bundle: Bundle) -> None:
    """Against those alone whose device and edge run no further than by three tiers."""
    times = {
        "all on the device": 4.0,
        "device and edge": 6.0,
        ALL: 8.0,
        "edge and cloud": 16.0,
        "all in the cloud": 90.0,
    }
    plans = chains_of(bundle.manifest)
    said = answer(WORLD, [chain(name, ms, plans[name]) for name, ms in times.items()])
    assert (
        "a third tier does not pay. Three tiers take 8.00 ms in the mean, 100.0 % more than the best of fewer" in said
    )
    assert said.endswith(
        "Where device and edge have room for no more of the network than that, it pays: 50.0 % less than edge and "
        "cloud (16.00 ms)."
    )
    del times["all on the device"], times["device and edge"]
    assert "have room" not in answer(WORLD, [chain(name, ms, plans[name]) for name, ms in times.items()])


def test_what_chance_may_have_done_is_no_answer() -> None:
    """Where samples differ more among each other than the chains do."""
    plan = Plan.of(2, 0.3)
    one, other = chain(ALL, 8.0, plan), chain("device and edge", 9.0, plan)
    many = [one.samples[0].model_copy(update={"ms": ms}) for ms in (1.0, 20.0, 2.0, 9.0)]
    apart = answer(
        WORLD,
        [one.model_copy(update={"samples": tuple(many)}), other.model_copy(update={"samples": 4 * other.samples})],
    )
    assert "whether a third tier pays is not to be told from these samples. Three tiers take 8.00 ms" in apart


def test_the_report_holds_all_of_it(found: ThreeTiers, tmp_path: Path) -> None:
    """A page, the document, a figure, and a row for each sample by each chain."""
    written = [path.name for path in write_tiers(found, tmp_path)]
    assert written[:3] == ["tiers.html", TIERS, "tiers-samples.csv"]
    page = (tmp_path / "tiers.html").read_text()
    assert answers(found)[0].split(":")[0] in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert ThreeTiers.read(tmp_path / TIERS) == found
    rows = list(csv.DictReader(io.StringIO(samples_csv(found))))
    assert len(rows) == 24 * len(found.chains)
    assert {row["chain"] for row in rows} == {one.name for one in found.chains}
    assert len(rows_of(found.of(WORLD))) == len(found.chains)


def test_the_verb_report_draws_it_again(found: ThreeTiers, tmp_path: Path) -> None:
    """From the document alone."""
    found.write(tmp_path / TIERS)
    report(tmp_path, None)
    assert answers(found)[0].split(":")[0] in (tmp_path / "tiers.html").read_text("utf-8")


@pytest.fixture
def folder(found: ThreeTiers, reproduce: Callable[..., Reproduction], tmp_path: Path) -> Path:
    """Holds an evaluation of the network that the chains ran: what it costs, and no more, which is soon drawn."""
    made = reproduce(exits=(), sections=())
    (model,) = made.models
    only = model.model_copy(update={"bundle": found.bundle})
    made.model_copy(update={"models": (only,)}).write(tmp_path / REPRODUCTION)
    return tmp_path


def test_it_is_a_section_of_the_report(found: ThreeTiers, folder: Path) -> None:
    """Of the one report, where both were measured in one folder: with its verdict, its table and its picture."""
    assert 'id="tiers"' not in write_report(folder)[0].read_text("utf-8")
    write_tiers(found, folder)
    written = write_report(folder)
    text = written[0].read_text("utf-8")
    page = Reader(text)
    assert written[0].name == "report.html"
    assert folder / "figures" / "tiers.png" in written
    assert page.open == page.loaded == []
    assert len(set(page.ids)) == len(page.ids)
    assert '<a href="#tiers">' in text
    assert text.index('<h2 id="tiers">') < text.index('id="tiers-plate"') < text.index("What an exit costs")
    for said in ("Of 1 world that was measured, a third tier pays in ", *answers(found), *conditions(found).values()):
        assert page.says(said), said
    assert [tuple(row) for table in page.tables for row in table if row[0] == ALL] == [
        row for row in rows_of(found.of(WORLD)) if row[0] == ALL
    ]


def test_chains_of_another_network_are_in_no_report(found: ThreeTiers, folder: Path) -> None:
    """What lies there from before says nothing of these."""
    write_tiers(found.model_copy(update={"bundle": "of another"}), folder)
    assert 'id="tiers"' not in write_report(folder)[0].read_text("utf-8")


def test_answers_that_differ_are_an_alarm_there(found: ThreeTiers, folder: Path) -> None:
    """As those of the two tiers are."""
    write_tiers(found.model_copy(update={"differing": 1_234}), folder)
    for page in (folder / "tiers.html", write_report(folder)[0]):
        assert Reader(page.read_text("utf-8")).says("1,234 answers of the chains differ")


def test_a_multiple_is_said_as_one() -> None:
    """Five thousand percent are a number that nobody reads."""
    assert [compared(ratio) for ratio in (0.8, 1.0, 1.2, 18.02)] == [
        "20.0 % less than", "0.0 % more than", "20.0 % more than", "18 times that of",
    ]  # fmt: skip
