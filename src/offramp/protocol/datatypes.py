"""The protocol's datatypes and numpy's, by each other."""

from typing import Any

import numpy as np

# The protocol's name of each dtype. BYTES is an object array of bytes.
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{name: np.dtype(name.lower()) for name in ("UINT8", "UINT16", "UINT32", "UINT64")},
    **{name: np.dtype(name.lower()) for name in ("INT8", "INT16", "INT32", "INT64")},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(np.object_),
}
NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in DTYPES.items()}
