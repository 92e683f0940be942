"""Starts the ledger writer process anew, in a fresh interpreter; `bridge.ledger.writing` does so."""

from __future__ import annotations

import sys

from bridge.ledger.writer import main

if __name__ == "__main__":
    main(sys.argv[1:])
