"""The one way to make HTML: Jinja2 templates with autoescape, one base page, one stylesheet, one icon.

In: a template's name and values. Out: text. Every value is untrusted and escaped; a page needs no script and loads its
stylesheet and its icon from its own server. It knows nothing of alarms.
"""

from bridge.html.addresses import web_address
from bridge.html.environment import STYLE_VERSION, Environment
from bridge.html.files import asset, asset_names
from bridge.html.times import age, moment, span_parts

__all__ = ["STYLE_VERSION", "Environment", "age", "asset", "asset_names", "moment", "span_parts", "web_address"]
