"""Does a run start warm, can it be stopped, and is a killed one noticed?"""

import os
import signal

from dagster import DagsterRunStatus


def test_a_launched_run_goes_through_all_its_steps(runs, eventually):
    run_id = runs.launch("six_steps")
    eventually(runs.is_in(run_id, DagsterRunStatus.SUCCESS))
