# SPDX-License-Identifier: Apache-2.0
"""Where a call's head is put together in the clients that we know, and where work is handed to other
threads. A head that has a trace header already, or that is signed, is left alone."""
import functools

from .requests import current, fields_for_call


def may_carry(fields):
    """May a head with these (name, value) pairs of bytes be given a trace header? As the shim does,
    we leave signed requests alone."""
    for name, value in fields:
        name = name.lower()
        if name in (b"traceparent", b"signature", b"signature-input", b"x-amz-signature"):
            return False
        if name == b"authorization":
            value = value.strip().lower()
            if value.startswith(b"aws4-") or value.split(b" ", 1)[0] == b"signature":
                return False
    return True


def http_client(module):
    """urllib, urllib3, requests and others end their heads here."""
    connection = module.HTTPConnection
    original, putheader = connection.endheaders, connection.putheader

    @functools.wraps(original)
    def endheaders(self, *arguments, **keywords):
        fields = fields_for_call()
        if fields is not None:
            try:
                lines = (line.partition(b":") for line in self._buffer[1:])
                if may_carry((name, value) for name, _, value in lines):
                    for name, value in fields:
                        putheader(self, name, value)
            except Exception:  # pylint: disable=broad-except
                pass  # endheaders will say what is wrong
        return original(self, *arguments, **keywords)
    connection.endheaders = endheaders


def aiohttp_client_reqrep(module):
    def text(value):
        return str(value).encode("utf-8", "replace")
    original = module.ClientRequest.send

    @functools.wraps(original)
    async def send(self, *arguments, **keywords):
        added = []
        fields = fields_for_call()
        if fields is not None and may_carry((text(n), text(v)) for n, v in self.headers.items()):
            for name, value in fields:
                if name not in self.headers:
                    self.headers[name] = value
                    added.append(name)
        try:
            return await original(self, *arguments, **keywords)
        finally:  # the program sees the headers that it chose
            for name in added:
                self.headers.popall(name, None)
    module.ClientRequest.send = send


def _with_fields(request):
    """The headers of an httpcore.Request with ours, None: leave them."""
    fields = fields_for_call()
    if fields is None or not may_carry(request.headers):
        return None
    return [*request.headers, *((n.encode(), v.encode()) for n, v in fields)]


def httpcore_sync(module):
    connection = module.HTTP11Connection
    original = connection._send_request_headers

    @functools.wraps(original)
    def send(self, request):
        headers = _with_fields(request)
        if headers is None:
            return original(self, request)
        own, request.headers = request.headers, headers
        try:
            return original(self, request)
        finally:  # a Request may be sent again, for another
            request.headers = own
    connection._send_request_headers = send


def httpcore_async(module):
    connection = module.AsyncHTTP11Connection
    original = connection._send_request_headers

    @functools.wraps(original)
    async def send(self, request):
        headers = _with_fields(request)
        if headers is None:
            return await original(self, request)
        own, request.headers = request.headers, headers
        try:
            return await original(self, request)
        finally:
            request.headers = own
    connection._send_request_headers = send


def _run_for(request, function, /, *arguments, **keywords):
    token = current.set(request)
    try:
        return function(*arguments, **keywords)
    finally:
        current.reset(token)


def thread_pool(module):
    """Work that is handed to a pool belongs to the request that handed it over. Of the context only
    our own variable goes along: the program's are as they would be without us."""
    original = module.ThreadPoolExecutor.submit

    @functools.wraps(original)
    def submit(self, function, /, *arguments, **keywords):
        request = current.get()
        if request is None or request.over:
            return original(self, function, *arguments, **keywords)
        return original(self, _run_for, request, function, *arguments, **keywords)
    module.ThreadPoolExecutor.submit = submit


def multiprocessing_pool(module):
    """ThreadPool alone: processes serve no request of ours."""
    for name in ("apply_async", "_map_async", "imap", "imap_unordered"):
        _hand_on(module.ThreadPool, name)


def _hand_on(owner, name):
    original = getattr(owner, name)

    @functools.wraps(original)
    def start(self, func, *arguments, **keywords):
        request = current.get()
        if request is not None and not request.over:
            func = functools.partial(_run_for, request, func)
        return original(self, func, *arguments, **keywords)
    setattr(owner, name, start)
