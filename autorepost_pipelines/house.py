"""How does a step or a tick get at the house? One a process, opened at first use, never carried over a fork."""

import os
from functools import cache

from autorepost_app.bootstrap import open_house, settings_from
from autorepost_app.services.house import House


@cache
def _opened(_pid: int) -> House:
    return open_house(settings_from(os.environ))


def this_house() -> House:
    """The house of this process. Raises UserError when the settings do not add up."""
    return _opened(os.getpid())
