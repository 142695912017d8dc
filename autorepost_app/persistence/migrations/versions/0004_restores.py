"""A look before each send after the database was restored

Revision: 0004, after 0003

`restores` counts the times at which acknowledged commits were lost; `publications.looked_epoch` says up to which of them
a publication is known not to have been sent behind our back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "restores",
        sa.Column("epoch", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("lost_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("restored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="restores_pkey"),
    )
    op.add_column("publications", sa.Column("looked_epoch", sa.BigInteger(), server_default="0", nullable=False))
    for source in ("ready", "staging"):
        op.execute(f"insert into publication_moves values ('{source}', 'reconciling')")
    database = op.get_bind().execute(sa.text("select current_database()")).scalar_one()
    quote = op.get_bind().dialect.identifier_preparer.quote
    system = quote(f"{database}_system")
    op.execute("alter table restores enable row level security")
    op.execute("alter table restores force row level security")
    op.execute(f"create policy system_all on restores to {system} using (true) with check (true)")
    op.execute(f"grant select, insert on restores to {system}")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead: going back would forget which publications must be looked for")
