# SPDX-License-Identifier: Apache-2.0
"""Where a request begins and ends in the servers that we know. Each patch wraps the one function that
serves a request whose head has been read."""
import functools

from . import current, request_of


def begin(find_fields):
    """find_fields() -> (traceparent values, tracestate values). Returns the Request or None. Also
    without one the context is set: what was there is another request's."""
    request = None
    try:
        request = request_of(*find_fields())
    except Exception:  # pylint: disable=broad-except
        pass
    return request, current.set(request)


def end(begun):
    request, token = begun
    if request is not None:
        request.fields = None
    try:
        current.reset(token)
    except ValueError:  # ended in another context than it began
        pass


def serve_in(owner, name, find_fields):
    """Wraps owner.name(self, ...), which serves one request from its beginning to its end."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def serve(self, *arguments, **keywords):
        begun = begin(lambda: find_fields(self, *arguments))
        try:
            return original(self, *arguments, **keywords)
        finally:
            end(begun)
    setattr(owner, name, serve)


def serve_in_coroutine(owner, name, find_fields):
    original = getattr(owner, name)

    @functools.wraps(original)
    async def serve(self, *arguments, **keywords):
        begun = begin(lambda: find_fields(self, *arguments))
        try:
            return await original(self, *arguments, **keywords)
        finally:
            end(begun)
    setattr(owner, name, serve)


# --- http.server: a connection is a thread's or a process's; its handler learns of a request by
# parse_request() and may serve it in its own way (wsgiref, werkzeug, Django) ---

def leave(handler):
    request = handler.__dict__.pop("_remora_request", None)
    if request is not None:
        request.fields = None
    current.set(None)


def leave_after(owner, name):
    original = getattr(owner, name)

    @functools.wraps(original)
    def serve(self, *arguments, **keywords):
        try:
            return original(self, *arguments, **keywords)
        finally:
            leave(self)
    setattr(owner, name, serve)


def http_server(module):
    handler = module.BaseHTTPRequestHandler
    original = handler.parse_request

    @functools.wraps(original)
    def parse_request(self):
        leave(self)
        good = original(self)
        if good:
            request, _ = begin(lambda: (self.headers.get_all("traceparent", ()),
                                        self.headers.get_all("tracestate", ())))
            self._remora_request = request
        return good
    handler.parse_request = parse_request
    leave_after(handler, "handle_one_request")
    leave_after(handler, "finish")


def werkzeug_serving(module):
    leave_after(module.WSGIRequestHandler, "run_wsgi")


def django_basehttp(module):
    leave_after(module.WSGIRequestHandler, "handle_one_request")


# --- gunicorn: (name, value) pairs, names in capitals ---

def _gunicorn_fields(_worker, *arguments):
    for argument in arguments:
        headers = getattr(argument, "headers", None)
        if headers is not None:
            return ([value for name, value in headers if name == "TRACEPARENT"],
                    [value for name, value in headers if name == "TRACESTATE"])
    return (), ()


def gunicorn_sync(module):
    serve_in(module.SyncWorker, "handle_request", _gunicorn_fields)


def gunicorn_gthread(module):
    serve_in(module.ThreadWorker, "handle_request", _gunicorn_fields)


def gunicorn_base_async(module):
    serve_in(module.AsyncWorker, "handle_request", _gunicorn_fields)


def gevent_pywsgi(module):
    def fields(handler):
        return (handler.headers.get_all("traceparent", ()),
                handler.headers.get_all("tracestate", ()))
    serve_in(module.WSGIHandler, "handle_one_response", fields)


# --- event loops: a request is a task, or a part of one ---

def aiohttp_web_protocol(module):
    def fields(_protocol, request, *_):
        return (request.headers.getall("traceparent", ()),
                request.headers.getall("tracestate", ()))
    serve_in_coroutine(module.RequestHandler, "_handle_request", fields)


def uvicorn_http(module):
    def fields(cycle, *_):
        headers = cycle.scope["headers"]
        return tuple([value.decode("latin-1") for name, value in headers if name == wanted]
                     for wanted in (b"traceparent", b"tracestate"))
    serve_in_coroutine(module.RequestResponseCycle, "run_asgi", fields)
