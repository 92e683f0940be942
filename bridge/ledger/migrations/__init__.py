"""Alembic's folder: each file under `versions` is one additive step of the ledger's schema."""
