"""What runs beside a house that answers, by the options of `serve`: the reload of its files, and a tunnel to it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from app.adapters.tunnel_client import TunnelClient
from app.commands.answering import Beside
from app.commands.reloading import reloading
from app.commands.tunnel import tunnelled
from app.main import House
from app.settings import Settings


def beside(*, read: Callable[[], Settings] | None, root: Path, client: TunnelClient | None, lends: bool) -> Beside:
    """read: the settings as they are now, if they are to be reloaded. root: of offhook.toml. lends: the number, to the tunnel."""

    @contextlib.asynccontextmanager
    async def companions(house: House) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if read is not None:
                await stack.enter_async_context(reloading(house, read, root=root))
            if client is not None:
                await stack.enter_async_context(tunnelled(client, house.settings, lends=lends))
            yield

    return companions
