"""What Alembic runs: the migrations, within the transaction that gesso.store.upgrade opened."""

from __future__ import annotations

from alembic import context

from gesso.store.schema import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,  # both databases can; Alembic assumes SQLite cannot
)
context.run_migrations()
