"""Does the graph that operators see stay as it was drawn? A change of the snapshot is a change of the contract.

`UPDATE_SNAPSHOTS=1` writes it anew; read the difference before it is committed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from autorepost_pipelines import definitions
from autorepost_pipelines.definitions import defs
from autorepost_pipelines.keys import destination_keys, pool_limits

SNAPSHOT = Path(__file__).with_name("graph.txt")


def _asset_lines(spec: dg.AssetSpec, asset: dg.AssetsDefinition) -> Iterator[str]:
    yield f"asset {spec.key.to_user_string()}"
    yield f"  deps: {', '.join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)) or 'none'}"
    yield f"  group: {spec.group_name}, kinds: {', '.join(sorted(spec.kinds))}, owners: {', '.join(spec.owners)}"
    yield f"  partitions: {asset.partitions_def.name if asset.partitions_def else 'none'}"
    yield f"  says: {spec.description}"
    for check in asset.check_specs:
        yield f"  check: {check.name}: {check.description}"
    yield from sorted({_step_line(op) for op in asset.node_def.iterate_op_defs()})


def _step_line(op: dg.OpDefinition) -> str:
    """The steps of destinations are drawn as one, so that a new platform changes no drawing."""
    retries = f", at most {op.retry_policy.max_retries} retries" if op.retry_policy else ""
    if op.pool in destination_keys() and op.name == f"publish_{op.pool}":
        return f"  step publish_<destination>: pool <destination>{retries}"
    return f"  step {op.name}: pool {op.pool or 'none'}{retries}"


def _trigger_lines(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        targets = ", ".join(sorted(target.job_name for target in sensor.targets)) or "no job"
        yield f"sensor {sensor.name}: {sensor.sensor_type.value}, every {sensor.minimum_interval_seconds} s, {targets},"
        yield f"  {sensor.default_status.value}: {sensor.description}"
    for schedule in repository.schedule_defs:
        yield f"schedule {schedule.name}: {schedule.cron_schedule} {schedule.execution_timezone}, {schedule.job_name},"
        yield f"  {schedule.default_status.value}"


def _job_lines(repository: dg.RepositoryDefinition) -> Iterator[str]:
    for name in sorted(repository.job_names):
        if not name.startswith("__"):
            job = repository.get_job(name)
            steps = ", ".join(sorted(node.name for node in job.nodes))
            yield f"job {name} ({job.executor_def.name}): {steps}"
            yield f"  says: {job.description}"


def _graph() -> str:
    repository = defs.get_repository_def()
    lines: list[str] = []
    for asset in repository.assets_defs_by_key.values():
        lines += [line for spec in asset.specs for line in _asset_lines(spec, asset)]
    return "\n".join([*lines, *_job_lines(repository), *_trigger_lines(repository)]) + "\n"


def test_the_graph_is_the_one_that_was_drawn() -> None:
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(_graph())
    assert _graph() == SNAPSHOT.read_text()


def test_the_definitions_fit_on_a_page() -> None:
    assert len(Path(definitions.__file__).read_text().splitlines()) <= 40


def test_a_step_that_may_send_is_never_repeated_by_dagster() -> None:
    publications = defs.get_assets_def("publications").node_def
    sending = [op for op in publications.iterate_op_defs() if op.name.startswith("publish_")]
    assert [op.name for op in sending] == [f"publish_{key}" for key in destination_keys()]
    assert all(op.retry_policy is None for op in publications.iterate_op_defs()), "the last of them sends as well"


def test_every_pool_of_the_graph_has_a_limit() -> None:
    used = {op.pool for asset in defs.assets or [] for op in asset.node_def.iterate_op_defs() if op.pool}
    assert used <= pool_limits().keys()
    assert pool_limits(3)["transcode"] == 3
