"""A small HTTP server on loopback, for what the bridge asks of others besides AOM."""

import contextlib

from aiohttp import web


@contextlib.asynccontextmanager
async def serving_routes(*routes):
    """Run a small HTTP server on loopback; give its address."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
