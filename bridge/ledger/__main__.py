"""Entry point of a restarted ledger writer process; `bridge.ledger.writer.client` starts it in a new interpreter."""

from __future__ import annotations

import sys

from bridge.ledger.writer.process import main

if __name__ == "__main__":
    main(sys.argv[1:])
