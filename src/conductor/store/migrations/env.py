"""Alembic's entry: it runs on the connection that `upgrade` opened."""

from alembic import context

from conductor.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
