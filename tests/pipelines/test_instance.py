"""Is everything in place before Dagster's first process starts, and does our dagster.yaml mean what we think?"""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.config import PoolGranularity, dagster_instance_config
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_aws.s3 import S3ComputeLogManager

from autorepost_pipelines.launcher import WarmForkLauncher
from autorepost_pipelines.prepare import prepare_home
from autorepost_pipelines.storage import PooledPostgresStorage, create_schema

REPO = Path(__file__).resolve().parents[2]
TEMPLATE = REPO / "dagster.yaml"


@pytest.fixture(autouse=True)
def _url_in_the_environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_URL", database_url)


def test_the_home_is_private_and_made_anew_at_every_start(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    target = prepare_home(home, TEMPLATE)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    target.write_text("telemetry: {enabled: true}")
    assert yaml.safe_load(prepare_home(home, TEMPLATE).read_text()) == yaml.safe_load(TEMPLATE.read_text())
    assert [path.name for path in home.iterdir()] == ["dagster.yaml"]


def test_our_settings_reach_dagster(tmp_path: Path) -> None:
    prepare_home(tmp_path, TEMPLATE)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, WarmForkLauncher)
        assert isinstance(instance.compute_log_manager, LocalComputeLogManager)
        assert (instance.run_coordinator.dequeue_interval_seconds, instance.run_coordinator.dequeue_num_workers) == (
            1,
            4,
        )
        assert instance.run_coordinator.dequeue_use_threads
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config.max_concurrent_runs == 16
        assert concurrency.pool_config.pool_granularity == PoolGranularity.OP
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_step_logs_go_beside_the_media_where_that_is_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")  # else boto3 asks the cloud it may run in
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    prepare_home(tmp_path, TEMPLATE, store_url="s3://clips/autorepost")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        logs = instance.compute_log_manager
        assert isinstance(logs, S3ComputeLogManager)
        assert logs._s3_bucket == "clips"
        assert logs._s3_prefix == "autorepost/dagster"


def test_step_logs_stay_at_home_with_a_local_store(tmp_path: Path) -> None:
    target = prepare_home(tmp_path, TEMPLATE, store_url="file:///var/lib/autorepost/store")
    assert "compute_logs" not in yaml.safe_load(target.read_text())


def test_a_section_can_be_replaced_for_another_way_to_run(tmp_path: Path) -> None:
    elsewhere = {"module": "dagster", "class": "DefaultRunLauncher", "config": {}}
    prepare_home(tmp_path, TEMPLATE, overrides={"run_launcher": elsewhere})
    settings, _ = dagster_instance_config(str(tmp_path))
    assert settings["run_launcher"] == elsewhere


def test_pools_get_their_limits_and_keep_the_newest(empty_database_url: str) -> None:
    create_schema(empty_database_url, {"transcode": 1, "somewhere": 4})
    create_schema(empty_database_url, {"transcode": 2})
    limits = PooledPostgresStorage(empty_database_url).event_log_storage.get_pool_limits()
    assert {limit.name: limit.limit for limit in limits} == {"transcode": 2, "somewhere": 4}


def test_contract_the_workspace_names_one_location() -> None:
    [entry] = yaml.safe_load((REPO / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"]["location_name"] == "autorepost"
    assert entry["python_module"]["module_name"] == "autorepost_pipelines.definitions"


NAME_THE_LAUNCHER = """
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
with get_possibly_temporary_instance_for_cli() as instance:
    print(type(instance.run_launcher).__name__)
"""


def test_the_repository_root_is_a_home_as_it_is(tmp_path: Path) -> None:
    """What `dagster dev` does there: without DAGSTER_HOME it reads dagster.yaml in the current folder."""
    (tmp_path / "dagster.yaml").write_text(TEMPLATE.read_text())
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    command = [sys.executable, "-c", NAME_THE_LAUNCHER]
    environment["PYTHONPATH"] = str(REPO)
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "WarmForkLauncher\n"
