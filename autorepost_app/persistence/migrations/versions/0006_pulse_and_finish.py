"""What a source's pulse was, and when there is next something to finish on a published post

Revision: 0006, after 0005

`finish_at` is set from the start and cleared when nothing is left to do; only rows of platforms with finishing steps
are ever looked at, by the partial index.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("pulse", sa.Text(), nullable=True))
    op.add_column("connections", sa.Column("pulsed_at", sa.DateTime(timezone=True), nullable=True))
    column = sa.Column("finish_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True)
    op.add_column("publications", column)
    op.create_index(
        "publications_finish_idx",
        "publications",
        ["platform", "finish_at"],
        postgresql_where=sa.text("state = 'published' and finish_at is not null"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
