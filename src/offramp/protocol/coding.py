"""A body's content coding (RFC 9110, 8.4): bytes as they came to bytes as they were meant, within a bound.

Takes and gives bytes. Knows nothing of what they mean.
"""

import zlib

from offramp.errors import InputError, TooLargeError

GZIP, ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
CODINGS = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": ZLIB}
MAGIC = b"\x1f\x8b"  # of each member of a gzip file
PIECE = 512  # bytes that a member behind the first is tried with


def is_plain(coding: bytes) -> bool:
    """Whether a body of this coding is what it means already."""
    return coding in (b"", b"identity")


def unpacked(coding: bytes, body: bytes, most: int) -> bytes:
    """A body without its coding, one of `CODINGS`; TooLargeError where it is larger than `most` bytes then.

    A gzip body is as many members as it has, one behind the other (RFC 1952, 2.2).
    """
    name, bits, at, room = coding.decode(), CODINGS[coding], 0, most + 1
    packed, parts = memoryview(body), list[bytes]()
    while True:
        # Of what follows a member's end, zlib gives a copy: small pieces, or many small members cost their square.
        stream, size = zlib.decompressobj(bits), PIECE if at else len(packed)
        while not stream.eof and at < len(packed):
            piece = packed[at : at + size]
            try:
                parts.append(stream.decompress(piece, room))
            except zlib.error as error:
                raise InputError(f"body: not {name} ({error}).") from error
            room -= len(parts[-1])
            if room <= 0:
                raise TooLargeError(
                    f"body: larger than {most} bytes once it is unpacked, the most that this node takes."
                )
            at, size = at + len(piece) - len(stream.unused_data), 2 * size
        if not stream.eof:
            raise InputError(f"body: its {name} is cut short.")
        if at == len(packed):
            return b"".join(parts)
        if packed[at : at + 2] != MAGIC:
            raise InputError(f"body: {len(packed) - at} bytes follow the end of its {name}.")
