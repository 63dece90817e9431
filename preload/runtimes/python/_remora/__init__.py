# SPDX-License-Identifier: Apache-2.0
"""Remora's carrier for Python 3.9 and later: the trace header of the request that is being served goes
on to the calls made for it, through contextvars.

The carrier makes no ids and no spans. The header it hands on is the one that the shim wrote into the
request; on the way out the shim recognises its own span there and puts the call's span in its place.
Where nothing is known, nothing is added.

Imports nothing that the program has not imported: servers.py and clients.py are read when the first
module that they have a patch for has been executed (patches.py).
"""
from _contextvars import ContextVar  # the built-in half of contextvars


class Request:
    """A request that is being served. `fields`: what calls made for it are to carry, (name, value)
    pairs; None when it is over, so that what outlives it belongs to nobody."""
    __slots__ = ("fields",)

    def __init__(self, fields):
        self.fields = fields


# The request that the running code serves; None: none, or not known.
current = ContextVar("remora_request", default=None)


def request_of(traceparent, tracestate=()):
    """A Request for the values of these header fields (lists of text); None without a context."""
    if len(traceparent) != 1:  # none, or ambiguous
        return None
    fields = (("traceparent", traceparent[0].strip()),)
    if tracestate:
        fields += (("tracestate", ",".join(tracestate)),)
    # What comes back out of a program must not be able to break a head.
    if not all(value.isascii() and value.isprintable() for _, value in fields):
        return None
    return Request(fields)


def fields_for_call():
    """The fields that a call made now is to carry; None: none."""
    request = current.get()
    return None if request is None else request.fields


def start():
    from . import patches
    patches.install()
