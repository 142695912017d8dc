"""One module a screen; each reads from services and shows."""
