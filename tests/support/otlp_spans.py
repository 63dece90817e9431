# SPDX-License-Identifier: Apache-2.0
"""Reads what `remora run --output FILE` writes (OTLP/JSON, one export request a line)."""
import dataclasses
import json

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclasses.dataclass(frozen=True)
class Span:
    name: str
    kind: str  # internal, server, client
    trace_id: str
    span_id: str
    parent_id: str  # "": a root
    start_ns: int
    end_ns: int
    status: str  # unset, ok, error
    status_message: str
    trace_state: str
    flags: int
    attributes: dict
    resource: dict
    events: tuple  # names
    steps: tuple  # the attributes of each, in the same order

    @property
    def service(self):
        return self.resource.get("service.name", "")

    def __getitem__(self, key):
        """An attribute, None where the span doesn't have it."""
        return self.attributes.get(key)

    def step(self, event):
        """The attributes of its one event of this name."""
        assert self.events.count(event) == 1, f"{event} is not once among {self.events} of {self}"
        return self.steps[self.events.index(event)]


def _value(value):
    (kind, content), = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "arrayValue":
        return [_value(v) for v in content.get("values", [])]
    return content


def _attributes(items):
    result = {}
    for item in items:
        assert item["key"] not in result, f"attribute {item['key']} twice"
        result[item["key"]] = _value(item["value"])
    return result


def _span(item, resource):
    status = item.get("status", {})
    return Span(
        name=item["name"],
        kind=KINDS[item["kind"]],
        trace_id=item["traceId"],
        span_id=item["spanId"],
        parent_id=item.get("parentSpanId", ""),
        start_ns=int(item["startTimeUnixNano"]),
        end_ns=int(item["endTimeUnixNano"]),
        status={0: "unset", 1: "ok", 2: "error"}[status.get("code", 0)],
        status_message=status.get("message", ""),
        trace_state=item.get("traceState", ""),
        flags=item.get("flags", 0),
        attributes=_attributes(item.get("attributes", [])),
        resource=resource,
        events=tuple(e["name"] for e in item.get("events", [])),
        steps=tuple(_attributes(e.get("attributes", [])) for e in item.get("events", [])),
    )


def parse_line(line):
    """The spans of one export request, in their order."""
    for resource_spans in json.loads(line)["resourceSpans"]:
        resource = _attributes(resource_spans.get("resource", {}).get("attributes", []))
        for scope_spans in resource_spans["scopeSpans"]:
            for item in scope_spans["spans"]:
                yield _span(item, resource)


class Spans(list):
    """All spans of a file. An incomplete last line (the writer is at work) is left out."""

    @classmethod
    def read(cls, path):
        spans = cls()
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.endswith("\n") and line.strip():
                        spans.extend(parse_line(line))
        except FileNotFoundError:
            pass
        return spans

    def where(self, kind=None, service=None, name=None, **attributes):
        """Those that match. Attributes by name with '_' for '.': url_path="/x"."""
        def matches(span):
            return ((kind is None or span.kind == kind)
                    and (service is None or span.service == service)
                    and (name is None or span.name == name)
                    and all(span[_attribute_name(span, k)] == v for k, v in attributes.items()))
        return Spans(s for s in self if matches(s))

    def one(self, **conditions):
        found = self.where(**conditions)
        assert len(found) == 1, f"{len(found)} spans with {conditions}, not one, in:\n{self}"
        return found[0]

    def by_id(self, span_id):
        return next((s for s in self if s.span_id == span_id), None)

    def __str__(self):
        def line(s):
            return (f"  {s.kind:8} {s.service:12} {s.name:30} {s.trace_id[:8]} {s.span_id} "
                    f"<- {s.parent_id or 'root':16} {s['remora.join']} {s['remora.end'] or ''} "
                    f"{s['url.path'] or s['url.full'] or ''} "
                    f"{s['http.response.status_code'] or ''} {s['error.type'] or ''}")
        return "\n".join(line(s) for s in sorted(self, key=lambda s: s.start_ns)) or "  (no spans)"


def _attribute_name(span, keyword):
    """url_path -> url.path; a name that holds '_' itself is found by comparing both forms."""
    return next((k for k in span.attributes if k.replace(".", "_") == keyword), keyword)
