"""What a platform may lean on: the contract it fulfils, OAuth, HTTP and signatures."""
