"""When a source is expected to post

Revision: 0007, after 0006

48 numbers, posts a day for each half hour of the UTC day. Empty until the source was read once; learnt anew from its
posts whenever there are new ones, so that nothing is lost with them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("expected_posts", sa.ARRAY(sa.REAL()), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
