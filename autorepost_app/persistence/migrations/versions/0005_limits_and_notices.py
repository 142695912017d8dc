"""Limits as a ledger, and what platforms tell us on their own

Revision: 0005, after 0004

A call is counted under all its limits at once or not at all: `quota_reserve` does both in one statement of the caller's,
behind a lock for each limit, so that racing processes never count beyond one. What a platform itself says about a limit
is kept beside the count, and corrects it. A connection knows when its person last consented, because a notice speaks of
the grant that there was when it was written.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SYSTEM_ONLY = ("allowances", "notices")

LOCK = """
create function quota_lock(platform_key text, quotas text[], subjects text[]) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  lock_key bigint;
begin
  -- a count that a crash of the server forgets costs a refusal by the platform; waiting for the disk would cost each call
  perform set_config('synchronous_commit', 'off', true);
  -- always in the same order, so that nobody waits in a circle
  for lock_key in
    select distinct hashtextextended(concat_ws(chr(31), 'quota', platform_key, each.quota, each.subject), 0) as key
    from unnest(quotas, subjects) as each(quota, subject) order by key
  loop
    perform pg_advisory_xact_lock(lock_key);
  end loop;
end $$
"""

RESERVE = """
create function quota_reserve(
  platform_key text, at timestamptz, quotas text[], subjects text[],
  since timestamptz[], starts timestamptz[], ends timestamptz[], costs bigint[], limits bigint[]
) returns table (full_quota text, room_at timestamptz)
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
  perform quota_lock(platform_key, quotas, subjects);
  return query
    select wanted.quota, coalesce(greatest(told.closed_until, room.at), wanted.ends_at)
    from unnest(quotas, subjects, since, ends, costs, limits)
      as wanted(quota, subject, since, ends_at, cost, most)
    left join allowances told
      on told.platform = platform_key and told.quota = wanted.quota and told.subject = wanted.subject
    cross join lateral (
      select coalesce(sum(w.used), 0) as used from quota_windows w
      where w.platform = platform_key and w.quota = wanted.quota and w.subject = wanted.subject
        and w.starts_at >= wanted.since and w.ends_at > quota_reserve.at
    ) so_far
    left join lateral (
      select min(w.ends_at) as at from (
        select each.ends_at, so_far.used - sum(each.used) over (order by each.ends_at) as still
        from quota_windows each
        where each.platform = platform_key and each.quota = wanted.quota and each.subject = wanted.subject
          and each.starts_at >= wanted.since and each.ends_at > quota_reserve.at
      ) w
      where w.still + wanted.cost <= coalesce(told.granted, wanted.most)
    ) room on so_far.used + wanted.cost > coalesce(told.granted, wanted.most)
    where so_far.used + wanted.cost > coalesce(told.granted, wanted.most) or told.closed_until > quota_reserve.at;
  if not found then
    insert into quota_windows as w (platform, quota, subject, starts_at, ends_at, used)
    select platform_key, each.* from unnest(quotas, subjects, starts, ends, costs) as each
    on conflict (platform, quota, subject, starts_at)
    do update set used = w.used + excluded.used, ends_at = greatest(w.ends_at, excluded.ends_at);
  end if;
end $$
"""

SETTLE = """
create function quota_settle(
  platform_key text, at timestamptz, quota_name text, whose text,
  since timestamptz, ends timestamptz, fresh_after timestamptz, most bigint,
  told_limit bigint, told_remaining bigint, told_reset timestamptz
) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
  granted_now bigint;
  counted bigint;
  fresh bigint;
  seen bigint;
begin
  perform quota_lock(platform_key, array[quota_name], array[whose]);
  insert into allowances as a (platform, quota, subject, granted, closed_until, told_at)
  values (platform_key, quota_name, whose, told_limit, case when coalesce(told_remaining, 0) <= 0 then told_reset end, at)
  on conflict (platform, quota, subject) do update set
    granted = coalesce(excluded.granted, a.granted),
    closed_until = case when told_remaining > 0 then null else coalesce(excluded.closed_until, a.closed_until) end,
    told_at = excluded.told_at
  returning coalesce(a.granted, most) into granted_now;
  if told_remaining is null or granted_now is null then
    return;
  end if;
  select coalesce(sum(w.used), 0), coalesce(sum(w.used) filter (where w.ends_at > fresh_after), 0)
  into counted, fresh
  from quota_windows w
  where w.platform = platform_key and w.quota = quota_name and w.subject = whose
    and w.starts_at >= since and w.ends_at > quota_settle.at;
  seen := greatest(granted_now - told_remaining, 0);
  if seen > counted then
    insert into quota_windows as w (platform, quota, subject, starts_at, ends_at, used)
    values (platform_key, quota_name, whose, quota_settle.at, least(ends, told_reset), seen - counted)
    on conflict (platform, quota, subject, starts_at)
    do update set used = w.used + excluded.used, ends_at = greatest(w.ends_at, excluded.ends_at);
  elsif counted > seen + fresh then
    -- the oldest go first; as many as are of just now stay, which the platform may not have seen yet
    update quota_windows w set used = w.used - cut.n
    from (
      select each.starts_at, least(each.used, greatest(0,
        counted - seen - fresh - (sum(each.used) over (order by each.ends_at, each.starts_at) - each.used))) as n
      from quota_windows each
      where each.platform = platform_key and each.quota = quota_name and each.subject = whose
        and each.starts_at >= since and each.ends_at > quota_settle.at
    ) cut
    where w.platform = platform_key and w.quota = quota_name and w.subject = whose and w.starts_at = cut.starts_at;
  end if;
end $$
"""


def upgrade() -> None:
    op.drop_column("quota_windows", "closed_until")
    consented_at = sa.Column("consented_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.add_column("connections", consented_at)
    op.execute("update connections set consented_at = connected_at")
    op.create_table(
        "allowances",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("quota", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=True),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "quota", "subject", name="allowances_pkey"),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="notices_pkey"),
        sa.UniqueConstraint("platform", "key", name="notices_platform_key_key"),
        sa.UniqueConstraint("code", name="notices_code_key"),
    )
    op.create_index("notices_waiting_idx", "notices", ["id"], postgresql_where=sa.text("worked_at is null"))
    for function in (LOCK, RESERVE, SETTLE):
        op.execute(function)
    _close_to_tenants()


def _close_to_tenants() -> None:
    """Both speak of accounts of every tenant: workers read them, and services tell each tenant its own."""
    database = op.get_bind().execute(sa.text("select current_database()")).scalar_one()
    system = op.get_bind().dialect.identifier_preparer.quote(f"{database}_system")
    for table in SYSTEM_ONLY:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy system_all on {table} to {system} using (true) with check (true)")
        op.execute(f"grant select, insert, update, delete on {table} to {system}")
    for function in ("quota_lock", "quota_reserve", "quota_settle"):
        op.execute(f"revoke execute on function {function} from public")
        op.execute(f"grant execute on function {function} to {system}")


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead: going back would forget what of each limit is used")
