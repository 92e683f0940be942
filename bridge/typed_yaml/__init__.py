"""Reads YAML files into typed values, with line and column of each mistake; it knows no setting."""
