"""The pieces of the embedded PostgreSQL. `autorepost_app.persistence.server` puts them together."""
