#!/bin/sh
# httptools 0.9.0 (the parser under uvicorn): a POST that offers a protocol upgrade loses its body.
#
# Common belief: `Upgrade` is an offer (RFC 9110, 7.8). A server that does not take it up reads the request as if the
# header were not there, and so does its parser: Content-Length says how long the body is. Java's HttpClient offers h2c
# with its first POST, and so does `curl --http2`, so a server meets such requests without asking for them.
#
# Behaviour: the message is complete right behind its headers, whatever its Content-Length; on_body is never called, and
# HttpParserUpgrade is raised, its argument the offset where the body begins. A server that goes on in plain HTTP has to
# cut the body off by itself, and has to find the next request behind it by itself.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet httptools==0.9.0
"$folder/venv/bin/python" - <<'END'
import httptools

BODY = b'{"id": "1"}'


class Seen:
    def __init__(self):
        self.body, self.complete = b"", 0

    def on_body(self, part):
        self.body += part

    def on_message_complete(self):
        self.complete += 1


def told(*headers):
    seen, raised = Seen(), None
    parser = httptools.HttpRequestParser(seen)
    lines = ["POST /v2/models/a/infer HTTP/1.1", "Host: a", f"Content-Length: {len(BODY)}", *headers, "", ""]
    request = "\r\n".join(lines).encode() + BODY
    try:
        parser.feed_data(request)
    except httptools.HttpParserUpgrade as error:
        raised = request[error.args[0] :]
    return seen.body, seen.complete, raised


plain = told()
offered = told("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
print("without an offer:  body", plain[0], "messages complete", plain[1], "left over", plain[2])
print("with an offer:     body", offered[0], "messages complete", offered[1], "left over", offered[2])
assert plain == (BODY, 1, None), "another behaviour without an offer"
assert offered == (b"", 1, BODY), "another behaviour with an offer"
END
echo "as stated: httptools 0.9.0 ends a POST at its headers where it offers an upgrade"
