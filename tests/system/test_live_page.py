"""The page of an edge, in a browser: what it shows is what was asked, and it can be used without a mouse."""

import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from browser import CHROMIUM, Tab, browser
from certificates import secret
from command_line import Node
from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.client.client import Client
from offramp.data.image_set import Splits
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access
from until import until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

ASKED = 32
READER, CHIEF = "a1" * 32, "b2" * 32
PLAN = Plan.of(2, 0.3)


class Shown(NamedTuple):
    """A page over an edge, and what it stands on."""

    tab: Tab
    client: Client
    edge: Node
    cloud: Node


@pytest.fixture(scope="module")
def shown(bundle: Bundle, digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """An edge that asks for tokens and was asked, before a page of it was opened and after, and its cloud.

    The page has been shown the token of somebody who may read.
    """
    folder = tmp_path_factory.mktemp("edge")
    PLAN.write(folder / "plan.json")
    rights = f"reader read {READER}\nchief infer,read,control {CHIEF}\n"
    settings = {"plan": PLAN, "plan_file": str(folder / "plan.json"), "http_port": 0}
    settings["access"] = Access(tokens=secret(folder / "tokens", rights))
    may = Credentials(token_file=secret(folder / "token", CHIEF))
    common = {"bundles": (str(bundle.path),), "runtime": "onnxruntime", "precision": "fp32", "threads": 1}
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ASKED])
    with (
        child_node(CloudSettings(**common)) as cloud,
        child_node(EdgeSettings(**common, **settings, cloud=cloud.address())) as edge,
        browser(tmp_path_factory.mktemp("profile")) as tab,
        Client(edge.address(), credentials=may) as client,
    ):
        client.infer(pixels)
        tab.size(1200, 900)
        tab("Page.navigate", url=f"http://{edge.http_address()}/")
        tab.until("document.readyState === 'complete' && $('state').innerText === 'a token is asked for'")
        show(tab, READER)
        tab.until("points.length > 0")
        client.infer(pixels)
        tab.until("document.querySelectorAll('#outcomes td')[1]?.textContent === '2'")
        yield Shown(tab, client, edge, cloud)


def show(tab: Tab, token: str) -> None:
    """Give the page a token, as its reader does."""
    tab.run(f"$('token').value = '{token}'; $('key').requestSubmit()")


def in_force(shown: Shown, document: Plan | None = None, token: str = READER) -> Plan:
    """The plan that the edge says that it follows, after another has been put there."""
    body = None if document is None else document.to_json().encode()
    url, method = f"http://{shown.edge.http_address()}/plan", "GET" if body is None else "PUT"
    asked = urllib.request.Request(url, body, {"authorization": f"Bearer {token}"}, method=method)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return Plan.parse(answer.read(), "plan")


def test_what_was_asked_is_there_in_words_and_drawings(shown: Shown, bundle: Bundle) -> None:
    """The samples of the request that it saw, each at its score; the plan and its bundle."""
    tab = shown.tab
    text = tab.run("document.body.innerText")
    assert "exit 2, T = 0.3" in text
    assert bundle.id[:12] in text
    assert f"cloud {shown.cloud.address()}: asked (breaker closed)" in text
    said = tab.run("scores.svg.getAttribute('aria-label')").replace(",", "").split()
    assert said[:2] == ["leaves", "here"]
    assert int(said[2]) + int(said[5]) == ASKED
    assert {"edge, exit 2", "cloud, exit 9"} == set(tab.run("names"))
    stages = tab.run("[...document.querySelectorAll('#stages td:first-child')].map((one) => one.textContent)")
    assert {"wait", "decode", "local", "encode", "upstream", "respond"} == set(stages)
    heights = tab.run("[...scores.svg.querySelectorAll('rect')].map((one) => Number(one.getAttribute('height')))")
    assert heights
    assert min(heights) > 0


def test_it_is_read_and_paused_by_keys(shown: Shown) -> None:
    """An arrow puts the cursor on a point of the chart; `p` stops asking, and again goes on."""
    tab = shown.tab
    tab.run("charts[0].svg.focus()")
    tab.press("ArrowLeft")
    tab.until("document.querySelector('#samples .legend').innerText.includes('s ago')")
    tab.press("p", "p")
    assert tab.run("$('state').innerText") == "paused"
    tab.run("window.had = points.length")
    tab.run("new Promise((done) => setTimeout(done, 2500))")
    assert tab.run("points.length === window.had")
    tab.press("p", "p")
    tab.until("points.length > window.had && $('state').innerText === 'live'")


def test_a_threshold_is_tried_by_who_may_read(shown: Shown) -> None:
    """By keys, and nothing is asked for it: the share is of the scores that are drawn. It is not offered to follow."""
    tab = shown.tab
    tab.run("$('threshold').focus()")
    assert tab.run("$('threshold').value") == "0.3"
    for threshold, share in (("1", "100 %"), ("0", "0 %")):
        tab.press("End" if threshold == "1" else "Home")
        tab.until(f"$('tried').innerText === '{threshold}'")
        assert f"about {share} would leave there at {threshold}, and about" in tab.run("$('preview').innerText")
        assert f"tried {threshold}" in tab.run("scores.svg.textContent")
    drawn = tab.run("leaving(chosen(), 0.3)")
    left = tab.run("Number(scores.svg.getAttribute('aria-label').match(/leaves here (\\d+)/)[1])")
    assert abs(drawn - left / ASKED) < 0.01  # 0.3 is a bound of the histogram
    assert tab.run("$('control').checkVisibility()") is False
    assert in_force(shown) == PLAN
    with pytest.raises(urllib.error.HTTPError, match="403"):
        in_force(shown, Plan.of(2, 0.4))
    assert in_force(shown) == PLAN


def test_who_may_control_has_the_edge_follow_it_and_goes_back(shown: Shown) -> None:
    """By keys alone; the log says by whom. What is refused is said, and a reload is back at the plan of the file."""
    tab, tried = shown.tab, Plan.of(2, 0.35)
    show(tab, CHIEF)
    tab.until("$('control').checkVisibility() && opened.size === 1")
    tab.run("$('threshold').focus()")
    tab.press("Home")
    tab.until("$('back').disabled && !$('follow').disabled")
    for _ in range(35):
        tab.press("ArrowRight")
    tab.until("$('tried').innerText === '0.35'")
    tab.run("$('follow').focus()")
    tab.press("Enter", "\r")
    tab.until("$('came').innerText.startsWith('followed')")
    assert in_force(shown) == tried
    tab.until("document.querySelector('#course').innerText.includes('exit 2, T = 0.35') && !$('back').disabled")
    assert tab.run("document.activeElement.id") == "threshold"
    said = f"INFO plan: {shown.client.served.model} follows the plan {tried.model_dump_json()}"
    until(lambda: any(said in line and "'chief'" in line for line in list(shown.edge.output)))

    tab.run("$('back').focus()")
    tab.press("Enter", "\r")
    tab.until("$('came').innerText.startsWith('back') && $('back').disabled")
    assert in_force(shown) == PLAN

    dropping = Plan.of(2, 0.2, drop_threshold=0.5)
    assert in_force(shown, dropping, CHIEF) == dropping
    tab.until("$('threshold').max === '0.5' && !$('back').disabled")
    tab.run("tried = 0.9; put(changed, '')")
    tab.until("$('came').className === 'bad'")
    assert "the drop threshold must not be below" in tab.run("$('came').innerText")
    assert in_force(shown) == dropping

    shown.edge.process.send_signal(signal.SIGHUP)
    until(lambda: in_force(shown) == PLAN)
    tab.until("$('back').disabled")


def test_nothing_is_cut_off_on_a_narrow_dark_screen(shown: Shown) -> None:
    """And dark is dark."""
    shown.tab.size(360, 800, dark=True)
    assert shown.tab.run("document.documentElement.scrollWidth") <= 360
    assert shown.tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 28)"
    shown.tab.size(1200, 900)
    assert shown.tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(254, 254, 254)"


def test_nobody_looks_nobody_asks(shown: Shown) -> None:
    """A page in the background leaves the node in peace."""
    tab = shown.tab
    tab.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); 0")
    tab.run("new Promise((done) => setTimeout(done, 1500))")
    tab.run("window.had = points.length")
    tab.run("new Promise((done) => setTimeout(done, 2500))")
    assert tab.run("points.length === window.had")
    tab.run("delete document.hidden; 0")
    tab.until("points.length > window.had")


def test_it_runs_its_own_script_alone_and_without_an_error(shown: Shown) -> None:
    """What stands in another's hands is nothing to it."""
    tab = shown.tab
    tab.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.alien = 1'}))")
    assert tab.run("window.alien === undefined")
    provoked = ("Content Security Policy", "(Unauthorized)", "(Bad Request)")  # by this test and those before
    assert [one for one in tab.said if not any(words in one for words in provoked)] == []
    page = urllib.request.urlopen(f"http://{shown.edge.http_address()}/", timeout=30).read().decode()
    assert "https://" not in page.replace("https://prometheus.io", "")


def test_a_cloud_that_is_lost_is_seen_to_be(shown: Shown) -> None:
    """And that its samples are answered degraded; last, for the cloud does not come back."""
    shown.cloud.process.kill()
    shown.cloud.process.wait()
    shape = shown.client.served.shape
    shown.client.infer(np.zeros((1, *shape), np.float32), threshold=0.0)  # who is sent nothing is not missed
    shown.tab.until("document.querySelector('#outcomes').innerText.includes('degraded')")
    shown.tab.until("document.body.innerText.includes('lost, not asked (breaker open)')")


@pytest.fixture(scope="module")
def two(bundle: Bundle, digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A page over an edge of two networks, one of which was asked twice as much; they differ in their name alone."""
    other = Path(shutil.copytree(bundle.path, tmp_path_factory.mktemp("other") / "bundle"))
    Manifest.read(other / MANIFEST).model_copy(update={"model": "other"}).write(other / MANIFEST)
    plans = {"plan": Plan.of(2, 0.3, cut=bundle.manifest.last), "http_port": 0}
    common = {"bundles": (str(bundle.path), str(other)), "runtime": "onnxruntime", "precision": "fp32", "threads": 1}
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ASKED])
    with (
        child_node(EdgeSettings(**common, **plans)) as edge,
        browser(tmp_path_factory.mktemp("profile")) as tab,
        Client(edge.address()) as first,
        Client(edge.address(), model="other") as second,
    ):
        tab.size(1200, 900)
        tab("Page.navigate", url=f"http://{edge.http_address()}/")
        tab.until("document.readyState === 'complete' && points.length > 0")
        for client in (first, first, second):
            client.infer(pixels)
        tab.until("document.querySelectorAll('#outcomes td')[1]?.textContent === '3'")
        yield tab


def requests(tab: Tab) -> str:
    """How many the page has counted."""
    return str(tab.run("document.querySelectorAll('#outcomes td')[1].textContent"))


def scored(tab: Tab) -> int:
    """Samples whose scores are drawn."""
    said = tab.run("scores.svg.getAttribute('aria-label')")
    return sum(int(word) for word in said.replace(",", "").split() if word.isdigit())


def test_one_of_several_networks_is_chosen_by_keys(two: Tab, bundle: Bundle) -> None:
    """All at first; then what is counted of that one alone, in figures and drawings, and back."""
    assert two.run("[...$('network').options].map((option) => option.textContent)") == ["all networks", "mem", "other"]
    assert (requests(two), scored(two)) == ("3", 3 * ASKED)
    assert two.run("!$('choose').hidden && $('try').hidden")
    two.run("$('network').focus()")
    for key, count, name in (("ArrowDown", 2, "mem"), ("ArrowDown", 1, "other")):
        two.press(key)
        two.until(f"$('network').selectedOptions[0].textContent === '{name}'")
        assert (requests(two), scored(two)) == (str(count), count * ASKED)
        assert two.run("document.querySelectorAll('#course p').length") == 1
        assert two.run("$('h-bytes').innerText").endswith(", of all networks")
        assert "calls waiting, of all networks" in two.run("$('tiles').innerText")
        drawn, all_of_it = (
            two.run(f"points.flatMap((one) => Object.values({of})).reduce((sum, value) => sum + value, 0)")
            for of in ("charts[0].of(one)", "one.by[''].samples")
        )
        assert 0 < drawn < all_of_it
        assert two.run("$('choose').hidden && !$('try').hidden")
    two.press("Home")
    two.until("$('network').value === ''")
    assert (requests(two), scored(two)) == ("3", 3 * ASKED)


def test_what_is_chosen_stays_and_a_threshold_is_tried_of_that_one(two: Tab) -> None:
    """Though the page asks again every second; another choice lets go of what was tried."""
    two.run("$('network').focus()")
    two.press("End")
    two.until("$('network').selectedOptions[0].textContent === 'other'")
    two.run("window.had = points.length; $('threshold').focus()")
    two.press("Home")
    two.until("$('tried').innerText === '0' && points.length > window.had + 1")
    assert two.run("$('network').selectedOptions[0].textContent") == "other"
    assert two.run("tried") == 0
    two.run("$('network').focus()")
    two.press("Home")
    two.until("$('network').value === '' && tried === null")
    assert two.said == []


@pytest.mark.parametrize("answer", ["done({})", "fail(new Error('refused'))"])
def test_what_comes_of_a_plan_is_not_said_under_another_network(two: Tab, answer: str) -> None:
    """It was asked for the one that was chosen then."""
    two.run("$('network').focus()")
    two.press("End")
    two.until("$('network').selectedOptions[0].textContent === 'other'")
    two.run("window.done = undefined; window.kept = plan; 0")
    two.run("plan = () => new Promise((done, fail) => { window.done = done; window.fail = fail; }); 0")
    two.run("tried = 0.9; put(() => ({}), 'followed'); 0")
    two.until("$('came').innerText === 'asked …' && window.done !== undefined")
    two.press("ArrowUp")
    two.until("$('network').selectedOptions[0].textContent === 'mem'")
    two.run(f"tried = 0.8; {answer}; plan = window.kept; 0")
    two.until("!asking")
    assert two.run("[$('came').textContent, tried, document.activeElement.id]") == ["", 0.8, "network"]
