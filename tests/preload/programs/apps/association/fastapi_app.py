# SPDX-License-Identifier: Apache-2.0
"""FastAPI under uvicorn: asynchronous handlers with httpx.AsyncClient, ordinary ones (in anyio's
threads) with httpx.Client. fastapi_app.py async|sync asyncio|uvloop"""
import asyncio
import sys
import time

import fastapi
import httpx
import uvicorn
from shared import DOWNSTREAM, PORT, moment, paths

KIND, LOOP = sys.argv[1:3]
app = fastapi.FastAPI()
limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
client = httpx.Client(limits=limits, timeout=60, trust_env=False)
asynchronous = httpx.AsyncClient(limits=limits, timeout=60, trust_env=False)
tasks = []


async def ask(url):
    await asyncio.sleep(moment())
    await asynchronous.get(url)


async def background():
    while True:
        await ask(f"{DOWNSTREAM}/background")


@app.on_event("startup")
async def start():
    tasks.append(asyncio.get_running_loop().create_task(background()))


if KIND == "async":
    @app.get("/call/{n}")
    async def call(n: str):
        if int(n) % 2:
            await asyncio.gather(*(ask(url) for url in paths(n)))
        else:
            for url in paths(n):
                await ask(url)
        return n
else:
    @app.get("/call/{n}")
    def call(n: str):
        for url in paths(n):
            time.sleep(moment())
            client.get(url)
        return n

uvicorn.run(app, host="127.0.0.1", port=PORT, loop=LOOP, backlog=512, log_level="error")
