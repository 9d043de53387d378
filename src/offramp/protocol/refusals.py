"""Who is not let in: counted by front and kind, and said in the log once a kind, then summed up by the minute."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Literal

from offramp.protocol.notices import Refused

Front = Literal["grpc", "http"]

PLAIN, NO_CERTIFICATE = "plain text to a TLS port", "no client certificate"
OF_OPENSSL = {  # and of BoringSSL, grpc's: its reasons for a handshake that failed
    "HTTP_REQUEST": PLAIN,
    "WRONG_VERSION_NUMBER": PLAIN,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
    "TLSV1_ALERT_UNKNOWN_CA": "the caller does not trust this node's certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the caller does not trust this node's certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the caller does not trust this node's certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the caller finds this node's certificate expired",
    "NO_SHARED_CIPHER": "no cipher that both know",
    "UNSUPPORTED_PROTOCOL": "a version of TLS below 1.2",
}
TOO_MANY = "more handshakes under way than connections may be open"
NOT_TRUSTED, OTHER = "CERTIFICATE_VERIFY_FAILED", "TLS handshake failed"
UNKNOWN = re.compile("issuer|self.signed")
NATIVE = re.compile(r"Handshake failed with error .*:OPENSSL_internal:([A-Z_0-9]+): ?(.*)")  # what grpc writes


def kind_of(reason: str, detail: str = "") -> str:
    """What a handshake failed of, in words of which there are few."""
    if reason != NOT_TRUSTED:
        return OF_OPENSSL.get(reason, OTHER)
    why = "expired" if "expired" in detail else "of an unknown authority" if UNKNOWN.search(detail) else "not valid"
    return f"a certificate that is {why}"


def native_kind(line: str) -> str | None:
    """The same of a line that grpc's own library has written; None where it is about something else."""
    found = NATIVE.search(line)
    return None if found is None else kind_of(found[1], found[2])


class Refusals:
    """Counts of a node, by front and kind: `counts` is for whoever shows them."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Front, str]] = Counter()
        self.notices: dict[tuple[Front, str], Refused] = {}
        self.changing = threading.Lock()
        self.told: Callable[[Front, str], object] = lambda front, kind: None

    def note(self, front: Front, kind: str) -> None:
        """One more."""
        key = (front, kind)
        with self.changing:
            self.counts[key] += 1
            notice = self.notices.setdefault(key, Refused(f"over {front}: {kind}"))
        self.told(front, kind)
        notice.note()
