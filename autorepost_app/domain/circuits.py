"""When is a platform that does not answer left alone, and how do we come back to it?

A circuit is about one account, or about a platform as a whole. Faults in a row open it; then nothing is sent there for
a while, and nobody's tries are spent. When the rest is over one worker goes first, and by what it meets the circuit
closes, or opens again for longer.
"""

from __future__ import annotations

from typing import Final

ACCOUNT_FAULTS: Final = 3
"""So many faults of one account in a row, without a success between them, open its circuit."""
PLATFORM_ACCOUNTS: Final = 3
"""So many different accounts in a row with a fault, and none with a success, open the platform's."""
REST_SECONDS: Final = (60.0, 120.0, 240.0, 480.0, 900.0)
"""After the first opening, the second in a row, ...; the last one from then on."""
PROBE_SECONDS: Final = 180.0
"""So long the others wait for whoever went first; then it is taken for lost and another one goes."""
CAUSE: Final = "circuit"


def rest_seconds(openings: int) -> float:
    """How long a circuit stays open after so many openings in a row, at least one."""
    return REST_SECONDS[min(openings, len(REST_SECONDS)) - 1]
