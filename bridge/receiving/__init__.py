"""The accepting half: webhooks of Alertmanager in, committed alarms in the ledger out; AOM is never called here."""
