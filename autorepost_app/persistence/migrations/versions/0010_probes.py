"""Which accounts had faults, and who goes first

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("circuits", "last_account")
    op.add_column("circuits", sa.Column("accounts", sa.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("circuits", sa.Column("probe_by", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
