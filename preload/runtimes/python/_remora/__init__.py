# SPDX-License-Identifier: Apache-2.0
"""Remora's carrier for Python 3.9 and later: the trace header of the request that is being served goes
on to the calls made for it, through contextvars.

The carrier makes no ids and no spans. The header it hands on is the one that the shim wrote into the
request; on the way out the shim recognises its own span there and puts the call's span in its place.
Where nothing is known, nothing is added.

This file lets a patch run right after the module that it is for has been executed. The module's spec,
loader and origin stay what they are; a patch that fails is left out. Nothing is imported that the
program has not imported, and nothing else is read before there is something to patch.
"""
import sys

# Module -> the functions in servers.py or clients.py that patch it.
PATCHES = {
    "http.server": ("servers", "http_server"),
    "werkzeug.serving": ("servers", "werkzeug_serving"),
    "django.core.servers.basehttp": ("servers", "django_basehttp"),
    "gunicorn.workers.sync": ("servers", "gunicorn_sync"),
    "gunicorn.workers.gthread": ("servers", "gunicorn_gthread"),
    "gunicorn.workers.base_async": ("servers", "gunicorn_base_async"),
    "gevent.pywsgi": ("servers", "gevent_pywsgi"),
    "aiohttp.web_protocol": ("servers", "aiohttp_web_protocol"),
    "uvicorn.protocols.http.h11_impl": ("servers", "uvicorn_http"),
    "uvicorn.protocols.http.httptools_impl": ("servers", "uvicorn_http"),
    "http.client": ("clients", "http_client"),
    "aiohttp.client_reqrep": ("clients", "aiohttp_client_reqrep"),
    "httpcore._sync.http11": ("clients", "httpcore_sync"),
    "httpcore._async.http11": ("clients", "httpcore_async"),
    "concurrent.futures.thread": ("clients", "thread_pool"),
    "multiprocessing.pool": ("clients", "multiprocessing_pool"),
}


def apply(name, module):
    file, function = PATCHES[name]
    try:
        patches = getattr(__import__("_remora." + file), file)
        getattr(patches, function)(module)
    except Exception:  # pylint: disable=broad-except
        pass  # another version of the library: its calls have no carrier


class Finder:
    """First in sys.meta_path; finds nothing by itself."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in PATCHES:
            return None
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is Finder or find_spec is None:
                continue
            spec = find_spec(name, path, target)
            if spec is not None:
                watch(name, spec.loader)
                return spec
        return None


def watch(name, loader):
    """Has apply() called once when this loader has executed the module."""
    execute = getattr(loader, "exec_module", None)
    if execute is None or isinstance(loader, type):  # a class serves all its modules
        return

    def exec_module(module):
        try:
            del loader.exec_module
        except AttributeError:
            pass
        execute(module)
        apply(name, module)
    try:
        loader.exec_module = exec_module
    except AttributeError:  # a loader without room
        pass


def start():
    sys.meta_path.insert(0, Finder)
    for name in PATCHES:
        if name in sys.modules:
            apply(name, sys.modules[name])
