"""The Function Apps as the platform loads them."""

import importlib.util
from pathlib import Path
from types import ModuleType

__all__ = ["FUNCTIONS", "load_function_app"]

FUNCTIONS = Path(__file__).resolve().parents[2] / "deploy/azure/functions"


def load_function_app(name: str) -> ModuleType:
    """The module ``function_app`` in the app's folder, anew each time: it reads the environment when it is loaded."""
    spec = importlib.util.spec_from_file_location("function_app", FUNCTIONS / name / "function_app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
