"""How do the product's processes start, stay up and leave without a trace?

Two processes stand above all others. The guardian is the one in the user's terminal; it does nothing but watch.
The supervisor runs in a session of its own and starts everything else. Whichever of the two is killed, the other
ends all the rest; if both are killed at once, the kernel tells the children and the next start sweeps.
"""

from .guardian import guard, under_guard
from .life import AlreadyRunningError
from .parts import Inline, ProcessError, ProcessSpec, Progress, State
from .ports import PortInUseError, free_port, require_port
from .supervisor import Supervisor

__all__ = [
    "AlreadyRunningError",
    "Inline",
    "PortInUseError",
    "ProcessError",
    "ProcessSpec",
    "Progress",
    "State",
    "Supervisor",
    "free_port",
    "guard",
    "require_port",
    "under_guard",
]
