"""The HTTP server: listeners, TLS, authentication and authorization, and the handlers of the bridge's own pages.

In: connections and their credentials. Out: allowed requests are passed to their handler, all others are answered here.
It knows rights, and nothing about alerts.
"""

from typing import TYPE_CHECKING

from bridge import lazy_face

if TYPE_CHECKING:
    from bridge.web.policy import Policy, read_policy
    from bridge.web.server import Handlers, WebOptions, WebServer
else:
    __getattr__ = lazy_face(__name__, __file__)

__all__ = ["Handlers", "Policy", "WebOptions", "WebServer", "read_policy"]
