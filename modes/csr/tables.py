"""The customer service's own tables: customers, orders and their lines, tickets; who was identified, and who may not try again.

They live beside the books, on a branch of revisions of their own (modes/csr/migrations). Amounts are whole cents. Every write
that the mode does leaves one ticket, and a ticket's `key` is unique: the same wish, told twice, is done once.
"""

from datetime import date, datetime

from sqlalchemy import (
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)


class Row(DeclarativeBase):
    """What the tables have in common."""

    metadata = metadata
    type_annotation_map = {str: Text(), datetime: DateTime(timezone=True), date: Date()}  # noqa: RUF012  SQLAlchemy's name


class Customer(Row):
    """Somebody who orders here. `phone` (E.164) is one customer's."""

    __tablename__ = "csr_customers"
    __table_args__ = (UniqueConstraint("phone"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    name: Mapped[str]
    phone: Mapped[str]
    street: Mapped[str]
    city: Mapped[str]
    postal_code: Mapped[str]


class Order(Row):
    """An order. `delivered_on` is null until it has arrived, `expected_on` where nobody knows."""

    __tablename__ = "csr_orders"
    __table_args__ = (
        CheckConstraint("status IN ('placed', 'shipped', 'delivered', 'cancelled')", name="status"),
        Index(None, "customer_number", "placed_on"),
    )

    number: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[int] = mapped_column(ForeignKey("csr_customers.number"))
    status: Mapped[str]
    placed_on: Mapped[date]
    expected_on: Mapped[date | None]
    delivered_on: Mapped[date | None]


class OrderLine(Row):
    """One article of an order. `settled` is what became of it: kept, returned or refunded; never two of them."""

    __tablename__ = "csr_order_lines"
    __table_args__ = (
        CheckConstraint("settled IN ('kept', 'returned', 'refunded')", name="settled"),
        CheckConstraint("quantity > 0 AND price_cents >= 0", name="amounts"),
    )

    order_number: Mapped[str] = mapped_column(ForeignKey("csr_orders.number"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    article: Mapped[str]
    quantity: Mapped[int]
    price_cents: Mapped[int]
    settled: Mapped[str] = mapped_column(server_default="kept")


class Ticket(Row):
    """What was done or asked for in a call. `customer_number` is null where the caller was not identified."""

    __tablename__ = "csr_tickets"
    __table_args__ = (
        UniqueConstraint("key"),
        CheckConstraint("kind IN ('question', 'return', 'refund', 'address')", name="kind"),
        ForeignKeyConstraint(["order_number", "line"], ["csr_order_lines.order_number", "csr_order_lines.line"]),
        Index(None, "customer_number", "created_at"),
        Index(None, "order_number", "line"),
    )

    reference: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str]
    kind: Mapped[str]
    call_sid: Mapped[str]
    customer_number: Mapped[int | None] = mapped_column(ForeignKey("csr_customers.number"))
    order_number: Mapped[str | None]
    line: Mapped[int | None]
    amount_cents: Mapped[int] = mapped_column(server_default="0")
    text: Mapped[str]
    phone: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Identified(Row):
    """Which customer a call has proved to be. One a call; it outlives a stream and a process."""

    __tablename__ = "csr_identified"

    call_sid: Mapped[str] = mapped_column(primary_key=True)
    customer_number: Mapped[int] = mapped_column(ForeignKey("csr_customers.number"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Tries(Row):
    """Attempts to be identified since the last good one, by whom they came from and by whom they claimed to be.

    `subject`: `from:NUMBER`, `call:CallSid` where the number is withheld, `claim:NUMBER`, whether or not there is such a customer.
    """

    __tablename__ = "csr_tries"

    subject: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]
