# SPDX-License-Identifier: Apache-2.0
"""aiohttp, server and client; the calls of a request one after the other or, by tasks, at once."""
import asyncio

import aiohttp
from aiohttp import web
from shared import DOWNSTREAM, PORT, moment, paths


async def ask(session, url):
    await asyncio.sleep(moment())
    async with session.get(url) as answer:
        await answer.read()


async def handle(request):
    n = request.match_info["n"]
    session = request.app["session"]
    if int(n) % 2:
        await asyncio.gather(*(ask(session, url) for url in paths(n)))
    else:
        for url in paths(n):
            await ask(session, url)
    return web.Response(text=n)


async def main():
    app = web.Application()
    app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    app.router.add_get("/call/{n}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=512).start()
    while True:
        await ask(app["session"], f"{DOWNSTREAM}/background")


asyncio.run(main())
