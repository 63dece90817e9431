# SPDX-License-Identifier: Apache-2.0
"""An event loop: aiohttp server and client. aiohttp_service.py PORT DOWNSTREAM_PORT [forward]
With `forward` the handler passes the trace header of its request on, as gateways do."""
import asyncio
import sys

import aiohttp
from aiohttp import web

PORT, DOWNSTREAM, FORWARD = int(sys.argv[1]), int(sys.argv[2]), "forward" in sys.argv


async def call(session, path, headers=None):
    async with session.get(f"http://127.0.0.1:{DOWNSTREAM}{path}", headers=headers) as answer:
        return await answer.read()


async def handle(request):
    headers = {}
    if FORWARD and "traceparent" in request.headers:
        headers["traceparent"] = request.headers["traceparent"]
    body = await call(request.app["session"], f"/down/{request.match_info['n']}", headers)
    return web.Response(body=body)


async def background(session):
    while True:
        await call(session, "/background")
        await asyncio.sleep(0.005)


async def main():
    app = web.Application()
    app["session"] = session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    app.router.add_get("/call/{n}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=512).start()
    await background(session)


asyncio.run(main())
