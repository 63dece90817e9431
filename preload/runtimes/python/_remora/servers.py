# SPDX-License-Identifier: Apache-2.0
"""Where a request begins and ends in the servers that we know. Each patch wraps the one function that
serves a request whose head has been read."""
import functools

from .requests import Request, current


def end(request, token):
    request.end()
    try:
        current.reset(token)
    except ValueError:  # ended in another context than it began
        pass


def serve_in(owner, name, find_fields):
    """Wraps owner.name(self, ...), which serves one request from its beginning to its end. Its head's
    fields: find_fields(self, ...), see Request."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def serve(self, *arguments, **keywords):
        request = Request(find_fields, self, *arguments)
        token = current.set(request)
        try:
            return original(self, *arguments, **keywords)
        finally:
            end(request, token)
    setattr(owner, name, serve)


def serve_in_coroutine(owner, name, find_fields):
    original = getattr(owner, name)

    @functools.wraps(original)
    async def serve(self, *arguments, **keywords):
        request = Request(find_fields, self, *arguments)
        token = current.set(request)
        try:
            return await original(self, *arguments, **keywords)
        finally:
            end(request, token)
    setattr(owner, name, serve)


# --- http.server: a connection is a thread's or a process's; its handler learns of a request by
# parse_request() and may serve it in its own way (wsgiref, werkzeug, Django) ---

def leave(handler):
    request = handler.__dict__.pop("_remora_request", None)
    if request is not None:
        request.end()
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


def _message_fields(handler):
    return (handler.headers.get_all("traceparent", ()),
            handler.headers.get_all("tracestate", ()))


def http_server(module):
    handler = module.BaseHTTPRequestHandler
    original = handler.parse_request

    @functools.wraps(original)
    def parse_request(self):
        leave(self)
        good = original(self)
        if good:
            self._remora_request = Request(_message_fields, self)
            current.set(self._remora_request)
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
    serve_in(module.WSGIHandler, "handle_one_response", _message_fields)


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
