"""An Azure OpenAI that does as the request tells it, and keeps a ledger of its own.

Shares only ``wire``, ``vocabulary`` and what lies below with what it tests.
"""

from .hosting import HostedSimulator, Simulator, running_simulator
from .script import Script, script_from
from .sent import SentCall
from .settings import SimulatorSettings

__all__ = [
    "HostedSimulator",
    "Script",
    "SentCall",
    "Simulator",
    "SimulatorSettings",
    "running_simulator",
    "script_from",
]
