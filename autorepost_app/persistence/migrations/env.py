"""Alembic's entry: runs over the connection that `schema.upgrade` hands in, never over one of its own."""

from alembic import context

from autorepost_app.persistence.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
