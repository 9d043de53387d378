"""Whether a network's outputs stand for the data's classes in the data's order, by how it answers.

Data sort their classes by name, and a network's makers did not have to. Nothing else would tell: heads learn all the
same, and only the network's own answers are wrong.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from offramp.errors import DataError
from offramp.train.stand import Stand

LOOKED_AT = 2_000  # samples
RIGHT = 0.5  # least share that another order must make right, and
TIMES = 2  # how often that of the data's


def check_order(stand: Stand, classes: tuple[str, ...]) -> None:
    """Raise DataError where most of the last exit's answers were right if its outputs were in another order."""
    labels = stand.labels[:LOOKED_AT]
    logits = stand.read(np.arange(len(labels)))
    answers = logits[max(logits)].numpy().argmax(axis=1)
    together = np.zeros((len(classes), len(classes)), np.int64)  # outputs, labels
    np.add.at(together, (answers, labels), 1)
    outputs, meant = linear_sum_assignment(together, maximize=True)
    right, best = together.trace() / len(labels), together[outputs, meant].sum() / len(labels)
    if best < max(RIGHT, TIMES * right) or len(labels) < 2 * len(classes):
        return
    order = ",".join(classes[label] for label in meant)
    raise DataError(
        f"the network's own answers are right of {right:.0%} of {len(labels)} validation samples, and of {best:.0%} if "
        f"its outputs stand for the classes in another order than the data's. If so, say it: --classes {order}; if "
        f"not, --classes {','.join(classes)}."
    )
