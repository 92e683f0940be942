"""The door: who may speak to the bridge, over what, and what they may do there.

In: connections and their credentials. Out: requests that may go on to a room, and answers to all others. It knows
rights, and nothing of alerts.
"""

from bridge.web.policy import Policy, read_policy
from bridge.web.server import Handlers, WebOptions, WebServer

__all__ = ["Handlers", "Policy", "WebOptions", "WebServer", "read_policy"]
