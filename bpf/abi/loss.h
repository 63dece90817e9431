/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Every way in which something can go unrecorded, unsent or untouched. One list: the shim and the
 * probes count by index, the agent prints by name. Append only: recordings keep the numbers. */
#ifndef REMORA_ABI_LOSS_H
#define REMORA_ABI_LOSS_H

/* X(name, "what a person reads") */
#define REMORA_LOSS_REASONS(X)                                                                  \
    X(ring_full, "no free slot: request not recorded, sent with flags 00")                      \
    X(no_lane, "no free lane: process not recorded")                                            \
    X(agent_away, "no agent is reading: request not recorded")                                  \
    X(not_injected_untouchable, "head left alone: two lengths, bare CR, folded or signed")      \
    X(not_injected_limit, "head left alone: near a size or field limit")                        \
    X(not_injected_flags, "head left alone: zero-copy, out-of-band or fast-open send")          \
    X(not_injected_split, "head left alone: its trace header was split over calls")             \
    X(not_injected_no_room, "request not rewritten: no room in the program's buffer")           \
    X(not_injected_peek, "request not rewritten: the program had peeked at it")                 \
    X(not_injected_gather, "request not rewritten: read into several buffers")                  \
    X(not_injected_identity, "not rewritten: the descriptor's socket was uncertain")            \
    X(not_injected_seccomp, "not rewritten: a seccomp filter is on")                            \
    X(parser_gave_up, "connection no longer followed: malformed or unsupported")                \
    X(concurrent_use, "connection no longer followed: two threads in one direction")            \
    X(forked_open, "connection no longer followed in a forked child: it was in use")            \
    X(body_unseen, "connection no longer followed: bytes moved past us")                        \
    X(pipeline_too_deep, "connection no longer followed: too many requests in flight")          \
    X(connection_table_full, "connection not followed: out of connection objects")              \
    X(capture_cut, "request or response head cut to the capture limit")                         \
    X(tracestate_dropped, "tracestate not carried on: malformed, too long or no buffer")        \
    X(trace_header_invalid, "incoming trace header was invalid and ignored")                    \
    X(parent_ambiguous, "outgoing request without parent: more than one candidate")             \
    X(parent_unknown, "outgoing request without parent: none known on an event loop")           \
    X(own_telemetry, "telemetry of the program itself, not traced")                             \
    X(record_invalid, "record refused by the agent: malformed")                                 \
    X(exchange_unfinished, "exchange still open when its process ended")                        \
    X(queue_full, "span dropped: export queue full")                                            \
    X(export_failed, "span dropped: its destination refused it or could not be reached")         \
    X(stream_gap, "connection no longer followed: captured bytes are missing")                  \
    X(process_table_full, "process not followed: table full")                                   \
    X(not_injected_no_buffer, "head left alone: no buffer to lay it out for TLS")               \
    X(not_injected_early_data, "TLS session not followed: it began with early data")            \
    X(not_injected_corked, "head left alone: the GnuTLS session was corked")                    \
    X(tls_table_full, "TLS session not followed: no place in the table of sessions")            \
    X(stdio_on_a_socket, "connection no longer followed: the program uses stdio on it")         \
    X(opening_uncertain, "lookup or failed connect not told: it may belong to several calls")   \
    X(tls_library_unknown, "TLS not followed: a library of a kind that is not known")           \
    X(spool_full, "span dropped: it was among the oldest in a full spool")                      \
    X(spool_damaged, "spooled request skipped: its record on disk was damaged")

enum remora_loss {
#define X(name, text) REMORA_LOSS_##name,
    REMORA_LOSS_REASONS(X)
#undef X
        REMORA_LOSS_COUNT
};

#endif
