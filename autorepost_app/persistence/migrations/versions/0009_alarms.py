"""Alarms, and what a watch needs to look at a large table without reading it

Revision: 0009, after 0008

`check_at` is when a publication that has come to rest is next looked for on its platform. Each move sets it; what came
to rest long ago is left alone, what did so in the last days is looked at. The partial indexes hold what is unfinished,
what is leased, what is to be checked and, by time, what has ended: never more than a watch has to see.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UNFINISHED = "state in ('detected', 'preparing', 'ready', 'staging', 'committing', 'unknown', 'reconciling')"
ENDED = "state in ('published', 'failed', 'skipped', 'cancelled', 'dropped')"
CHECKED = "check_at is not null and state in ('published', 'failed', 'skipped', 'cancelled', 'dropped', 'needs_review')"


def upgrade() -> None:
    op.add_column("publications", sa.Column("check_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"update publications set check_at = now() where {ENDED} and state_at > now() - interval '3 days'")
    for name, columns, condition in (
        ("publications_unfinished_idx", ["publish_at", "state", "platform"], UNFINISHED),
        ("publications_leased_idx", ["lease_until"], "lease_until is not null"),
        ("publications_check_idx", ["check_at"], CHECKED),
        ("publications_ended_idx", ["state_at", "state", "platform"], ENDED),
    ):
        op.create_index(name, "publications", columns, postgresql_where=sa.text(condition))
    op.create_table(
        "alarms",
        sa.Column("watch", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("since_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("about", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("watch", "subject", name="alarms_pkey"),
    )
    _close_to_tenants()


def _close_to_tenants() -> None:
    """They speak of every tenant's things; services tell each tenant what concerns it."""
    database = op.get_bind().execute(sa.text("select current_database()")).scalar_one()
    system = op.get_bind().dialect.identifier_preparer.quote(f"{database}_system")
    op.execute("alter table alarms enable row level security")
    op.execute("alter table alarms force row level security")
    op.execute(f"create policy system_all on alarms to {system} using (true) with check (true)")
    op.execute(f"grant select, insert, update, delete on alarms to {system}")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
