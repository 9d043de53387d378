"""A headless Chromium, driven by its own protocol over two pipes: no port, no driver and no package."""

import base64
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from until import until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 60.0  # seconds after which a test that hangs fails


class Tab:
    """One page of a browser. `said` is what it has written on its console, and every error of a script."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.answers, self.said, self.number = to, queue.SimpleQueue[dict[str, Any]](), list[str](), 0
        self.session: str | None = None
        threading.Thread(target=self._listen, args=(back,), daemon=True).start()
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Page", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and give its result."""
        self.number += 1
        session = {} if self.session is None else {"sessionId": self.session}
        message = {"id": self.number, "method": method, "params": parameters, **session}
        os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = self.answers.get(timeout=WAIT)
        assert answer["id"] == self.number
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, expression: str) -> Any:
        """What an expression gives in the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until it is true."""
        until(lambda: bool(self.run(expression)))

    def press(self, key: str, text: str = "") -> None:
        """A key goes down and up."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, **({"text": text} if text else {}))

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Be a screen of this size, in the reader's scheme."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, to: Path) -> None:
        """Write what is on the screen as PNG."""
        to.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    def _listen(self, back: int) -> None:
        with os.fdopen(back, "rb") as pipe:
            rest = b""
            while more := pipe.read1(1 << 16):
                *whole, rest = (rest + more).split(b"\0")
                for message in map(json.loads, whole):
                    if "id" in message:
                        self.answers.put(message)
                    elif message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                        self.said.append(json.dumps(message["params"]))


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Run one, with its profile in a folder, and give its tab."""
    assert CHROMIUM is not None
    (theirs_in, to), (back, theirs_out) = os.pipe(), os.pipe()

    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
    process = subprocess.Popen(
        # Chromium looks for the pipes at descriptors 3 and 4.
        [
            "bash",
            "-c",
            f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}',
            "-",
            CHROMIUM,
            *options,
            f"--user-data-dir={folder}",
        ],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Tab(to, back)
    finally:
        os.close(to)  # its end is Chromium's
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
