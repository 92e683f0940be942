"""The transactions that change the ledger: grouped, and on SQLite run by a process of their own."""
