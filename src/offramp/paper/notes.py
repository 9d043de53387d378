"""What a reader must know to take a reproduction's numbers for what they are, in plain sentences."""

from offramp.paper.reproduced import FEW
from offramp.paper.reproduction import Reproduction

LOOPBACK = (
    "Over loopback the nodes are on one machine: the cloud is as near as it can be and shares the edge's cores. Over a "
    "real link its answers take the link's delay longer, and its processors may be faster: neither was measured here."
)
MEDIAN = (
    "The overall median is the edge's as soon as more than half of the samples leave there: what the others wait "
    "for the cloud no longer shows in it. Read it beside the cloud's latency and the number of samples that left."
)
HARD_ONES = (
    "Cloud accuracy is over the samples that the local exit was unsure of, the hard ones. Over fewer than "
    f"{FEW} samples (hollow markers) an accuracy may be chance. A dash or a gap means that no sample was answered "
    "there; it never means zero."
)


def notes(reproduction: Reproduction) -> list[str]:
    """Say what the numbers of a reproduction are and are not."""
    loopback = any(row.setup.link.startswith("loopback") for row in reproduction.rows)
    return [
        f"Latency is the time from the client sending a batch of {reproduction.conditions.batch_size} to the client "
        "holding a sample's answer. A repeat's value is the median (p50) over its samples; shown is the median over "
        "repeats, and with it the lowest and the highest repeat.",
        "Accuracies and bytes come from the networks, the data and the setup alone: they are the same in every repeat, "
        "and in every run of the same commit on the same networks. Latencies are the machine's of that hour.",
        *([LOOPBACK] if loopback else []),
        "A shaped link holds the bytes between two processes to a rate and a delay; it is not a radio.",
        MEDIAN,
        "Up to the same exit SEM and MEM compute the same; what remains between their latencies at the edge is the "
        "machine's noise. The largest such difference at one exit is the noise that this page's first sentence names: "
        "latencies closer than that are not told apart.",
        HARD_ONES,
        "Each network was trained once, from one seed: how far another seed would move accuracies was not measured, "
        "and a difference beyond the sampling error may still be the seed's.",
        _against_the_paper(reproduction.data),
    ]


def _against_the_paper(data: str) -> str:
    if data == "digits":
        return (
            "The digits are far easier than CIFAR-10, on which the paper measured: the questions are the paper's, but "
            "its numbers and these are not comparable."
        )
    return (
        "The paper measured CIFAR-10 with its own network, training and machines: compare directions with it, not "
        "numbers."
    )
