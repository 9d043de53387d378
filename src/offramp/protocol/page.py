"""A page that a node serves of itself, and the policy by which a browser shows it: its own script and no other."""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Self

SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """HTML without anything from elsewhere, and its headers."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, html: bytes) -> Self:
        """Allow the scripts that stand in it, and that they ask this node."""
        digests = [base64.b64encode(hashlib.sha256(script).digest()) for script in SCRIPT.findall(html)]
        scripts = b" ".join(b"'sha256-%s'" % digest for digest in digests) or b"'none'"
        policy = (
            b"default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
            b"form-action 'none'; frame-ancestors 'none'; script-src " + scripts
        )
        return cls(
            html,
            (
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-security-policy", policy),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-cache"),
            ),
        )
