"""The languages of pages and sentences: one catalogue of texts each, in the folder ``texts``.

In: a key and values. Out: a text. Values are put in and never read as a format, so that a label cannot change a text. A
test holds the catalogues against each other and against the templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from bridge.errors import without_stop
from bridge.html import span_parts

_Text = str | Mapping[str, str]
_CONTINUED = re.compile(r"\{(\w+)\}(?=[;,.\uff1b\uff0c\u3002])")
"""A value within a sentence that continues: one that is a sentence itself loses its full stop."""

ENGLISH = "en"
LANGUAGES: Mapping[str, str] = {ENGLISH: "English", "zh": "中文"}
"""Every language by its code, with its own name."""


class Span(int):
    """A duration in milliseconds that is a value of a text; each language writes it in its own way."""


@dataclass(frozen=True, slots=True)
class Key:
    """A value of a text that is a text itself, named by its key."""

    name: str


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        code: as in the ``lang`` attribute of HTML.
        texts: by key; a text that counts has the forms ``one`` and ``other``.
    """

    code: str
    texts: Mapping[str, _Text]

    def text(self, key: str, **values: object) -> str:
        """Return a text with its values; ``count`` chooses the form.

        Raises:
            KeyError: there is no such text, or a value of it is missing.
        """
        text = self.texts[key]
        if not isinstance(text, str):
            text = text["one" if values["count"] == 1 else "other"]
        written = {name: self._written(value) for name, value in values.items()}
        for name in _CONTINUED.findall(text):
            value = written[name]
            written[name] = without_stop(value) if isinstance(value, str) else value
        return text.format_map(written)

    def span(self, span: int) -> str:
        """Return a duration."""
        return " ".join(self.text(f"unit_{unit}", n=count) for count, unit in span_parts(span))

    def word(self, kind: str, word: str) -> str:
        """Return a word of a closed set, such as a state; one that has no text as it is."""
        text = self.texts.get(f"{kind}_{word}")
        return text if isinstance(text, str) else word

    def _written(self, value: object) -> object:
        if isinstance(value, Span):
            return self.span(value)
        return self.text(value.name) if isinstance(value, Key) else value


@cache
def language(code: str) -> Language:
    """Return a language; English for a code that has no catalogue."""
    known = code if code in LANGUAGES else ENGLISH
    folder = files("bridge.web") / "texts"
    return Language(known, yaml.safe_load((folder / f"{known}.yaml").read_text("utf-8")))


def chosen(asked: str, accepted: str) -> str:
    """Return the code of a page's language.

    Args:
        asked: what the address asks for; empty if it does not.
        accepted: the header Accept-Language.
    """
    if asked in LANGUAGES:
        return asked
    return next((code for code in _by_preference(accepted) if code in LANGUAGES), ENGLISH)


def _by_preference(accepted: str) -> Sequence[str]:
    """Return the primary codes in the header Accept-Language, the most wanted first."""
    weighed = []
    for part in accepted[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), tag.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return [code for _, code in sorted(weighed, key=lambda pair: pair[0])]
