"""All tables of the house at once, for whoever goes through them: revisions, retention, what is known of a caller."""

from app.adapters import business_tables, delivery_tables, outbound_tables, tables

PARTS = (tables, business_tables, delivery_tables, outbound_tables)
(METADATA,) = {part.metadata for part in PARTS}
"""Whole, as each part has put its tables into it."""
