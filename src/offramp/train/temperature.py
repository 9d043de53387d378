"""Temperatures: one divisor of each exit's logits, which makes its probabilities as sure as it is right."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import nn

from offramp.data.image_set import ImageSet
from offramp.errors import TrainingError
from offramp.models.exit_net import ExitNet
from offramp.train.accuracy import logits_of

LEAST, MOST = 0.05, 20.0  # outside there is no calibration: the network has learnt nothing, or all by heart


def temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The T in [0.05, 20] that minimizes the negative log-likelihood of labels `(N,)` under softmax(z / T), z `(N, C)`.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, section 4.2. The likelihood has
    one optimum in 1 / T, so that a bounded search finds it.
    """
    rows, exact = np.arange(len(labels)), logits.astype(np.float64)

    def loss(log_t: float) -> float:
        return -float(log_softmax(exact / math.exp(log_t), axis=1)[rows, labels].mean())

    found = minimize_scalar(loss, bounds=(math.log(LEAST), math.log(MOST)), method="bounded", options={"xatol": 1e-5})
    return math.exp(float(found.x))


def temperatures(net: ExitNet, images: ImageSet) -> dict[int, float]:
    """One temperature an exit, each from every image at that exit, in fp32 as nodes compute."""
    labels = images.labels.astype(np.int64)
    return {exit_: round(temperature(logits, labels), 5) for exit_, logits in logits_of(net, images).items()}


def fold(net: ExitNet, by_exit: Mapping[int, float]) -> None:
    """Divide what each exit's last linear layer gives by its temperature, in the weights: nodes do nothing for it."""
    for exit_, divisor in by_exit.items():
        *_, last = net.head(exit_).modules()
        if not isinstance(last, nn.Linear):
            raise TrainingError(
                f"temperatures: the head of exit {exit_} ends in {type(last).__name__}, and only a linear layer can "
                'take one in. Train with "temperatures": false in the recipe.'
            )
        with torch.no_grad():
            last.weight.div_(divisor)
            if last.bias is not None:
                last.bias.div_(divisor)
