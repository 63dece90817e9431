# SPDX-License-Identifier: Apache-2.0
"""Flask: under gunicorn, or its own threaded server. With POOL set a request hands its calls to a pool
of threads that all requests share."""
import concurrent.futures
import os
import threading
import time

import flask
import requests
from shared import PORT, background_thread, moment, paths

app = flask.Flask(__name__)
local = threading.local()
pool = concurrent.futures.ThreadPoolExecutor(16) if os.environ.get("POOL") else None


def ask(url):
    time.sleep(moment())
    if not hasattr(local, "session"):
        local.session = requests.Session()
    local.session.get(url, timeout=60).raise_for_status()


@app.get("/call/<n>")
def call(n):
    if pool:
        list(pool.map(ask, paths(n)))
    else:
        for url in paths(n):
            ask(url)
    return n


background_thread()
if __name__ == "__main__":
    app.run("127.0.0.1", PORT, threaded=True)
