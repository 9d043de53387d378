"""The graph behind the least that a server in Python can be: one ASGI function on uvicorn, the session called inline.

It reads the request that the benchmark sends and trusts it: no check, no bound, no count. What it answers is in the
same form as offramp's answer.
"""

import os

import numpy as np
import orjson
import uvicorn
from session import Session

LENGTH = b"inference-header-content-length"
peer = Session()


async def application(scope, receive, send):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body")
    body = b"".join(parts)
    length = int(dict(scope["headers"])[LENGTH])
    (tensor,) = orjson.loads(body[:length])["inputs"]
    logits = peer.run(np.frombuffer(body, np.float32, offset=length).reshape(tensor["shape"]))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    content = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32).tobytes()
    output = {"name": "probabilities", "datatype": "FP32", "shape": logits.shape}
    head = orjson.dumps({"outputs": [output | {"parameters": {"binary_data_size": len(content)}}]})
    headers = [
        (b"content-type", b"application/octet-stream"),
        (LENGTH, b"%d" % len(head)),
        (b"content-length", b"%d" % (len(head) + len(content))),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": head + content})


if __name__ == "__main__":
    port = int(os.environ["PEER_PORT"])
    uvicorn.run(application, port=port, lifespan="off", access_log=False, log_level="warning")
