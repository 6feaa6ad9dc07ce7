"""What Alembic runs for an upgrade: the caller's connection, the caller's transaction."""

from alembic import context

from gateway.storage.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
