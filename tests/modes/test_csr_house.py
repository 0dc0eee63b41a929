"""Customer service in a whole house: its demo rows, its session, and the settings that decide about them."""

from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.database import make_engine
from app.main import open_house
from app.mode import BackendDown
from app.settings import load
from modes.csr.tables import Customer


async def customers(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(Customer))).scalar_one())


def environment(tmp_path: Path, database: str) -> dict[str, str]:
    """Of a house that dials no model before a call rings. database: DATABASE_URL, or nothing for an embedded one."""
    model = {"REALTIME_URL": "ws://127.0.0.1:9/v1/realtime", "SPARE_LINKS": "0"}
    return {"OFFHOOK_DATA": str(tmp_path), "DATABASE_URL": database, **model}


async def test_demo_rows_go_into_an_embedded_database_at_each_start_and_into_nobody_s_own(
    database: str, tmp_path: Path
) -> None:
    engine = make_engine(database)
    async with open_house(load(environment(tmp_path, database)), database):
        assert await customers(engine) == 0
    for _ in range(2):
        async with open_house(load(environment(tmp_path, "")), database):
            assert await customers(engine) == 4
    await engine.dispose()


async def test_a_house_starts_without_them_if_they_cannot_be_put(database: str, tmp_path: Path) -> None:
    engine = make_engine(database)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE csr_orders RENAME TO csr_gone")
    async with open_house(load(environment(tmp_path, "")), database) as house:
        assert await customers(engine) == 0
        with pytest.raises(BackendDown):
            async with house.sessions() as session:
                await session.execute(select(func.count()).select_from(Customer.metadata.tables["csr_orders"]))
    await engine.dispose()
