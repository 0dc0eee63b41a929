"""What a rehearsal finds from before the call: a message in the business's own tables, so that a number is known."""

from sqlalchemy.dialects.postgresql import insert

from app.adapters.business_pg import new_reference
from app.adapters.business_tables import messages
from app.adapters.store import CallStore

TEXT = "A rehearsal called before."


async def has_called_before(store: CallStore, number: str, name: str) -> None:
    """Leave one message of that name under that number, however often it is asked for."""
    row = {
        "reference": new_reference(),
        "key": f"rehearsal-{number}-{name}",
        "name": name,
        "text": TEXT,
        "phone": number,
    }
    async with store.engine.begin() as connection:
        await connection.execute(insert(messages).values(row).on_conflict_do_nothing())
