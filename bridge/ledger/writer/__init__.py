"""The transactions that change the ledger: puts share them, and on SQLite the ledger writer process runs them."""
