"""One folder a platform, found by name; nothing here or elsewhere lists them."""
