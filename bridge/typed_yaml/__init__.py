"""YAML files read into typed values, with the place of each mistake; it knows no setting."""
