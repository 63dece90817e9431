# SPDX-License-Identifier: Apache-2.0
"""The Flask service on gevent's own server, every thread a greenlet."""
from gevent import monkey
monkey.patch_all()
# pylint: disable=wrong-import-position
import flask_app  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

WSGIServer(("127.0.0.1", flask_app.PORT), flask_app.app, backlog=512, log=None).serve_forever()
