"""What the ledger does, each within a transaction of the caller's."""
