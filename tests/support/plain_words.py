"""Whether a message is written for people who do not know Python."""

import re

PYTHONS = re.compile(r"\w+(Error|Exception)\b|\[Errno|\[SSL|_ssl\.c|Cannot connect|ssl:|object at|\bNone\b")


def is_plain(text):
    """Say whether a message has a fix, and no word that only a Python programmer knows."""
    return ". Fix: " in text and not PYTHONS.search(text)
