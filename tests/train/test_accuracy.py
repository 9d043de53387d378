"""Accuracy of every exit against a count by hand."""

import numpy as np
import torch

from offramp.data.digits import digits
from offramp.models.architecture import Architecture
from offramp.models.cnn import standard_cnn
from offramp.train.accuracy import accuracies
from offramp.train.pixels import to_tensor

CPU = torch.device("cpu")


def test_accuracies_are_shares_of_right_answers_at_every_exit(minute: Architecture) -> None:
    """Counted by hand over more images than one pass takes; the network's mode is as before."""
    images = digits().rows(slice(0, 1_203))
    net = standard_cnn(minute, seed=1).train()
    net(to_tensor(images, CPU))  # gives it running statistics, and with them answers that differ
    found = accuracies(net, images)
    assert net.training
    with torch.inference_mode():
        logits = net.eval()(to_tensor(images, CPU))
    assert found == {
        exit_: round(float(np.mean(at_exit.argmax(1).numpy() == images.labels)), 6) for exit_, at_exit in logits.items()
    }
    assert len(set(found.values())) == 3
