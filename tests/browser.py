"""A real Chromium, driven by its own DevTools protocol: what a page shows, says and asks for.

async with Browser.running(path, folder) as browser:
    await browser.show(url, width=390)
    assert browser.complaints == []
"""

from __future__ import annotations

import asyncio
import base64
import os
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Self

import aiohttp

WAIT_SECONDS = 20.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--remote-debugging-port=0"),
)
_COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


class Browser:
    """One page of a Chromium of its own."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._ids = count(1)
        self._session: str | None = None
        self.requests: list[str] = []
        """The URLs of all that was asked for."""
        self.complaints: list[Any] = []
        """What went to the console, and exceptions."""
        self._loaded = False

    @classmethod
    @asynccontextmanager
    async def running(cls, path: str, folder: Path) -> AsyncIterator[Self]:
        """Start it with `folder` as its own; it ends with the block."""
        command = (path, *FLAGS, f"--user-data-dir={folder}", "about:blank")
        # A group of its own, with which its many processes end.
        process = await asyncio.create_subprocess_exec(
            *command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )
        try:
            async with aiohttp.ClientSession() as http:
                address = await cls._address(folder / "DevToolsActivePort")
                async with http.ws_connect(address, max_msg_size=0) as ws:
                    browser = cls(ws)
                    await browser._attach()
                    yield browser
        finally:
            os.killpg(process.pid, 9)
            await process.wait()

    @staticmethod
    async def _address(file: Path) -> str:
        async with asyncio.timeout(WAIT_SECONDS):
            while not file.exists() or len(file.read_text().split()) < 2:  # noqa: ASYNC110, no event tells
                await asyncio.sleep(0.05)
        port, path = file.read_text().split()
        return f"ws://127.0.0.1:{port}{path}"

    async def _attach(self) -> None:
        targets = (await self.ask("Target.getTargets"))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = await self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")

    async def ask(self, method: str, **params: Any) -> Any:
        """One command of the DevTools protocol."""
        number = next(self._ids)
        asked = {"id": number, "method": method, "params": params}
        await self._ws.send_json(asked | ({"sessionId": self._session} if self._session else {}))
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                told = await self._ws.receive_json()
                if told.get("id") == number:
                    assert "error" not in told, told
                    return told["result"]
                self._note(told)

    def _note(self, told: Any) -> None:
        method, params = told.get("method"), told.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method in _COMPLAINTS:
            self.complaints.append(params)

    async def show(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Open a page on a screen of this size, and wait until it is there."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        await self.ask("Page.navigate", url=url)
        async with asyncio.timeout(WAIT_SECONDS):
            while not self._loaded:
                self._note(await self._ws.receive_json())
        await self.value("new Promise(requestAnimationFrame)")

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression is on the page."""
        answer = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """A screenshot, as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])
