"""The page with small limits, and Debian's Chromium to look at it."""

import os
import shutil

import numpy as np
import pytest

from ohlora_fast.stylist import HairStylist

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def stylist():
    return HairStylist(threads=1)


@pytest.fixture(scope="session")
def group_pixels(portrait_pixels):
    """Two people side by side, the right one turned the other way."""
    return np.hstack([portrait_pixels, portrait_pixels[:, ::-1]])


@pytest.fixture(scope="session")
def chromium():
    """A running browser; with OHLORA_BROWSER=1 the tests fail, rather than being left out, if there is none."""
    if CHROMIUM is None:
        missing = pytest.fail if os.environ.get("OHLORA_BROWSER") == "1" else pytest.skip
        missing("no Chromium on the path (on Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'ohlora-fast[browser]'")
    as_root = hasattr(os, "getuid") and os.getuid() == 0
    options = ["--use-fake-device-for-media-stream", *(["--no-sandbox"] if as_root else [])]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()
