"""The one web process: signed media, health, OAuth callbacks, and what is mounted beside them."""
