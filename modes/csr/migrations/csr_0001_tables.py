"""Customers, orders, order lines, tickets; who was identified in which call, and how often it was tried."""

import sqlalchemy as sa
from alembic import op

revision = "csr_0001"
down_revision = None
branch_labels = ("csr",)

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the mode's tables."""
    op.create_table(
        "csr_customers",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("street", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_csr_customers"),
        sa.UniqueConstraint("phone", name="uq_csr_customers_phone"),
    )
    op.create_table(
        "csr_orders",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("placed_on", sa.Date(), nullable=False),
        sa.Column("expected_on", sa.Date()),
        sa.Column("delivered_on", sa.Date()),
        sa.PrimaryKeyConstraint("number", name="pk_csr_orders"),
        sa.ForeignKeyConstraint(
            ["customer_number"], ["csr_customers.number"], name="fk_csr_orders_customer_number_csr_customers"
        ),
        sa.CheckConstraint("status IN ('placed', 'shipped', 'delivered', 'cancelled')", name="ck_csr_orders_status"),
    )
    op.create_index("ix_csr_orders_customer_number_placed_on", "csr_orders", ["customer_number", "placed_on"])
    op.create_table(
        "csr_order_lines",
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price_cents", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Text(), nullable=False, server_default="kept"),
        sa.PrimaryKeyConstraint("order_number", "line", name="pk_csr_order_lines"),
        sa.ForeignKeyConstraint(
            ["order_number"], ["csr_orders.number"], name="fk_csr_order_lines_order_number_csr_orders"
        ),
        sa.CheckConstraint("settled IN ('kept', 'returned', 'refunded')", name="ck_csr_order_lines_settled"),
        sa.CheckConstraint("quantity > 0 AND price_cents >= 0", name="ck_csr_order_lines_amounts"),
    )
    op.create_table(
        "csr_tickets",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("customer_number", sa.Integer()),
        sa.Column("order_number", sa.Text()),
        sa.Column("line", sa.Integer()),
        sa.Column("amount_cents", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("reference", name="pk_csr_tickets"),
        sa.UniqueConstraint("key", name="uq_csr_tickets_key"),
        sa.ForeignKeyConstraint(
            ["customer_number"], ["csr_customers.number"], name="fk_csr_tickets_customer_number_csr_customers"
        ),
        sa.ForeignKeyConstraint(
            ["order_number", "line"],
            ["csr_order_lines.order_number", "csr_order_lines.line"],
            name="fk_csr_tickets_order_number_line_csr_order_lines",
        ),
        sa.CheckConstraint("kind IN ('question', 'return', 'refund', 'address')", name="ck_csr_tickets_kind"),
    )
    op.create_index("ix_csr_tickets_customer_number_created_at", "csr_tickets", ["customer_number", "created_at"])
    op.create_index("ix_csr_tickets_order_number_line", "csr_tickets", ["order_number", "line"])
    op.create_table(
        "csr_identified",
        sa.Column("call_sid", sa.Text(), nullable=False),
        sa.Column("customer_number", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("call_sid", name="pk_csr_identified"),
        sa.ForeignKeyConstraint(
            ["customer_number"], ["csr_customers.number"], name="fk_csr_identified_customer_number_csr_customers"
        ),
    )
    op.create_table(
        "csr_tries",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_csr_tries"),
    )


def downgrade() -> None:
    """Take the mode's tables away, with all that is in them: `alembic downgrade csr@base`, before its folder is removed."""
    for name in ("csr_tries", "csr_identified", "csr_tickets", "csr_order_lines", "csr_orders", "csr_customers"):
        op.drop_table(name)
