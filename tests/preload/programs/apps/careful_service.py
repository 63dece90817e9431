# SPDX-License-Identifier: Apache-2.0
"""Calls that a carrier must leave alone: /own has a trace header, /signed a signature, /later is made
by a task that outlives its request. /call is an ordinary one. aiohttp; PORT, DOWNSTREAM_PORT."""
import asyncio
import os

import aiohttp
from aiohttp import web

HEADERS = {"/own": {"Traceparent": f"00-{'1' * 32}-{'2' * 16}-00"},
           "/signed": {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}}
answered = asyncio.Event()
tasks = []


async def call(session, path):
    headers = HEADERS.get(path)
    async with session.get(f"http://127.0.0.1:{os.environ['DOWNSTREAM_PORT']}{path}",
                           headers=headers) as answer:
        await answer.read()
        if sorted(answer.request_info.headers) != ["Accept", "Accept-Encoding", "Host",
                                                   "User-Agent", *(headers or {})] and not headers:
            raise AssertionError(f"the program sees {answer.request_info.headers}")


async def call_later(session, path):
    await answered.wait()
    await call(session, path)


async def handle(request):
    if request.path == "/later":
        tasks.append(asyncio.create_task(call_later(request.app["session"], request.path)))
    else:
        await call(request.app["session"], request.path)
    return web.Response(text="done")


async def main():
    app = web.Application()
    app["session"] = aiohttp.ClientSession()
    app.router.add_get("/{path}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    while not tasks:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # by then it has been answered
    answered.set()
    await asyncio.Event().wait()


asyncio.run(main())
