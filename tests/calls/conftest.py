"""Servers that many tests share: starting one takes as long as a short call."""

from collections.abc import AsyncIterator

import pytest

from tests.calls.product import Product, product


@pytest.fixture(scope="session")
async def house() -> AsyncIterator[Product]:
    """A server that answers by our model stand-in and has a person to put callers through to."""
    async with product() as it:
        yield it
