"""What stands between the bridge and its peers, or between the peers: a web server in front, and a link that is cut."""

import asyncio
import contextlib
import itertools
import re
import socket
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import aiohttp
from aiohttp import web
from http_server import serving_routes
from process import free_port

_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))"')


class Front:
    """A web server through which the bridge asks a peer, or several in turn; tests change what it does.

    Attributes:
        ahead: how far the clock of the peer is ahead, as its answers show it.
        redirects: the statuses with which it sends a client to the peer itself, in turn; none: it asks the peer.
        url: its address.
    """

    def __init__(self, *peers, ahead=timedelta(0), redirects=()):
        self.ahead, self.url, self._is_cut = ahead, "", False
        self._peers = itertools.cycle(peers)
        self._redirects = itertools.cycle(redirects)

    def cut(self):
        """Break every connection."""
        self._is_cut = True

    def mend(self):
        """Answer again."""
        self._is_cut = False

    async def serve(self, request):
        """Answer one request."""
        with contextlib.suppress(aiohttp.ClientError):
            if not self._is_cut:
                return await self._answer(request)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _answer(self, request):
        place = next(self._peers).url + request.path_qs
        status = next(self._redirects, None)
        if status is not None:
            return web.Response(status=status, headers={"Location": place})
        async with aiohttp.ClientSession() as session, session.get(place) as response:
            body, date = await response.text(), parsedate_to_datetime(response.headers["Date"])
        headers = {"Date": format_datetime(date + self.ahead, usegmt=True)}
        return web.Response(status=response.status, text=_TIME.sub(self._moved, body), headers=headers)

    def _moved(self, time):
        return f'"{(datetime.fromisoformat(time[1]) + self.ahead).isoformat()}"'


@contextlib.asynccontextmanager
async def front_of(*peers, **options):
    """Run a web server in front of peers."""
    made = Front(*peers, **options)
    async with serving_routes(web.get("/{path:.*}", made.serve)) as made.url:
        yield made


class Link:
    """Passes on what is sent to one port, by TCP and by UDP, until it is cut.

    Attributes:
        address: the port's, on loopback.
    """

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._place, self._own = (host, int(port)), (host, free_port())
        self.address = f"{host}:{self._own[1]}"
        self._is_cut = False
        self._server, self._front = None, None
        self._streams, self._backs = set(), {}

    async def start(self):
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, *self._own)
        self._front = _datagrams(lambda front: front.bind(self._own), self._forward)

    def cut(self):
        """Let nothing pass any more, and break what is open."""
        self._is_cut = True
        for writer in self._streams:
            writer.transport.abort()

    def mend(self):
        """Let everything pass again."""
        self._is_cut = False

    async def stop(self):
        """Stop listening."""
        self.cut()
        self._server.close()
        await asyncio.sleep(0)
        for each in (self._front, *self._backs.values()):
            asyncio.get_running_loop().remove_reader(each)
            each.close()

    async def _serve(self, reader, writer):
        if self._is_cut:
            writer.transport.abort()
            return
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(*self._place)
            self._streams |= {writer, inner_writer}
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            self._streams -= {writer, inner_writer}
        writer.close()

    def _forward(self, data, sender):
        """Send a datagram on, from a port of its own for each sender, so that its answers find their way back."""
        if sender not in self._backs:
            self._backs[sender] = _datagrams(
                lambda back: back.connect(self._place), lambda answer, _: self._front.sendto(answer, sender)
            )
        if not self._is_cut:
            with contextlib.suppress(OSError):  # nobody listens there, or no longer
                self._backs[sender].send(data)


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _datagrams(prepare, receive):
    """Give a socket for datagrams that calls a function for each one that comes."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(0)
    prepare(made)

    def ready():
        with contextlib.suppress(OSError):
            receive(*made.recvfrom(65_536))

    asyncio.get_running_loop().add_reader(made, ready)
    return made
