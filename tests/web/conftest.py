"""The page with small limits, and Debian's Chromium to look at it."""

import os
import shutil

import pytest

from ohlora_fast.stylist import HairStylist

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def stylist():
    return HairStylist(threads=1)


@pytest.fixture(scope="session")
def chromium():
    """A running browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'ohlora-fast[browser]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path (on Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        options = ["--use-fake-device-for-media-stream"] + ["--no-sandbox"] * (
            hasattr(os, "getuid") and os.getuid() == 0
        )
        browser = running.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()
