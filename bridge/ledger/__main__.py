"""Starts the ledger writer process anew, in a fresh interpreter; `bridge.ledger.writer.client` does so."""

from __future__ import annotations

import sys

from bridge.ledger.writer.process import main

if __name__ == "__main__":
    main(sys.argv[1:])
