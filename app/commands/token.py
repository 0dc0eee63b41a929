"""`./offhook token`: makes, lists and revokes the tokens of those who may have calls placed by `POST /calls`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from app import settings as all_settings
from app.adapters.api_tokens import ApiTokens
from app.adapters.data_folder import open_database
from app.adapters.database import DATABASE_ERRORS, make_engine, reason_of
from app.adapters.migrate import migrate
from app.errors import SetupError

T = TypeVar("T")
LONGEST = 80


def token(what: str, name: str) -> int:
    """Do one of `make`, `list` and `revoke`. Raises SetupError."""
    if what != "list" and not (name and name.isprintable() and len(name) <= LONGEST):
        wanted = "a name for the new token, as `crm`" if what == "make" else "the id of a token, as `list` has it"
        raise SetupError(f"expected {wanted}, got {name!r}")
    match what:
        case "make":
            print(with_database(lambda engine: ApiTokens(engine).make(name)))
            print_aside("keep it: it is not shown again")
        case "revoke":
            if not with_database(lambda engine: ApiTokens(engine).revoke(name)):
                raise SetupError(
                    f"expected the id of a token that is good, got {name!r}; `./offhook token list` has them"
                )
            print("revoked")
        case _:
            tokens = with_database(lambda engine: ApiTokens(engine).all())
            for one in tokens:
                used = f"used {one.used_at:%Y-%m-%d}" if one.used_at else "never used"
                state = f"revoked {one.revoked_at:%Y-%m-%d}" if one.revoked_at else used
                print(f"{one.id}  made {one.created_at:%Y-%m-%d}  {state:<18}  {one.name}")
            if not tokens:
                print_aside("there is no token; `./offhook token make NAME` makes one")
    return 0


def with_database(work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Do something with the house's database, brought up to date before. Raises SetupError."""

    async def run(url: str) -> T:
        await migrate(url)
        engine = make_engine(url)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    with open_database(all_settings.load()) as database:
        try:
            return asyncio.run(run(database.url))
        except DATABASE_ERRORS as wrong:
            raise SetupError(f"the database did not do it: {reason_of(wrong)}") from wrong


def print_aside(text: str) -> None:
    """Not part of what a pipe gets."""
    import sys

    print(text, file=sys.stderr)
