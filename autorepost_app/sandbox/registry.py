"""Which platforms are there? Every module of this package that names a `PLATFORM`."""

import importlib
import pkgutil

import autorepost_app.sandbox as package
from autorepost_app.sandbox.platform import Platform


def discover() -> list[type[Platform]]:
    """A new platform is one new module; nothing anywhere lists them."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return [module.PLATFORM for module in modules if hasattr(module, "PLATFORM")]
