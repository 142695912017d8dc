"""The tables of the first version

Revision: 0001, the first
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('quota_windows',
    sa.Column('platform', sa.Text(), nullable=False),
    sa.Column('quota', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('starts_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('closed_until', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('platform', 'quota', 'subject', 'starts_at', name=op.f('quota_windows_pkey'))
    )
    op.create_table('settings',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('value', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('sealed', sa.LargeBinary(), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('settings_pkey'))
    )
    op.create_table('tenants',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('zone', sa.Text(), server_default='UTC', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('suspended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('tenants_pkey')),
    sa.UniqueConstraint('slug', name=op.f('tenants_slug_key'))
    )
    op.create_table('users',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('display_name', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('email = lower(email)', name=op.f('users_email_lower_check')),
    sa.PrimaryKeyConstraint('id', name=op.f('users_pkey')),
    sa.UniqueConstraint('email', name=op.f('users_email_key'))
    )
    op.create_table('activity',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('detail', sa.Text(), server_default='', nullable=False),
    sa.Column('connection_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('rule_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('post_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('publication_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('activity_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('activity_pkey'))
    )
    op.create_index('activity_newest_idx', 'activity', ['tenant_id', sa.literal_column('id desc')], unique=False)
    op.create_index(op.f('activity_post_id_idx'), 'activity', ['post_id'], unique=False)
    op.create_table('connections',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('platform', sa.Text(), nullable=False),
    sa.Column('login', sa.Text(), nullable=False),
    sa.Column('external_account_id', sa.Text(), nullable=False),
    sa.Column('handle', sa.Text(), nullable=False),
    sa.Column('display_name', sa.Text(), server_default='', nullable=False),
    sa.Column('avatar_url', sa.Text(), nullable=True),
    sa.Column('profile_url', sa.Text(), nullable=True),
    sa.Column('traits', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('status', sa.Text(), server_default='active', nullable=False),
    sa.Column('status_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('scopes', postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    sa.Column('access_token_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('refresh_token_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('access_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('refresh_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('token_issued_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('token_extra', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('token_version', sa.BigInteger(), server_default='1', nullable=False),
    sa.Column('connected_by', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('connected_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_refreshed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_success_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_polled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deep_polled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('poll_not_before_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('poll_faults', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('watermark_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status in ('active', 'needs_reconnect', 'disconnected')", name=op.f('connections_status_check')),
    sa.ForeignKeyConstraint(['connected_by'], ['users.id'], name=op.f('connections_connected_by_fkey'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('connections_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('connections_pkey')),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('connections_tenant_id_id_key')),
    sa.UniqueConstraint('tenant_id', 'platform', 'external_account_id', name=op.f('connections_tenant_id_platform_external_account_id_key'))
    )
    op.create_index(op.f('connections_platform_external_account_id_idx'), 'connections', ['platform', 'external_account_id'], unique=False)
    op.create_table('memberships',
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('user_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('memberships_tenant_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('memberships_user_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('tenant_id', 'user_id', name=op.f('memberships_pkey'))
    )
    op.create_table('consents',
    sa.Column('state_sha256', sa.Text(), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('user_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('connection_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('platform', sa.Text(), nullable=False),
    sa.Column('login', sa.Text(), nullable=False),
    sa.Column('redirect_uri', sa.Text(), nullable=False),
    sa.Column('verifier_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'connection_id'], ['connections.tenant_id', 'connections.id'], name=op.f('consents_tenant_id_connection_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('consents_tenant_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('consents_user_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('state_sha256', name=op.f('consents_pkey'))
    )
    op.create_table('posts',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('connection_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('platform', sa.Text(), nullable=False),
    sa.Column('external_account_id', sa.Text(), nullable=False),
    sa.Column('external_post_id', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('caption', sa.Text(), nullable=False),
    sa.Column('full_caption', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('cover_url', sa.Text(), nullable=True),
    sa.Column('duration_seconds', sa.Double(), nullable=True),
    sa.Column('width', sa.BigInteger(), nullable=True),
    sa.Column('height', sa.BigInteger(), nullable=True),
    sa.Column('counts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('posted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('detected_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('offered_until', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'connection_id'], ['connections.tenant_id', 'connections.id'], name=op.f('posts_tenant_id_connection_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('posts_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('posts_pkey')),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('posts_tenant_id_id_key')),
    sa.UniqueConstraint('tenant_id', 'platform', 'external_account_id', 'external_post_id', name=op.f('posts_tenant_id_platform_external_account_id_external_post_id_key'))
    )
    op.create_index('posts_newest_idx', 'posts', ['tenant_id', sa.literal_column('posted_at desc')], unique=False)
    op.create_index(op.f('posts_platform_external_account_id_external_post_id_idx'), 'posts', ['platform', 'external_account_id', 'external_post_id'], unique=False)
    op.create_table('rules',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('source_connection_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('filter', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('delay_seconds', sa.Double(), server_default='0', nullable=False),
    sa.Column('watermark_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'source_connection_id'], ['connections.tenant_id', 'connections.id'], name=op.f('rules_tenant_id_source_connection_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('rules_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('rules_pkey')),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('rules_tenant_id_id_key'))
    )
    op.create_index(op.f('rules_tenant_id_source_connection_id_idx'), 'rules', ['tenant_id', 'source_connection_id'], unique=False)
    op.create_table('originals',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('post_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('store_key', sa.Text(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('thumbnail_key', sa.Text(), nullable=True),
    sa.Column('fetched_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('fetch_seconds', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'post_id'], ['posts.tenant_id', 'posts.id'], name=op.f('originals_tenant_id_post_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('originals_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('originals_pkey')),
    sa.UniqueConstraint('post_id', name=op.f('originals_post_id_key')),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('originals_tenant_id_id_key'))
    )
    op.create_index(op.f('originals_tenant_id_sha256_idx'), 'originals', ['tenant_id', 'sha256'], unique=False)
    op.create_table('rule_destinations',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('rule_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('connection_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('template', sa.Text(), nullable=False),
    sa.Column('options', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'connection_id'], ['connections.tenant_id', 'connections.id'], name=op.f('rule_destinations_tenant_id_connection_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id', 'rule_id'], ['rules.tenant_id', 'rules.id'], name=op.f('rule_destinations_tenant_id_rule_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('rule_destinations_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('rule_destinations_pkey')),
    sa.UniqueConstraint('tenant_id', 'rule_id', 'connection_id', name=op.f('rule_destinations_tenant_id_rule_id_connection_id_key'))
    )
    op.create_index(op.f('rule_destinations_tenant_id_idx'), 'rule_destinations', ['tenant_id'], unique=False)
    op.create_table('renditions',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('original_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('spec', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('store_key', sa.Text(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('make_seconds', sa.Double(), nullable=False),
    sa.Column('cpu_seconds', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'original_id'], ['originals.tenant_id', 'originals.id'], name=op.f('renditions_tenant_id_original_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('renditions_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('renditions_pkey')),
    sa.UniqueConstraint('original_id', 'spec', name=op.f('renditions_original_id_spec_key')),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('renditions_tenant_id_id_key'))
    )
    op.create_index(op.f('renditions_tenant_id_idx'), 'renditions', ['tenant_id'], unique=False)
    op.create_table('publications',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('post_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('rule_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('connection_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('platform', sa.Text(), nullable=False),
    sa.Column('external_account_id', sa.Text(), nullable=False),
    sa.Column('source_platform', sa.Text(), nullable=False),
    sa.Column('source_post_id', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='detected', nullable=False),
    sa.Column('state_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('publish_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('waiting_for', sa.Text(), server_default='', nullable=False),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('remedy', sa.Text(), server_default='', nullable=False),
    sa.Column('faults', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('template', sa.Text(), nullable=False),
    sa.Column('options', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('text', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('rendition_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('fingerprint', sa.Text(), nullable=True),
    sa.Column('attempt_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('lease_owner', sa.Text(), nullable=True),
    sa.Column('lease_epoch', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('send_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('external_id', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('detected', 'preparing', 'ready', 'staging', 'committing', 'unknown', 'reconciling', 'needs_review', 'published', 'failed', 'skipped', 'cancelled', 'dropped')", name=op.f('publications_state_check')),
    sa.ForeignKeyConstraint(['tenant_id', 'connection_id'], ['connections.tenant_id', 'connections.id'], name=op.f('publications_tenant_id_connection_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id', 'post_id'], ['posts.tenant_id', 'posts.id'], name=op.f('publications_tenant_id_post_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id', 'rendition_id'], ['renditions.tenant_id', 'renditions.id'], name=op.f('publications_tenant_id_rendition_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id', 'rule_id'], ['rules.tenant_id', 'rules.id'], name=op.f('publications_tenant_id_rule_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('publications_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('publications_pkey')),
    sa.UniqueConstraint('platform', 'external_account_id', 'source_platform', 'source_post_id', name='publications_identity_key'),
    sa.UniqueConstraint('tenant_id', 'id', name=op.f('publications_tenant_id_id_key'))
    )
    op.create_index(op.f('publications_connection_id_idx'), 'publications', ['connection_id'], unique=False)
    op.create_index('publications_due_idx', 'publications', ['state', 'due_at'], unique=False)
    op.create_index('publications_newest_idx', 'publications', ['tenant_id', sa.literal_column('created_at desc')], unique=False)
    op.create_index(op.f('publications_post_id_idx'), 'publications', ['post_id'], unique=False)
    op.create_table('attempts',
    sa.Column('id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('publication_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.Column('epoch', sa.BigInteger(), nullable=False),
    sa.Column('handles', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('secret_handles_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('intended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('send_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.Text(), nullable=True),
    sa.Column('verdict', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'publication_id'], ['publications.tenant_id', 'publications.id'], name=op.f('attempts_tenant_id_publication_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('attempts_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('attempts_pkey')),
    sa.UniqueConstraint('publication_id', 'number', name=op.f('attempts_publication_id_number_key'))
    )
    op.create_index(op.f('attempts_tenant_id_idx'), 'attempts', ['tenant_id'], unique=False)
    op.create_table('evidence',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('tenant_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('publication_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('attempt_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('epoch', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('proof', sa.Text(), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('detail', sa.Text(), server_default='', nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("kind in ('live', 'absent', 'not_done', 'unclear', 'undecided', 'not_sent')", name=op.f('evidence_kind_check')),
    sa.ForeignKeyConstraint(['tenant_id', 'publication_id'], ['publications.tenant_id', 'publications.id'], name=op.f('evidence_tenant_id_publication_id_fkey')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenants.id'], name=op.f('evidence_tenant_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('evidence_pkey'))
    )
    op.create_index('evidence_late_idx', 'evidence', ['publication_id'], unique=False, postgresql_where=sa.text("source = 'late_answer' and kind = 'live'"))
    op.create_index(op.f('evidence_publication_id_id_idx'), 'evidence', ['publication_id', 'id'], unique=False)
    op.create_index(op.f('evidence_tenant_id_idx'), 'evidence', ['tenant_id'], unique=False)


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first revision; restore a backup instead")
