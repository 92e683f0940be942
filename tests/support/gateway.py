"""What stands between the bridge and AOM: passes every request on, unless a test says what becomes of it."""

import asyncio
import io
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


class Gateway:
    """A gateway in front of an emulated AOM; `running` takes it for the emulator itself.

    ``meddle``: is called with each request and its body; gives the answer, or None to pass the request on.
    """

    def __init__(self, emulator):
        self.emulator = emulator
        self.asked = []
        self.meddle = None
        self._late = asyncio.Event()
        self._passing = []

    @property
    def _options(self):
        return self.emulator._options

    def snapshot(self, *arguments):
        return self.emulator.snapshot(*arguments)

    def count(self, text):
        """Count the requests with this text in method and path."""
        return sum(text in asked for asked in self.asked)

    async def serve(self, request):
        body = await request.read()
        if not request.path.startswith("/emulator"):
            self.asked.append(f"{request.method} {request.path_qs}")
        answer = await self.meddle(request, body) if self.meddle else None
        return answer or await self.forward(request, body)

    async def forward(self, request, body):
        """Pass a request on; give AOM's answer."""
        kept = ("X-Auth-Token", "Content-Type", "enterprise-project-id")
        headers = {name: value for name, value in request.headers.items() if name in kept}
        url = self.emulator.url + request.path_qs
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, url, data=io.BytesIO(body), headers=headers) as response,
        ):
            text = await response.read()
            return web.Response(status=response.status, body=text, content_type=response.content_type)

    def keep_back(self, request, body):
        """Let AOM have this request only when it is let go, long after its sender has given it up."""

        async def late():
            await self._late.wait()
            await self.forward(request, body)

        self._passing.append(asyncio.create_task(late()))

    async def let_go(self):
        """Let AOM have what was kept back."""
        self._late.set()
        await asyncio.gather(*self._passing)


@asynccontextmanager
async def gateway(emulator):
    """Run a gateway on loopback."""
    made = Gateway(emulator)
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


def is_report(request):
    """Say whether a request reports."""
    return request.method == "PUT" and "action" not in request.query


def is_list(request, kind="active_alert"):
    """Say whether a request asks for one of AOM's lists."""
    return request.query.get("type") == kind
