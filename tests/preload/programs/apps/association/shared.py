# SPDX-License-Identifier: Apache-2.0
"""What the Python services have in common."""
import os
import random
import threading
import time
import urllib.request

PORT = int(os.environ.get("PORT", "0"))
DOWNSTREAM = f"http://127.0.0.1:{os.environ['DOWNSTREAM_PORT']}"


def paths(n):
    return [f"{DOWNSTREAM}/down/{n}/{k}" for k in range(1 + int(n) % 3)]


def moment():
    return random.random() * 0.01


def background_thread():
    def run():
        while True:
            try:
                urllib.request.urlopen(f"{DOWNSTREAM}/background").read()
            except OSError:
                pass
            time.sleep(0.005)
    threading.Thread(target=run, daemon=True).start()
