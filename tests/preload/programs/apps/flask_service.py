# SPDX-License-Identifier: Apache-2.0
"""A Flask application for gunicorn: /call/<n> asks DOWNSTREAM_PORT for /down/<n>."""
import os
import threading

import flask
import requests

app = flask.Flask(__name__)
downstream = f"http://127.0.0.1:{os.environ['DOWNSTREAM_PORT']}"
local = threading.local()


@app.get("/call/<n>")
def call(n):
    if not hasattr(local, "session"):
        local.session = requests.Session()
    return local.session.get(f"{downstream}/down/{n}", timeout=60).content


@app.get("/headers")
def headers():
    return str(flask.request.headers)
