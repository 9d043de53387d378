#!/bin/sh
# pyarrow 26.0.1: whether a filter keeps a row with NaN goes by how the same table was cut into row groups.
#
# Common belief: pq.read_table(file, filters=EXPRESSION) gives what Table.filter(EXPRESSION) gives of the whole table, and
# row groups and their statistics only save reading. NaN compares as false, so ~(confidence >= 0.9), the samples that an
# exit hands on, has the NaN among them.
#
# Behaviour: a column's smallest and largest value are written without NaN, as Parquet's format wants it, and pyarrow reads
# them as holding for every row. Where they alone say that all of a row group is confident, the group is left out, and its
# NaN with it. So the sample of which the network knew least is counted as one that left at the exit, or as none at all,
# and of the same data another row_group_size, or write_statistics=False, gives another count. is_nan, which asks for it
# by name, loses it too where the other values of its row group are all one number: smallest and largest are then the same.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
cd "$folder"
timeout 120 "$folder/venv/bin/python" - <<'END'
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

table = pa.table({"sample": range(6), "confidence": pa.array([0.97, 0.99, float("nan"), 0.95, 0.3, 0.2], pa.float32())})
HANDED_ON = ~(pc.field("confidence") >= 0.9)
UNKNOWN = pc.is_nan(pc.field("confidence"))


def kept(found):
    return found["sample"].to_pylist()


def read(size, statistics=True):
    """What the filter keeps of the file, by two readers, and what is_nan does."""
    pq.write_table(table, "predictions.parquet", row_group_size=size, write_statistics=statistics)
    assert pq.read_table("predictions.parquet").num_rows == 6
    found = kept(pq.read_table("predictions.parquet", filters=HANDED_ON))
    dataset = ds.dataset("predictions.parquet")
    assert kept(dataset.to_table(filter=HANDED_ON)) == found, "the two readers differ"
    assert dataset.count_rows(filter=HANDED_ON) == len(found), "it counts others than it gives"
    return found, kept(dataset.to_table(filter=UNKNOWN))


whole = kept(table.filter(HANDED_ON))
found = {f"row groups of {size}": read(size) for size in (6, 3, 2, 1)}
found["row groups of 3, no statistics"] = read(3, statistics=False)
print("not (confidence >= 0.9) of the table in memory: samples", whole, "and is_nan:", kept(table.filter(UNKNOWN)))
for what, (samples, unknown) in found.items():
    print(f"of its file, {what}: samples", samples, "and is_nan:", unknown)
handed_on, unknown = zip(*found.values())
assert (whole, kept(table.filter(UNKNOWN))) == ([2, 4, 5], [2]), "the table in memory is filtered otherwise"
assert handed_on == ([2, 4, 5], [4, 5], [4, 5], [2, 4, 5], [2, 4, 5]), "the files are filtered otherwise"
assert unknown == ([2], [2], [], [2], [2]), "is_nan finds it otherwise"
END
echo "as stated: pyarrow 26.0.1 keeps or loses a NaN by the size of the row groups"
