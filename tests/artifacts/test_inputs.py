"""What a network takes: three documents, and what each makes of a batch."""

import re
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from offramp.artifacts.inputs import Input, read_samples
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.self_test import SAMPLES, self_test_images
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.errors import InputError, MissingExtraError
from wordlist import WORDS, tokenizer

INPUT: TypeAdapter[Input] = TypeAdapter(Input)
IMAGES = Preprocessing(channels=3, height=4, width=5)
VALUES = Values(shape=(2, 7))
TEXT = Text(length=4, vocabulary=len(WORDS))


def strings(*texts: object) -> np.ndarray:
    """A batch as a data set holds it."""
    found = np.empty(len(texts), np.object_)
    found[:] = texts
    return found


def test_the_document_of_images_is_as_it_was() -> None:
    """Nothing new is written where nothing new is said: bundles keep their ids."""
    assert IMAGES.model_dump_json() == (
        '{"channels":3,"height":4,"width":5,"layout":"NCHW","scale":0.00392156862745098,"low":0.0,"high":1.0}'
    )


CUT_OUT = IMAGES.model_copy(update={"side": 6, "filter": "bicubic", "fit": "crop"})


@pytest.mark.parametrize("takes", [IMAGES, VALUES, TEXT, TEXT.model_copy(update={"pad_left": True}), CUT_OUT])
def test_each_is_read_again_as_what_it_was(takes: Input) -> None:
    """By its kind, which an image's document does not name."""
    assert INPUT.validate_json(takes.model_dump_json()) == takes


@pytest.mark.parametrize("takes", [IMAGES, VALUES, TEXT, TEXT.model_copy(update={"pad_left": True}),
                                   Text(length=1, vocabulary=2, pad=1)])  # fmt: skip
def test_the_self_test_s_samples_and_noise_are_taken(takes: Input) -> None:
    """They are the same each time, and no two alike where there is room for that."""
    samples = self_test_images(takes)
    assert takes.check(samples).shape == (SAMPLES, *takes.shape)
    np.testing.assert_array_equal(samples, self_test_images(takes))
    assert len(np.unique(samples, axis=0)) == (SAMPLES if takes.shape != (1,) else 1)
    assert takes.check(takes.noise(np.random.default_rng(0), 50)).shape == (50, *takes.shape)


def test_the_self_test_s_texts_end_in_padding() -> None:
    """Each in more of it than the one before, on the side where it belongs."""
    for left in (False, True):
        takes = Text(length=8, vocabulary=100, pad=3, pad_left=left)
        padded = self_test_images(takes) == 3
        assert padded.sum(axis=1).tolist() == [0, 2, 4, 6]
        assert padded[3, 0] == left


def test_an_image_cannot_be_cut_out_of_a_smaller_one() -> None:
    """Nor a stretched one out of what is not square."""
    with pytest.raises(ValidationError, match=r"side 3: 4 x 5 cannot be cut out of it\. Expected 5 or more"):
        Preprocessing(channels=3, height=4, width=5, fit="crop", side=3)
    with pytest.raises(ValidationError, match="of an image that is stretched it is both"):
        Preprocessing(channels=3, height=4, width=5, side=8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            np.zeros((1, 2, 7)),
            "values: expected float32 (FP32), got float64. Convert it: values.astype(numpy.float32).",
        ),
        (np.zeros((2, 7), np.float32), "values: expected shape (N, 2, 7), batch first, got (2, 7)."),
        (np.zeros((0, 2, 7), np.float32), "values: the batch is empty (N = 0). Send at least one sample."),
        (
            np.stack([np.zeros((2, 7)), np.full((2, 7), np.inf)]).astype(np.float32),
            "values: sample 1 of the batch holds NaN or infinity. Fill the gap as the network's training data were, or "
            "remove it.",
        ),
    ],
)
def test_values_that_are_no_batch_are_refused(batch: np.ndarray, message: str) -> None:
    """By what is wrong with them."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        VALUES.check(batch)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[1, 2, 3, 9]], "text: sample 0 of the batch: 9 is no token id. Expected whole numbers of 0 to 8."),
        ([[1, 2, 3, 4], [1, 2.5, 0, 0]], "text: sample 1 of the batch: 2.5 is no token id. Expected whole "
         "numbers of 0 to 8."),
        ([[1, np.nan, 3, 4]], "text: sample 0 of the batch: nan is no token id. Expected whole numbers of 0 to 8."),
        ([[1, 0, 0, 0], [0, 0, 0, 0]], "text: sample 1 of the batch holds no token, only padding. Leave it out."),
        ([[1, 2]], "text: expected shape (N, 4), batch first, got (1, 2)."),
    ],
)  # fmt: skip
def test_ids_that_are_none_are_refused(ids: list[list[float]], message: str) -> None:
    """A table that is looked up by them would have no such row."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TEXT.check(np.array(ids, np.float32))


def test_ids_are_taken_without_a_tokenizer() -> None:
    """And strings are not: who sends some is told what to send."""
    ids = np.array([[5, 7, 8, 0]], np.float32)
    assert read_samples(TEXT, ids) is ids
    with pytest.raises(InputError, match="this network has no tokenizer, and takes token ids alone"):
        read_samples(TEXT, strings("good"))
    assert Text(length=4, vocabulary=9, tokenizer=False).forms == {"FP32": "N,4 token ids"}


def test_strings_become_ids_of_the_network_s_length() -> None:
    """Cut off, or filled up on the side that is asked for; strings and their UTF-8 are the same."""
    pytest.importorskip("tokenizers")
    texts = strings("The good", "a B c the end", "naïve".encode())
    found = read_samples(TEXT, texts, tokenizer())
    assert found.tolist() == [[7, 5, 0, 0], [2, 3, 4, 7], [1, 0, 0, 0]]
    left = read_samples(TEXT.model_copy(update={"pad_left": True}), texts, tokenizer())
    assert left.tolist() == [[0, 0, 7, 5], [2, 3, 4, 7], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"caf\xe9", "text: sample 1: not UTF-8 (unexpected end of data at byte 3). Decode it by its own encoding, and "
         "send it as UTF-8."),
        ("good " * 300_000, "text: sample 1: 1500000 long, and at most 1048576 is read. Send the beginning of it."),
        (None, "text: sample 1: expected a string, got NoneType. Leave it out."),
        ("  ", "text: sample 1 of the batch holds no token, only padding. Leave it out."),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(text: object, message: str) -> None:
    """By its row."""
    pytest.importorskip("tokenizers")
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TEXT.tokenized(["good", text], tokenizer())


def test_a_tokenizer_that_is_none_is_refused() -> None:
    """Where it is first used."""
    pytest.importorskip("tokenizers")
    with pytest.raises(InputError, match=r"^tokenizer: not a file that tokenizers [0-9.]+ reads"):
        TEXT.tokenized(["good"], b"{}")


def test_strings_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that takes none does without."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'offramp\[text\]'"):
        TEXT.tokenized(["good"], tokenizer(("[PAD]", "[UNK]", "x")))
