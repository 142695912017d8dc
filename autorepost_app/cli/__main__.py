"""`python -m autorepost_app.cli`, the same as `autorepost`."""

from autorepost_app.cli.main import main

main()
