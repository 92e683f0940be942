"""The fixtures of tests in a real browser; all of them run in one event loop, that of the browser."""

import pytest
import pytest_asyncio
from browser import browser
from pages_world import pages_world

__all__ = ["browser", "pages_world"]


def pytest_collection_modifyitems(items):
    """Run each test of this folder in the event loop of the session: a browser cannot change its loop."""
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if "browser" in item.fixturenames and pytest_asyncio.is_async_test(item):
            item.add_marker(mark, append=False)
