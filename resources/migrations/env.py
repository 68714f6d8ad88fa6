"""Run by Alembic, on the connection that `access_database.py` gives it, or that `sqlalchemy.url` of a developer's command names."""

from alembic import context
from sqlalchemy import create_engine

import resources.access_store
import resources.audit_log  # noqa: F401  # with this, every table is known
from resources.access_database import METADATA, VERSION_TABLE

given = context.config.attributes.get("connection")
connection = given if given is not None else create_engine(context.config.get_main_option("sqlalchemy.url") or "sqlite://").connect()
is_sqlite = connection.dialect.name == "sqlite"
context.configure(connection=connection, target_metadata=METADATA, version_table=VERSION_TABLE, render_as_batch=is_sqlite)
with context.begin_transaction():
    context.run_migrations()
if given is None:
    connection.commit()
    connection.close()
