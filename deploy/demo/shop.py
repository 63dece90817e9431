# SPDX-License-Identifier: Apache-2.0
"""The demo's outer service, a Flask application: asks the stock service, counts orders in Redis."""
import os

import flask
import redis
import requests

app = flask.Flask(__name__)
stock = f"http://127.0.0.1:{os.environ['STOCK_PORT']}"
orders = redis.Redis(port=int(os.environ["REDIS_PORT"]))
session = requests.Session()


@app.get("/order/<item>")
def order(item):
    answer = session.get(f"{stock}/stock/{item}", timeout=5)
    if answer.status_code != 200:
        return {"error": "stock does not answer"}, 502
    number = orders.incr("orders")
    return {"item": item, "in_stock": answer.json()["in_stock"], "order": number}
