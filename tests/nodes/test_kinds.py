"""Nodes of networks that take text or values: the same answers by every way that a batch may come."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

import offramp
from kinds import CLASSES, TEXT, VALUES, bundle_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.bench.drive import drive
from offramp.data.image_set import ImageSet
from offramp.errors import ArtifactDamagedError, InputError
from offramp.exits.answers import Answers
from offramp.exits.evaluation import route
from offramp.measure.predict import of_bundle
from offramp.nodes.auditor import Auditor
from offramp.nodes.cloud import tails
from offramp.nodes.contract import CONSUMED
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.edge_process import _more_than_the_image
from offramp.nodes.inputs import by_form
from offramp.nodes.local_cloud import LocalCloud
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access, Door
from offramp.protocol.server import Server
from offramp.protocol.tensors import objects
from until import until

WORDS = ["the good end", "bad", "a b c the end of it", "Good good good good good good", "naïve c"]
READINGS = np.random.default_rng(1).normal(size=(5, 2, 4)).astype(np.float32)


@pytest.fixture(scope="module", params=["text", "values"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network of each kind."""
    if request.param == "text":
        pytest.importorskip("tokenizers")
    return bundle_of(TEXT if request.param == "text" else VALUES, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def samples(bundle: Bundle) -> np.ndarray:
    """A batch as a data set holds it."""
    return objects(WORDS) if bundle.manifest.preprocessing.kind == "text" else READINGS


@pytest.fixture(scope="module")
def plan(bundle: Bundle) -> Plan:
    """By which some leave at the edge and some go on."""
    batch = bundle.read(objects(WORDS) if bundle.manifest.preprocessing.kind == "text" else READINGS)
    scores = np.sort(Edge(bundle, Plan.of(1, 1.0), LocalCloud(bundle), threads=1).infer(batch).score)
    return Plan.of(1, float(scores[1:3].mean()))


@pytest.fixture
def expected(bundle: Bundle, plan: Plan, samples: np.ndarray) -> Answers:
    """What predictions say."""
    of = ImageSet("a few", samples, np.zeros(5, np.int64), CLASSES, np.arange(5), mirrors=False)
    answers = route(of_bundle(bundle).predict(of, "test"), plan)
    assert set(answers.exit.tolist()) == {1, 2}
    return answers


@pytest.fixture(scope="module")
def node(bundle: Bundle, plan: Plan) -> Iterator[Server]:
    """An edge on a server, and its cloud on another."""
    with ExitStack() as stack:
        cloud = Server(tails(bundle), "127.0.0.1", 0, max_batch=64)
        edge = Edge(bundle, plan, _started(stack, cloud).address, threads=1)
        server = Server([EdgeModel(edge)], "127.0.0.1", 0, max_batch=64, http_port=0, consumed=CONSUMED)
        yield _started(stack, server)


def _started(stack: ExitStack, server: Server) -> Server:
    server.start()
    stack.callback(server.stop, 0)
    return server


def same(answers: Answers, expected: Answers) -> None:
    """Whether all is as it should be."""
    assert answers.label.tolist() == expected.label.tolist()
    assert answers.exit.tolist() == expected.exit.tolist()
    np.testing.assert_allclose(answers.score, expected.score, atol=1e-6)


def test_an_edge_answers_as_predicted(bundle: Bundle, plan: Plan, samples: np.ndarray, expected: Answers) -> None:
    """Of what a data set holds, and of what the network takes; whole on the edge too."""
    edge = Edge(bundle, plan, LocalCloud(bundle), threads=1)
    same(edge.infer(samples), expected)
    same(edge.infer(list(samples) if samples.dtype == np.object_ else samples), expected)
    same(edge.infer(bundle.read(samples)), expected)
    name = bundle.manifest.preprocessing.name
    same(edge.infer({name: samples}), expected)
    with pytest.raises(InputError, match=f"expected exactly one, '{name}', got image"):
        edge.infer({"image": samples})


def test_a_client_is_answered_whole_and_in_parts(
    node: Server, bundle: Bundle, samples: np.ndarray, expected: Answers
) -> None:
    """It asks the edge what that takes; a list of strings is a batch."""
    batch = samples.tolist() if samples.dtype == np.object_ else samples
    with offramp.Client(node.address) as client:
        same(client.infer(batch), expected)
        parts = list(client.stream(batch))
        assert sorted(row for part in parts for row in part.rows.tolist()) == list(range(5))
        assert client.served.takes == bundle.manifest.preprocessing


@pytest.mark.parametrize("way", ["grpc", "http", "http with JSON"])
def test_tritonclient_is_answered(way: str, node: Server, samples: np.ndarray, expected: Answers) -> None:
    """By BYTES of strings and by FP32, in both protocols, in binary and in JSON."""
    http = way != "grpc"
    module: Any = tritonclient.http if http else tritonclient.grpc
    text = samples.dtype == np.object_
    name, datatype = ("text", "BYTES") if text else ("values", "FP32")
    tensor = module.InferInput(name, list(samples.shape), datatype)
    sent = objects([one.encode() for one in samples]) if text else samples
    tensor.set_data_from_numpy(sent, **({"binary_data": way == "http"} if http else {}))
    assert node.http is not None
    address = node.http.address if http else node.address
    client = module.InferenceServerClient(address)
    try:
        metadata = client.get_model_metadata("classifier", **({} if http else {"as_json": True}))
        assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [(name, "FP32")]
        answer = client.infer("classifier", [tensor])
    finally:
        client.close()
    assert answer.as_numpy("label").tolist() == expected.label.tolist()
    assert answer.as_numpy("exit").tolist() == expected.exit.tolist()


def test_the_edge_says_what_it_takes(bundle: Bundle, plan: Plan) -> None:
    """In its configuration, as words and as the document."""
    config = EdgeModel(Edge(bundle, plan, LocalCloud(bundle), threads=1)).config
    takes = bundle.manifest.preprocessing
    assert json.loads(config[f"{takes.name}_forms"]) == takes.forms
    assert json.loads(config["takes"]) == json.loads(takes.model_dump_json())


def test_a_load_is_driven(node: Server, bundle: Bundle, samples: np.ndarray, expected: Answers) -> None:
    """Strings go as they are."""
    with offramp.Client(node.address) as client:
        sent = objects([one.encode() for one in samples]) if samples.dtype == np.object_ else samples
        driven = drive(client.edge, sent, batch_size=2, name=bundle.manifest.preprocessing.name, warm_up=0)
    same(driven.answers, expected)


def test_an_audit_asks_the_cloud_in_fp32(bundle: Bundle, plan: Plan, samples: np.ndarray) -> None:
    """8 bits hold no token ids, and no readings."""
    cloud = LocalCloud(bundle)
    edge = Edge(bundle, plan, cloud, threads=1)
    auditor = Auditor(edge, cloud, 1.0, lambda _: (0.5, 0.1), lambda *_: None)
    auditor.start()
    edge.infer(samples)
    until(lambda: auditor.agreed + auditor.disagreed == len(samples))
    auditor.close()
    assert auditor.left_out == 0


@pytest.mark.parametrize("codec", ["uint8", "fp16"])
def test_the_input_crosses_in_its_own_codecs(
    bundle: Bundle, codec: str, samples: np.ndarray, expected: Answers
) -> None:
    """Token ids in fp32 alone, values in fp16 too, where the answers differ little."""
    plan = Plan.checked(active=(), cut=0, codec=codec)
    if codec in bundle.manifest.preprocessing.codecs:
        answers = Edge(bundle, plan, LocalCloud(bundle), threads=1).infer(samples)
        np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1, atol=1e-6)
        return
    with pytest.raises(InputError) as caught:
        Edge(bundle, plan, LocalCloud(bundle), threads=1)
    name = bundle.manifest.preprocessing.name
    assert str(caught.value) == (
        f"codec {codec}: at cut 0 of-{bundle.manifest.preprocessing.kind} takes {name}, which {codec} cannot hold. "
        f"Choose {' or '.join(bundle.manifest.cut(0).codecs)}."
    )


def test_more_than_what_came_is_said(bundle: Bundle) -> None:
    """Where the features at the cut are larger."""
    edge = Edge(bundle, Plan.of(1, 0.5), LocalCloud(bundle), threads=1)
    said = _more_than_the_image(edge)
    if bundle.manifest.preprocessing.kind == "text":  # five ids, six features
        assert said is not None
        assert said.endswith("is 24 bytes a sample, and the text itself 20. Over a thin link, --cut 0 --codec fp32 "
                             "sends less.")  # fmt: skip
    else:
        assert said is not None
        assert "the sample itself 16. Over a thin link, --cut 0 --codec fp16" in said


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "expected a NumPy array, float32 (N, 5) or a list of strings, got a list. Make one array of it."),
        ("good", "expected a NumPy array, float32 (N, 5) or a list of strings, got one str. Put it into a list: "
         "[text]."),
        (np.zeros((1, 5), np.int64), "expected float32 (FP32), got int64. Convert token ids: "
         "ids.astype(numpy.float32), or send strings."),
        (objects([b"\xff"]), "sample 0: not UTF-8 (invalid start byte at byte 0). Decode it by its own encoding, and "
         "send it as UTF-8."),
        (["\ud800"], "sample 0: '\\ud800' at 0 is half a character."),
        (objects([]), "the batch is empty (N = 0). Send at least one sample."),
        (objects(["a", "b"]).reshape(1, 2), "expected strings of shape (N,), got (1, 2)."),
    ],
)  # fmt: skip
def test_what_is_no_batch_of_text_is_refused(
    batch: object, message: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By what is wrong with it, before anything runs."""
    pytest.importorskip("tokenizers")
    bundle = bundle_of(TEXT, tmp_path_factory.mktemp("text"))
    edge = Edge(bundle, Plan.of(1, 0.5), LocalCloud(bundle), threads=1)
    with pytest.raises(InputError, match=f"^text: {re.escape(message)}$"):
        edge.infer(batch)  # type: ignore[arg-type]


def test_a_tokenizer_is_a_file_of_the_bundle(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Checked against the manifest as the graph is."""
    folder = tmp_path_factory.mktemp("text")
    bundle_of(TEXT, folder)
    (folder / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(ArtifactDamagedError, match=r"tokenizer\.json: expected"):
        Bundle.open(folder)


def test_token_ids_need_no_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither its file nor its library."""
    takes = TEXT.model_copy(update={"tokenizer": False})
    bundle = bundle_of(takes, tmp_path_factory.mktemp("ids"))
    edge = Edge(bundle, Plan.of(1, 0.5), LocalCloud(bundle), threads=1)
    assert len(edge.infer(np.array([[1, 2, 3, 0, 0]], np.float32))) == 1
    assert EdgeModel(edge).inputs[0].forms == ()
    with pytest.raises(InputError, match=r"^text: expected a NumPy array, float32 \(N, 5\), got a list"):
        edge.infer(["a string"])  # type: ignore[arg-type]


def test_another_network_s_tokenizer_is_another(bundle: Bundle, plan: Plan, samples: np.ndarray) -> None:
    """Ids of one would be words of no sense to the other; values are what they are."""
    edge = Edge(bundle, Plan.checked(active=(), cut=0, codec="fp32"), LocalCloud(bundle), threads=1)
    expected = "another network has another tokenizer" if samples.dtype == np.object_ else "in the same process"
    with pytest.raises(InputError, match=expected):
        edge.infer(samples, cloud_version="b" * 32)


def test_a_token_that_may_not_read_is_answered(
    bundle: Bundle, plan: Plan, samples: np.ndarray, expected: Answers, tmp_path: Path
) -> None:
    """The client asks once what the edge takes, is refused, and goes by what it has."""
    token = "asker-token-of-this-test-0123456789abcdef"
    for name, content in (("tokens", f"asker infer {token}\n"), ("token", token)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    model = EdgeModel(Edge(bundle, plan, LocalCloud(bundle), threads=1))
    door = Door(Access(tokens=str(tmp_path / "tokens")), "127.0.0.1")
    with ExitStack() as stack:
        server = _started(stack, Server([model], "127.0.0.1", 0, max_batch=64, consumed=CONSUMED, door=door))
        client = offramp.Client(server.address, credentials=Credentials(token_file=str(tmp_path / "token")))
        with client:
            batch = samples.tolist() if samples.dtype == np.object_ else samples
            same(client.infer(batch), expected)
            assert not client.may_read
            assert sum(len(part.rows) for part in client.stream(batch)) == len(samples)


def test_a_batch_says_what_it_is_for() -> None:
    """As far as it can: an image has four dimensions."""
    assert by_form(np.zeros((1, 3, 4, 4), np.float32))[0] == "image"
    assert by_form(np.zeros((1, 8), np.float32))[0] == "values"
    assert by_form(["a", "b"])[0] == "text"
    with pytest.raises(InputError, match="Stack arrays"):
        by_form([np.zeros(3)])
