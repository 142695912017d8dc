"""What the database itself refuses: forbidden moves, edited evidence, a look into another tenant

Revision: 0002, after 0001

The pairs of states are frozen here as they were when this revision was written; a test compares what the newest
revision leaves in the database with the table of moves in the code.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PAIRS = """
detected preparing|detected skipped|detected cancelled
preparing ready|preparing skipped|preparing failed|preparing cancelled
ready staging|ready cancelled
staging cancelled|staging ready|staging failed|staging committing|staging published
committing published|committing staging|committing ready|committing failed|committing unknown
unknown reconciling
reconciling published|reconciling staging|reconciling ready|reconciling failed|reconciling needs_review
needs_review published|needs_review ready|needs_review dropped
failed ready|failed preparing|failed published
cancelled published
dropped published
"""

TENANT_TABLES = {
    # table: what the application's role may do beside reading
    "connections": "insert, update",
    "consents": "insert, update, delete",
    "rules": "insert, update",
    "rule_destinations": "insert, update, delete",
    "memberships": "insert, update, delete",
    "posts": "",
    "originals": "",
    "renditions": "",
    "publications": "update",
    "attempts": "",
    "evidence": "insert",
    "activity": "insert",
}
SYSTEM_ONLY = ("quota_windows", "settings")

GUARD_PUBLICATIONS = """
create function publications_guard() returns trigger language plpgsql as $$
begin
  if (new.platform, new.external_account_id, new.source_platform, new.source_post_id, new.tenant_id, new.post_id)
     is distinct from
     (old.platform, old.external_account_id, old.source_platform, old.source_post_id, old.tenant_id, old.post_id) then
    raise exception 'the identity of a publication never changes' using errcode = 'check_violation';
  end if;
  if new.lease_epoch < old.lease_epoch then
    raise exception 'a lease epoch never falls' using errcode = 'check_violation';
  end if;
  if new.state is distinct from old.state
     and not exists (select from publication_moves where source = old.state and target = new.state) then
    raise exception 'a publication cannot go from % to %', old.state, new.state using errcode = 'check_violation';
  end if;
  return new;
end $$
"""

APPEND_ONLY = """
create function append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'check_violation';
end $$
"""


def upgrade() -> None:
    _guard_publications()
    _append_only("evidence")
    _append_only("activity")
    database = op.get_bind().execute(sa.text("select current_database()")).scalar_one()
    quote = op.get_bind().dialect.identifier_preparer.quote
    _grant(quote(f"{database}_app"), quote(f"{database}_system"), quote(f"{database}_dagster"), quote(database))


def _guard_publications() -> None:
    op.create_table(
        "publication_moves",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "target", name="publication_moves_pkey"),
    )
    for pair in PAIRS.replace("\n", "|").split("|"):
        if pair:
            source, target = pair.split()
            op.execute(f"insert into publication_moves values ('{source}', '{target}')")
    op.execute(GUARD_PUBLICATIONS)
    op.execute(
        "create trigger publications_guard before update on publications"
        " for each row execute function publications_guard()"
    )
    op.execute(APPEND_ONLY)
    op.execute(
        "create trigger publications_kept before truncate on publications"
        " for each statement execute function append_only()"
    )


def _append_only(table: str) -> None:
    """Rows go only with their whole tenant, which the owner of the database removes."""
    op.execute(f"create trigger {table}_kept before update on {table} for each row execute function append_only()")
    op.execute(
        f"create trigger {table}_kept_all before truncate on {table} for each statement execute function append_only()"
    )


def _grant(app: str, system: str, dagster: str, database: str) -> None:
    op.execute("revoke all on schema public from public")
    op.execute(f"grant usage on schema public to {app}, {system}")
    op.execute(f"create schema if not exists dagster authorization {dagster}")
    op.execute(f"grant connect on database {database} to {app}, {system}, {dagster}")
    # `select` without the subquery is evaluated for each row; with it once for each statement
    own = "tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid)"
    for table, more in TENANT_TABLES.items():
        _protect(table, app, system, own, more)
    _protect("tenants", app, system, own.replace("tenant_id =", "id ="), "update (name, zone)")
    members = f"exists (select from memberships m where m.user_id = users.id and m.{own})"
    _protect("users", app, system, members, "")
    for table in SYSTEM_ONLY:
        _protect(table, app, system, None, "")
    op.execute(f"grant select on publication_moves to {app}, {system}")
    op.execute(f"revoke update, delete on evidence, activity from {system}")


def _protect(table: str, app: str, system: str, visible: str | None, more: str) -> None:
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy system_all on {table} to {system} using (true) with check (true)")
    op.execute(f"grant select, insert, update, delete on {table} to {system}")
    if visible is None:
        return
    op.execute(f"create policy own_tenant on {table} to {app} using ({visible}) with check ({visible})")
    op.execute(f"grant {', '.join(filter(None, ('select', more)))} on {table} to {app}")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead: going back would drop the guards that keep posts single")
