"""The page of an edge, in a browser: what it shows is what was asked, and it can be used without a mouse."""

import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from browser import CHROMIUM, Tab, browser
from command_line import Node
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.client.client import Client
from offramp.data.image_set import Splits
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings, EdgeSettings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

ASKED = 32


class Shown(NamedTuple):
    """A page over an edge, and what it stands on."""

    tab: Tab
    client: Client
    edge: Node
    cloud: Node


@pytest.fixture(scope="module")
def shown(bundle: Bundle, digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """An edge that was asked, before a page of it was opened and after, and its cloud."""
    common = {"bundles": (str(bundle.path),), "runtime": "onnxruntime", "precision": "fp32", "threads": 1}
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:ASKED])
    with (
        child_node(CloudSettings(**common)) as cloud,
        child_node(EdgeSettings(**common, plan=Plan.of(2, 0.3), cloud=cloud.address(), http_port=0)) as edge,
        browser(tmp_path_factory.mktemp("profile")) as tab,
        Client(edge.address()) as client,
    ):
        client.infer(pixels)
        tab.size(1200, 900)
        tab("Page.navigate", url=f"http://{edge.http_address()}/")
        tab.until("document.readyState === 'complete' && points.length > 0")
        client.infer(pixels)
        tab.until("document.querySelectorAll('#outcomes td')[1]?.textContent === '2'")
        yield Shown(tab, client, edge, cloud)


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
    assert [one for one in tab.said if "Content Security Policy" not in one] == []
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
