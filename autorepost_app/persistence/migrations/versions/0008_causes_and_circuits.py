"""Why a publication waits or has failed, by a name that groups; and platforms that do not answer for a while

Revision: 0008, after 0007

`cause` is the code of the verdict behind `waiting_for` or `reason`, empty where there is none. A circuit with an empty
account is about the platform as a whole.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("publications", sa.Column("cause", sa.Text(), server_default="", nullable=False))
    op.create_index("publications_cause_idx", "publications", ["tenant_id", "state", "platform", "cause"])
    op.create_table(
        "circuits",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("faults", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_account", sa.Text(), server_default="", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("openings", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("platform", "account", name="circuits_pkey"),
    )
    _close_to_tenants()


def _close_to_tenants() -> None:
    """They speak of accounts of every tenant; services tell each tenant what concerns it."""
    database = op.get_bind().execute(sa.text("select current_database()")).scalar_one()
    system = op.get_bind().dialect.identifier_preparer.quote(f"{database}_system")
    op.execute("alter table circuits enable row level security")
    op.execute("alter table circuits force row level security")
    op.execute(f"create policy system_all on circuits to {system} using (true) with check (true)")
    op.execute(f"grant select, insert, update, delete on circuits to {system}")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
