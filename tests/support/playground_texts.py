"""What people type into the playground, for tests of the page and of its states."""

WRONG_RULES = "rules:\n  - name: pods\n    match: ['pod!=\"\"']\n    sett: {resource_type: pod}\n"
"""A key in line 4 is not known."""
