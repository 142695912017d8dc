"""When, how often and how many at once. What happens in a step is decided by autorepost_app.services."""
