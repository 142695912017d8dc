"""Files: what is in them, how they are made to fit, and where they are kept."""
