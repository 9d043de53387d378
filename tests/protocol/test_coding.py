"""Packed bodies: whole, in many members, cut short, and larger than they look."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import InputError, TooLargeError
from offramp.protocol.coding import unpacked

MOST = 1 << 20


@given(members=st.lists(st.binary(max_size=3_000), min_size=1, max_size=6))
def test_a_gzip_is_all_its_members(members: list[bytes]) -> None:
    """In their order, empty ones too."""
    packed = b"".join(map(gzip.compress, members))
    assert unpacked(b"gzip", packed, MOST) == unpacked(b"x-gzip", packed, MOST) == gzip.decompress(packed)


def test_a_deflate_is_one() -> None:
    """What follows it is no part of it."""
    assert unpacked(b"deflate", zlib.compress(b"a"), MOST) == b"a"
    with pytest.raises(InputError) as caught:
        unpacked(b"deflate", zlib.compress(b"a") + zlib.compress(b"b"), MOST)
    assert str(caught.value) == "body: 9 bytes follow the end of its deflate."


@pytest.mark.parametrize("cut", [1, 8, 9, 30])
def test_what_is_cut_short_is_said(cut: int) -> None:
    """In the first member or a later one."""
    packed = gzip.compress(b"one") + gzip.compress(b"two")
    with pytest.raises(InputError):
        unpacked(b"gzip", packed[:-cut], MOST)


def test_members_are_bounded_together() -> None:
    """To the byte."""
    packed = gzip.compress(b" " * 600) + gzip.compress(b" " * 400)
    assert len(unpacked(b"gzip", packed, 1_000)) == 1_000
    with pytest.raises(TooLargeError) as caught:
        unpacked(b"gzip", packed, 999)
    assert str(caught.value) == "body: larger than 999 bytes once it is unpacked, the most that this node takes."
