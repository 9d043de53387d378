#!/bin/sh
# nvidia-pytriton 0.7.0, @group_by_values: one request's label is cut to the length of another's, "airplane" to "air".
#
# Common belief: @group_by_values splits a batch by a parameter that its requests may set, a threshold for one, runs
# the function once for each value, and gives each request the rows that it would have had alone.
#
# Behaviour: the groups' answers are copied into arrays of the dtype that the first group's have, and the first is the
# one whose value comes first in order of its bytes, not of arrival. numpy makes what it copies fit: text is bytes of
# the first group's longest label, and a longer one of another group is cut; where the first group has integers, the
# others lose their fractions. An output that the first group has and a later one has not is 0 there, or no text.
# Nothing is raised or logged. The same request alone, or beside others of the same value, is answered right: it goes by
# who else is asking. Labels of dtype object are kept whole, and an output whose dtype never varies is right.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet nvidia-pytriton==0.7.0
cd "$folder"
HOME=$folder timeout 120 "$folder/venv/bin/python" -W ignore - <<'END'
import numpy as np
from pytriton.decorators import batch, group_by_values
from pytriton.proxy.types import Request

LABELS = np.array(["cat", "airplane"])


def decide(images, threshold):
    """By the first number of an image: its label, its score, and where it left early a note of that."""
    scores = images[:, 0]
    index = (scores >= 0.5).astype(int)
    answer = {"label": np.char.encode(LABELS[index], "utf-8")}
    early = scores.min() >= threshold[0, 0]  # as a group
    return answer | ({"percent": np.rint(100 * scores).astype(int), "exit": np.full(len(scores), 1)} if early else
                     {"percent": 100 * scores})


def as_objects(images, threshold):
    return {"label": decide(images, threshold)["label"].astype(object)}


def asked(function, *requests):
    """An answer for each request, an image of one number and a threshold, where they come together."""
    batched = batch(group_by_values("threshold")(function))
    found = batched([Request({"images": np.array([[image]], np.float32), "threshold": np.array([[value]], np.float32)},
                             {}) for image, value in requests])
    return [{name: rows[0].item() if isinstance(rows, np.ndarray) and rows.dtype != object else rows[0]
             for name, rows in answer.items()} for answer in found]


sure, unsure = (0.25, 0.125), (0.8046875, 0.875)  # leaves at its threshold; does not
(alone,) = asked(decide, unsure)
beside_same = asked(decide, unsure, unsure)[0]
beside = asked(decide, unsure, sure)[0]
turned = asked(decide, sure, unsure)[1]
whole = asked(as_objects, unsure, sure)[0]
print("alone, and believed for all:", alone)
print("beside one of the same threshold:", beside_same)
print("beside one of another threshold:", beside)
print("behind it:", turned)
print("beside it, labels as objects:", whole)
assert alone == beside_same == {"label": b"airplane", "percent": 80.46875}, "alone it is not right either"
assert beside == turned == {"label": b"air", "percent": 80, "exit": 0}, "what is copied is no longer cut"
assert whole == {"label": b"airplane"}, "objects are cut too"
END
echo "as stated: by nvidia-pytriton 0.7.0 an answer is cut to the dtype of another request's"
