# SPDX-License-Identifier: Apache-2.0
"""An event loop: aiohttp server and client. aiohttp_service.py PORT DOWNSTREAM_PORT [forward]
With `forward` the handler passes the trace header of its request on, as gateways do. With
SERVICE_TLS=<folder of cert.pem and key.pem> both sides speak TLS, which asyncio does over memory."""
import asyncio
import os
import ssl
import sys

import aiohttp
from aiohttp import web

PORT, DOWNSTREAM, FORWARD = int(sys.argv[1]), int(sys.argv[2]), "forward" in sys.argv
FOLDER = os.environ.get("SERVICE_TLS")
CALLING = ssl.create_default_context(cafile=f"{FOLDER}/cert.pem") if FOLDER else None


async def call(session, path, headers=None):
    url = f"{'https' if FOLDER else 'http'}://127.0.0.1:{DOWNSTREAM}{path}"
    async with session.get(url, headers=headers, ssl=CALLING) as answer:
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
    serving = None
    if FOLDER:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(f"{FOLDER}/cert.pem", f"{FOLDER}/key.pem")
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=512, ssl_context=serving).start()
    await background(session)


asyncio.run(main())
