"""The delivering half: due alarms of the ledger in, pushes to AOM out, and their results back to the ledger."""
