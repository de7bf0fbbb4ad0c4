"""A real browser: Debian's chromium, driven by playwright. Where it is missing it is installed, or the tests fail with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, ViewportSize, expect, sync_playwright

from tests.browser.patience import PATIENCE_SECONDS

_VIEWPORT = ViewportSize(width=1600, height=900)
_ARGUMENTS = [
    "--no-sandbox",  # the sandbox refuses root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE_MS = PATIENCE_SECONDS * 1000


@dataclass
class Faults:
    """What went wrong in the browser or between browser and server, in the order in which it happened."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Collects uncaught errors of scripts and answers of the server that are errors."""
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("response", self._hear)

    def _hear(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"{response.status} {response.url}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    found = shutil.which("chromium")
    if found:
        return found
    if os.geteuid() != 0:
        pytest.fail("chromium is not installed; as root: apt-get update && apt-get install -y chromium", pytrace=False)
    if shutil.which("apt-get") is None:
        pytest.fail("chromium is not installed and there is no apt-get; install it and put it on the PATH", pytrace=False)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
        line = [command[0], "-q", "-o", "DPkg::Lock::Timeout=120", *command[1:]]
        result = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
        if result.returncode:
            said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-6:])
            pytest.fail(f"chromium is not installed, and `{' '.join(command)}` failed ({result.returncode}):\n{said}", pytrace=False)
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("apt-get installed chromium, yet it is not on the PATH", pytrace=False)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """The running browser, with a data folder of its own that goes with it.

    It ends with the module: Playwright keeps an event loop running in its thread, in which no later test could start one.
    """
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, headless=True, args=_ARGUMENTS)
        expect.set_options(timeout=_PATIENCE_MS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One visitor for all tests: the scripts of the interface, some megabytes, are fetched once."""
    visitor = browser.new_context(viewport=_VIEWPORT)
    visitor.set_default_timeout(_PATIENCE_MS)
    yield visitor
    visitor.close()


@pytest.fixture
def faults() -> Faults:
    """What went wrong on `page`; empty at the end of a good test."""
    return Faults()


@pytest.fixture
def page(context: BrowserContext, faults: Faults) -> Iterator[Page]:
    """A page that is watched: a test fails for what goes wrong behind it, too. Nobody has been here before, as far as it knows."""
    opened = context.new_page()
    faults.watch(opened)
    yield opened
    _forget(opened)
    opened.close()
    assert not faults.found, "\n".join(faults.found)


def _forget(page: Page) -> None:
    """Removes what the interface remembers in the browser: layout, folded groups, answers of the server."""
    place = urlsplit(page.url)
    page.goto("about:blank")  # so that nobody writes it again
    if place.netloc:
        everything = {"origin": f"{place.scheme}://{place.netloc}", "storageTypes": "all"}
        page.context.new_cdp_session(page).send("Storage.clearDataForOrigin", everything)


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    """Folder for pictures of what the tests saw, from MESH_SCREENSHOTS; none are kept without it."""
    named = os.environ.get("MESH_SCREENSHOTS")
    if not named:
        return None
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
