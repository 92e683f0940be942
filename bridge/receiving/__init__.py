"""From Alertmanager to the ledger: a webhook gets 200 once its alarms are committed; AOM is never called here."""
