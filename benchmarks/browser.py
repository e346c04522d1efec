"""A page opened in headless Chromium, and what came of it, through the DevTools protocol.

    python benchmarks/browser.py PAGE.html [--out FOLDER]

Prints JSON: `requests` beyond the page itself, `errors` of the console and scripts, and for each width (1440
and 390 CSS pixels) `seconds` until the page was loaded and drawn, how far the page is `wider` than the window
in pixels, and `slices`, the first row of its table of slices. `--out` gets screenshots, light and dark. Needs
`chromium` (or google-chrome) on PATH and the package websocket-client; exits 2 without a browser.

https://chromedevtools.github.io/devtools-protocol/
"""

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTHS = {1440: 1000, 390: 844}  # CSS pixels -> of height
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS = 180
_MEASURE = """new Promise(done => {
const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done({
  seconds: performance.now() / 1000,
  wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  height: document.documentElement.scrollHeight,
  slices: [...document.querySelectorAll("#slice-table tbody tr:first-child td")].map(td => td.innerText),
})));
if (document.readyState === "complete") drawn(); else addEventListener("load", drawn);
})"""


def found() -> str | None:
    """The browser's command, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """A headless Chromium with one page; a context manager."""

    def __enter__(self) -> "Browser":
        import websocket

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-dev-shm-usage")
        flags += ("hide-scrollbars", "remote-debugging-port=0", f"user-data-dir={self._folder.name}")
        self._process = subprocess.Popen(
            [found(), *(f"--{flag}" for flag in flags), "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._events: list[dict] = []
        self._number = 0
        port_file = Path(self._folder.name, "DevToolsActivePort")
        self._wait(lambda: port_file.is_file() and port_file.read_text().count("\n"))
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(target for target in json.load(answer) if target["type"] == "page")
        self._socket = websocket.create_connection(
            page["webSocketDebuggerUrl"], timeout=_SECONDS, suppress_origin=True
        )
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(_SECONDS)
        self._folder.cleanup()

    def _wait(self, ready: Callable[[], object]) -> None:
        until = time.monotonic() + _SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self._process.args[0]} did not start")
            time.sleep(0.05)

    def _receive(self) -> dict:
        message = json.loads(self._socket.recv())
        if "method" in message:
            self._events.append(message)
        return message

    def call(self, method: str, **parameters: object) -> dict:
        """A command's answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self._number:
            pass
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    def open(self, page: Path, width: int, dark: bool = False) -> dict:
        """Opens a page at a width; see the module for what is measured."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=WIDTHS.get(width, 900),
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self._events.clear()
        url = page.resolve().as_uri()
        self.call("Page.navigate", url=url)
        while not any(
            event["method"] == "Page.frameNavigated" and event["params"]["frame"]["url"] == url
            for event in self._events
        ):
            self._receive()
        measured = self.evaluate(_MEASURE)
        requests, errors = [], []
        for event in self._events:
            parameters = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                asked = parameters["request"]["url"]
                inside = asked in (url, "about:blank") or asked.startswith("data:")
                requests += [] if inside else [asked]
            elif event["method"] == "Runtime.exceptionThrown":
                errors.append(parameters["exceptionDetails"].get("exception", {}).get("description", "error"))
            elif event["method"] == "Log.entryAdded":
                errors.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                errors.append(" ".join(str(a.get("value")) for a in parameters["args"]))
        return measured | {"requests": requests, "errors": errors}

    def evaluate(self, expression: str) -> Any:
        """What JavaScript in the page comes to, awaited where it is a promise.

        Raises:
          RuntimeError: it throws.
        """
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", expression))
        return found["result"].get("value")

    def screenshot(self, target: Path, height: int) -> None:
        """The page from its top, at most `height` CSS pixels of it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        # as high as the page: what is out of sight is not drawn
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=int(size["width"]),
            height=int(min(size["height"], height)),
            deviceScaleFactor=1,
            mobile=False,
        )
        self.evaluate(_MEASURE)
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height), "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, help="gets screenshots")
    arguments = parser.parse_args()
    if found() is None:
        print("no chromium on PATH", file=sys.stderr)
        return 2
    told: dict = {"requests": [], "errors": [], "widths": {}}
    with Browser() as browser:
        for width in WIDTHS:
            for dark in (False, True) if arguments.out else (False,):
                one = browser.open(arguments.page, width, dark)
                told["requests"] += one.pop("requests")
                told["errors"] += one.pop("errors")
                told["widths"].setdefault(str(width), one)
                if arguments.out:
                    arguments.out.mkdir(parents=True, exist_ok=True)
                    name = f"{arguments.page.stem}-{width}{'-dark' if dark else ''}.png"
                    browser.screenshot(arguments.out / name, 12_000)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
