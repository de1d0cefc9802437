# SPDX-License-Identifier: GPL-2.0-only
"""A headless Chromium, driven through its DevTools pipe: messages are JSON that ends with a NUL.

Protocol: chromedevtools.github.io/devtools-protocol, domains Target, Page, Runtime, Network, Log,
Emulation and Input; the pipe is what --remote-debugging-pipe opens on descriptors 3 and 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from harness import DEADLINE_S, LEAKBPF, Failure, Skip, require, wait_for

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARTIFACTS = os.environ.get("LEAKBPF_ARTIFACTS",
                           os.path.join(os.path.dirname(os.path.abspath(LEAKBPF)), "artifacts"))
KEYS = {"Escape": 27, "Enter": 13, "ArrowUp": 38, "ArrowDown": 40, "ArrowRight": 39,
        "ArrowLeft": 37}


def find_program():
    for name in PROGRAMS:
        path = shutil.which(name)
        if path:
            return path
    raise Skip("there is no Chromium (Debian: chromium-headless-shell)")


class Browser:
    """One page. Errors of its scripts and what it fetches are noted."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="leakbpf-browser-")
        self.complaints = []
        self.requests = []
        self.loaded = []  # the pages, by who loaded them
        self.next_id = 0
        self.buffer = b""
        child_reads, self.to_browser = os.pipe()
        self.from_browser, child_writes = os.pipe()
        # The browser expects its ends as 3 and 4; a shell moves them there.
        command = [find_program(), "--headless", "--no-sandbox", "--disable-gpu",
                   "--hide-scrollbars", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                   f"--user-data-dir={self.profile}", "about:blank"]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec 8<&{child_reads} 9>&{child_writes}; exec 3<&8 4>&9 8<&- 9>&-; '
             'exec "$0" "$@"', *command],
            pass_fds=(child_reads, child_writes), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self.errors)
        os.close(child_reads)
        os.close(child_writes)
        self.session = None

    def __enter__(self):
        try:
            self.attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.close(self.to_browser)  # it ends by that
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.from_browser)
        self.errors.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    def attach(self):
        targets = wait_for(lambda: [t for t in self.call("Target.getTargets")["targetInfos"]
                                    if t["type"] == "page"], "a page of the browser")
        self.session = self.call("Target.attachToTarget", targetId=targets[0]["targetId"],
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    # --- messages ---

    def read_message(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.from_browser], [], [], left)[0]:
                return None
            piece = os.read(self.from_browser, 1 << 20)
            if not piece:
                self.errors.seek(0)
                raise Failure(f"the browser ended: {self.errors.read()[-2000:]!r}")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, message):
        """Keeps what the page complains about and what it fetches."""
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif (method == "Runtime.consoleAPICalled" and
              params["type"] in ("error", "warning", "assert")):
            self.complaints.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"])
        elif method == "Page.lifecycleEvent" and params["name"] == "load":
            self.loaded.append(params["loaderId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def wait_message(self, condition, what):
        """The first message that meets the condition; others are noted."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            message = self.read_message(1)
            if message is None:
                continue
            self.note(message)
            if condition(message):
                return message
        raise Failure(f"the browser did not answer: {what}")

    def call(self, method, **params):
        self.next_id += 1
        wanted = self.next_id
        message = {"id": wanted, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_browser, data):]
        answer = self.wait_message(lambda m: m.get("id") == wanted, method)
        require("error" not in answer, f"{method}: {answer.get('error')}")
        return answer["result"]

    # --- what a user does and sees ---

    def open(self, path, width=1200, height=900):
        self.resize(width, height)
        self.requests.clear()
        loader = self.call("Page.navigate", url=f"file://{path}")["loaderId"]
        while loader not in self.loaded:  # it may have been before the answer came
            self.wait_message(lambda m: m.get("method") == "Page.lifecycleEvent", f"load {path}")

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def set_scheme(self, scheme):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def set_scripts(self, enabled):
        self.call("Emulation.setScriptExecutionDisabled", value=not enabled)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        require("exceptionDetails" not in result, f"{expression}: {result.get('exceptionDetails')}")
        return result["result"].get("value")

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key, modifiers=0):
        code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers,
                      windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, name):
        """Keeps a picture of the whole page among the artifacts."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": size["width"],
                                  "height": min(size["height"], 6000), "scale": 1})
        os.makedirs(ARTIFACTS, exist_ok=True)
        path = os.path.join(ARTIFACTS, f"{name}.png")
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
        print(f"artifact {path}")

    def check_quiet(self):
        """No error and nothing fetched but the document itself."""
        require(not self.complaints, f"the page complains: {self.complaints}")
        require(len(self.requests) == 1 and self.requests[0].startswith("file://"),
                f"the page fetches: {self.requests}")
