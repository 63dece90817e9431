# SPDX-License-Identifier: Apache-2.0
"""Django in one file, by its development server or (django_app:asgi) under uvicorn."""
import asyncio
import sys
import time

import django
import requests
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from shared import PORT, background_thread, moment, paths

settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x")


def ask(url):
    time.sleep(moment())
    requests.get(url, timeout=60).raise_for_status()


def call(_request, n):
    for url in paths(n):
        ask(url)
    return HttpResponse(str(n))


async def call_async(_request, n):
    # run_in_executor: a pool that knows nothing of contextvars.
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, ask, url) for url in paths(n)))
    return HttpResponse(str(n))


mode = sys.argv[1]
urlpatterns = [path("call/<int:n>", call_async if mode == "asgi" else call)]
django.setup()
background_thread()
if mode == "asgi":
    import uvicorn
    from django.core.asgi import get_asgi_application
    uvicorn.run(get_asgi_application(), host="127.0.0.1", port=PORT, log_level="error",
                lifespan="off", backlog=512)
else:
    from django.core.servers.basehttp import WSGIServer, run
    from django.core.wsgi import get_wsgi_application
    WSGIServer.request_queue_size = 512
    run("127.0.0.1", PORT, get_wsgi_application(), threading=True)
