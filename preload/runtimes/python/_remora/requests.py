# SPDX-License-Identifier: Apache-2.0
"""The request that is being served, as contextvars know it, and what calls made for it are to carry."""
from _contextvars import ContextVar  # the built-in half of contextvars


class Request:
    """A request that is being served, from its beginning until it is `over`: what outlives it belongs
    to nobody. Its head is only looked at when there is a call: find_fields(*source) returns the
    values of its traceparent and of its tracestate lines, as text."""
    __slots__ = ("find_fields", "source", "fields", "over")

    def __init__(self, find_fields, *source):
        self.find_fields = find_fields
        self.source = source
        self.over = False

    def end(self):
        self.over = True
        self.source = None

    def find(self):
        """Sets `fields`: (name, value) pairs, None: nothing is known."""
        self.fields = None
        source = self.source
        if source is None:
            return
        try:
            traceparent, tracestate = self.find_fields(*source)
            if len(traceparent) == 1:  # none, or ambiguous
                fields = [("traceparent", traceparent[0].strip())]
                if tracestate:
                    fields.append(("tracestate", ",".join(tracestate)))
                # What comes back out of a program must not be able to break a head.
                if all(value.isascii() and value.isprintable() for _, value in fields):
                    self.fields = fields
        except Exception:  # pylint: disable=broad-except
            pass  # another version of the server
        self.find_fields = None


# The request that the running code serves; None: none, or not known.
current = ContextVar("remora_request", default=None)


def fields_for_call():
    """The fields that a call made now is to carry; None: none."""
    request = current.get()
    if request is None or request.over:
        return None
    if request.find_fields is not None:
        request.find()
    return request.fields
