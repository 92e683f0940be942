"""Whether a message is written for people: those who do not know Python, and those who read Chinese."""

import re

PYTHONS = re.compile(r"\w+(Error|Exception)\b|\[Errno|\[SSL|_ssl\.c|Cannot connect|ssl:|object at|\bNone\b")


def is_plain(text):
    """Say whether a message has a fix, and no word that only a Python programmer knows."""
    return ". Fix: " in text and not PYTHONS.search(text)


def is_chinese(text):
    """Say whether a text is Chinese and holds no English sentence; names, addresses and commands may be English."""
    return bool(re.search(r"[\u4e00-\u9fff]", text)) and not re.search(r"\b([A-Za-z]+,? ){3}[A-Za-z]+\b", text)
