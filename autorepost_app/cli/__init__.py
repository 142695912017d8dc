"""`autorepost ...`: what an operator types."""

from autorepost_app.cli.main import main

__all__ = ["main"]
