"""Where everything is kept. SQLAlchemy lives here and only here."""
