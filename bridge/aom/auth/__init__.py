"""Credentials for AOM: what a request carries so that AOM accepts it, by each method of the settings."""
