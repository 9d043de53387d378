"""A table of predictions small enough to route by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from offramp.artifacts.predictions import Predictions, PredictionsHeader

Table = Callable[..., Predictions]


@pytest.fixture(scope="session")
def table() -> Table:
    """Make predictions from nested lists: logits of two classes by exit, and labels; `classes` names others."""

    def make(logits: dict[int, list[list[float]]], labels: list[int], **header: object) -> Predictions:
        values = {
            "model": "hand", "source": "bundle:0", "data": "hand", "split": "test", "classes": ("no", "yes"),
            "exits": tuple(logits),
        } | header  # fmt: skip
        made = PredictionsHeader.model_validate(values)
        return Predictions(
            made,
            np.arange(len(labels)),
            np.array(labels, np.int64),
            {
                exit_: np.array(rows, np.float32).reshape(len(labels), len(made.classes))
                for exit_, rows in logits.items()
            },
        )

    return make
