"""What does a process of ours write to its log? One line an event, for people or for programs, secrets removed."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from autorepost_app.platform_kit.http import without_secrets


def set_up(log_format: str) -> None:
    """`pretty`, else JSON; everything that uses the standard library's logging comes out the same way."""
    last: Processor = structlog.processors.JSONRenderer()
    if log_format == "pretty":
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _remove_secrets,
            last,
        ],
    )
    output = logging.StreamHandler()
    output.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(logging.INFO)


def _remove_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    return {key: without_secrets(value) if isinstance(value, str) else value for key, value in event.items()}
