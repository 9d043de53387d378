"""Why callers are not let in, in few words; and what grpc's library writes of them, heard."""

import os
from pathlib import Path

import pytest

from offramp.protocol.native_log import handshakes_told
from offramp.protocol.refusals import OTHER, PLAIN, Refusals, kind_of, native_kind

HEAD = "I1129 15:10:17.980929    5266 ssl_transport_security.cc:2563] Handshake failed with error SSL_ERROR_SSL: "
TOLD = f"{HEAD}error:1:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate verification context"


@pytest.mark.parametrize(
    ("reason", "detail", "kind"),
    [
        ("HTTP_REQUEST", "", PLAIN),
        ("CERTIFICATE_VERIFY_FAILED", "certificate has expired", "a certificate that is expired"),
        ("CERTIFICATE_VERIFY_FAILED", "self-signed certificate", "a certificate that is of an unknown authority"),
        ("CERTIFICATE_VERIFY_FAILED", "unsuitable certificate purpose", "a certificate that is not valid"),
        ("SOMETHING_NEW", "whatever a caller makes up", OTHER),
    ],
)
def test_a_handshake_fails_of_one_of_a_few_kinds(reason: str, detail: str, kind: str) -> None:
    """Nobody can make a node count without end."""
    assert kind_of(reason, detail) == kind


def test_a_line_of_grpc_s_is_told_from_others() -> None:
    """By its words, whatever its number and its thread."""
    assert native_kind(TOLD) == PLAIN
    assert native_kind("E0000 chttp2_transport.cc:1] something else") is None


def test_lines_of_handshakes_are_counted_and_all_others_go_on(tmp_path: Path) -> None:
    """Whole and in their order, also what has no end of its line."""
    file, heard = tmp_path / "stderr", list[str]()
    with file.open("wb") as out:
        number = os.dup(out.fileno())
        with handshakes_told(heard.append, number):
            os.write(number, b"one\n" + TOLD.encode()[:40])
            os.write(number, TOLD.encode()[40:] + b"\ntwo\n" + b"\xff" * 10)
        os.write(number, b"\nafter\n")
        os.close(number)
    assert heard == [PLAIN]
    assert file.read_bytes() == b"one\ntwo\n" + b"\xff" * 10 + b"\nafter\n"


def test_refusals_are_counted_by_front_and_kind() -> None:
    """Each has a count and a line of its own."""
    refusals = Refusals()
    for front, kind in (("grpc", PLAIN), ("http", PLAIN), ("http", PLAIN)):
        refusals.note(front, kind)  # type: ignore[arg-type]
    assert dict(refusals.counts) == {("grpc", PLAIN): 1, ("http", PLAIN): 2}
