"""`python tests/faults/model`: every variant with its verdict, and the shortest way to each fault in sentences."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from model.variants import DESIGN, HARMLESS, WITHOUT

    for variant in (*DESIGN, *HARMLESS, *WITHOUT):
        for verdict in variant.verdicts():
            sys.stdout.write(f"\n{variant.name}: {verdict}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
