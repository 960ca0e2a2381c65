"""Runs the migrations on the connection that `parley.store.migrate` hands over; offline it prints their SQL."""

from alembic import context

from parley.store.schema import metadata

connection = context.config.attributes.get("connection")

if connection is None:
    context.configure(
        dialect_name=context.config.attributes["dialect"],
        target_metadata=metadata,
        output_buffer=context.config.attributes["output"],
        literal_binds=True,
    )
else:
    # SQLite can undo DDL, and our connection begins its transactions itself: a migration is whole or it is not there.
    can_undo = connection.dialect.name in {"sqlite", "postgresql"}
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=can_undo)

with context.begin_transaction():
    context.run_migrations()
