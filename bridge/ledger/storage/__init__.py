"""The ledger's tables in SQLite and PostgreSQL: connections, SQL, the schema and its migrations."""
