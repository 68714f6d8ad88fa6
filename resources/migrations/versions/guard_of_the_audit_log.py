"""The guard against changed entries of the audit log on Postgres too; SQLite has had it from the beginning."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the guard. It helps against accidents; what holds against intent is the chain."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION textmill_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries "
            "FOR EACH ROW EXECUTE FUNCTION textmill_append_only()"
        )


def downgrade() -> None:
    """Remove it."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_entries_append_only ON audit_entries")
        op.execute("DROP FUNCTION textmill_append_only()")
