/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What producers say: one layout for the shim's lanes, the probes' ring buffer and recorded files.
 *
 * Plain C, fixed widths, explicit padding, little-endian (x86-64). Times are CLOCK_MONOTONIC
 * nanoseconds of the host. No protocol number lives here: a protocol is named by text.
 * Everything in a record is untrusted: readers check lengths against limits.h. */
#ifndef REMORA_ABI_RECORD_H
#define REMORA_ABI_RECORD_H

#include "bpf/abi/limits.h"

#ifdef __cplusplus
#include <cstdint>
#define REMORA_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#ifndef REMORA_ABI_OWN_TYPES
#include <stdint.h>
#endif
#define REMORA_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

enum remora_role { REMORA_ROLE_UNKNOWN = 0, REMORA_ROLE_CLIENT = 1, REMORA_ROLE_SERVER = 2 };

enum remora_direction { REMORA_DIRECTION_RECEIVED = 0, REMORA_DIRECTION_SENT = 1 };

/* How a span came to its parent; design: parent rules 1 to 5. */
enum remora_join {
    REMORA_JOIN_ROOT = 0,      /* none was known: a trace of its own */
    REMORA_JOIN_REMOTE = 1,    /* server: the incoming trace header */
    REMORA_JOIN_HEADER = 2,    /* client: the head carried the id of an open server span of ours */
    REMORA_JOIN_ORIGIN = 3,    /* client: the head carried what one open server span came with */
    REMORA_JOIN_CARRIER = 4,   /* client: a runtime carrier said so */
    REMORA_JOIN_THREAD = 5,    /* client: the one request that this thread serves */
    REMORA_JOIN_PROCESS = 6,   /* client: the process span */
    REMORA_JOIN_PROGRAM = 7,   /* client: the program's own, foreign trace header, left as it was */
};

/* How an exchange ended. */
enum remora_end {
    REMORA_END_OPEN = 0,
    REMORA_END_COMPLETE = 1,   /* last byte of the response */
    REMORA_END_LOCAL = 2,      /* the program closed or shut down first */
    REMORA_END_PEER = 3,       /* the peer closed first */
    REMORA_END_ERROR = 4,      /* a socket call failed: error_number */
    REMORA_END_TUNNEL = 5,     /* the connection became a tunnel (CONNECT, Upgrade) */
    REMORA_END_IDLE = 6,       /* nothing moved for the idle limit */
    REMORA_END_PROCESS = 7,    /* the process ended or replaced its image */
    REMORA_END_UNFOLLOWED = 8, /* the rest of the connection could not be followed */
};

/* remora_exchange.marks */
enum remora_marks {
    REMORA_MARK_REQUEST_CUT = 1 << 0,    /* request capture cut at its limit */
    REMORA_MARK_RESPONSE_CUT = 1 << 1,   /* response capture cut */
    REMORA_MARK_INJECTED = 1 << 2,       /* a trace header was added to the outgoing head */
    REMORA_MARK_REPLACED = 1 << 3,       /* an id was replaced in a head */
    REMORA_MARK_REWRITTEN = 1 << 4,      /* the program was handed a rewritten request */
    REMORA_MARK_NEW_CONNECTION = 1 << 5, /* the connection was opened for this exchange */
    REMORA_MARK_TLS = 1 << 6,            /* ran inside TLS */
    REMORA_MARK_STANDS = 1 << 7,         /* still open, but what it says stands unless it is taken
                                            back: a connect that failed while another may follow */
};

struct remora_address {
    uint16_t family;   /* AF_INET, AF_INET6, AF_UNIX, 0 unknown */
    uint16_t port;     /* host byte order */
    uint8_t bytes[16]; /* network byte order; IPv4 in the first four */
};

/* remora_attempt.error_number where no call failed: the program closed the socket before there was
 * an answer. */
enum remora_given_up {
    REMORA_GAVE_UP_TIMEOUT = -1, /* its own time had run out */
    REMORA_GAVE_UP = -2,         /* it wanted no answer any more */
};

/* A connect() that failed. */
struct remora_attempt {
    uint64_t start_ns;
    uint64_t end_ns;
    struct remora_address peer;
    int32_t error_number; /* of the call; enum remora_given_up */
};

/* How a client's connection came about; a time of 0: did not happen, or was not seen. In front of
 * the first exchange of a connection; alone in a record of the protocol "connect", where no
 * connection came about: then the last attempt, or the handshake, is what that record is of. */
struct remora_opening {
    uint64_t lookup_start_ns; /* the host's name was looked up */
    uint64_t lookup_end_ns;
    uint64_t connect_start_ns;
    uint64_t connect_end_ns;
    uint64_t tls_start_ns; /* the handshake */
    uint64_t tls_end_ns;
    uint32_t failed;     /* attempts that failed; the first of them and the last one follow */
    uint32_t tls_failed; /* 1: the handshake did, at tls_end_ns */
    struct remora_attempt attempts[REMORA_ATTEMPTS_MAX];
    char host[REMORA_HOST_NAME_MAX]; /* the name that was looked up, cut, NUL-padded */
};

/* A request and its response. The payload that follows holds, without gaps, the opening of its
 * connection (a struct remora_opening, or nothing), the request capture, the tracestate and the
 * response capture, the captures each written by the protocol's own filter. */
struct remora_exchange {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* zeros: root */
    uint64_t image;       /* which process image: remora_process.image */
    uint64_t connection;  /* unique within the image */
    char protocol[REMORA_PROTOCOL_NAME_MAX];

    uint64_t start_ns;          /* first byte of the request, or connect on a new connection */
    uint64_t request_end_ns;    /* last byte of the request; 0 not reached */
    uint64_t response_start_ns; /* first byte of the response; 0 none */
    uint64_t end_ns;            /* 0 open */
    uint64_t activity_ns;       /* last byte in either direction */

    uint64_t request_bytes; /* all bytes of the message as the program knows it */
    uint64_t request_body_bytes;
    uint64_t response_bytes;
    uint64_t response_body_bytes;

    struct remora_address local;
    struct remora_address peer;
    uint32_t thread;       /* thread id in the process's own pid namespace */
    int32_t error_number;  /* errno of the call that ended it */
    uint32_t sequence;     /* 0 for the first exchange of its connection */
    uint32_t batch;        /* messages in a pipelined batch; 0 and 1 are a single one */
    uint16_t request_size; /* bytes of payload */
    uint16_t tracestate_size;
    uint16_t response_size;
    uint16_t marks;
    uint8_t trace_flags;
    uint8_t role;
    uint8_t join;
    uint8_t end;
    uint32_t process_id; /* which process of the image, in its own pid namespace; 0: the first */
    uint16_t opening_size; /* 0, or that of struct remora_opening */
    uint16_t tls_version;  /* as on the wire: 0x0303 is TLS 1.2; 0 unknown */
    uint16_t tls_cipher;   /* IANA's number; 0 unknown */
    uint8_t tls_resumed;   /* 1: the session was resumed */
    uint8_t pad;
    char alpn[REMORA_ALPN_MAX]; /* the protocol that ALPN chose, cut, NUL-padded */
};
REMORA_STATIC_ASSERT(sizeof(struct remora_address) == 20, "layout");
REMORA_STATIC_ASSERT(sizeof(struct remora_attempt) == 40, "layout");
REMORA_STATIC_ASSERT(sizeof(struct remora_opening) == 240, "layout");
REMORA_STATIC_ASSERT(sizeof(struct remora_exchange) == 232, "layout");

/* A process image that exchanges belong to. Texts are cut, NUL-padded, never trusted. */
struct remora_process {
    uint64_t image;         /* random; new after every exec, shared by forks without exec */
    uint64_t start_ns;      /* when the shim saw it first */
    uint64_t end_ns;        /* 0: still there, or ended unseen */
    uint8_t trace_id[16];   /* the process span; zeros: none */
    uint8_t span_id[8];
    uint8_t parent_id[8];
    uint64_t pid_namespace; /* inode number; 0 unknown */
    uint64_t claimed_boot_ns; /* CLOCK_BOOTTIME at claim: a process that started later is not it */
    uint32_t pid;           /* in its own pid namespace */
    uint32_t parent_pid;
    int32_t exit_code;      /* valid with REMORA_PROCESS_EXITED */
    uint32_t states;        /* remora_process_states */
    uint8_t trace_flags;
    uint8_t pad[7];
    char executable[256];    /* path of the image */
    char command[128];       /* argv[0], then the script of an interpreter after a NUL */
    char service_name[128];  /* OTEL_SERVICE_NAME of its environment */
    char attributes[512];    /* OTEL_RESOURCE_ATTRIBUTES of its environment */
};

enum remora_process_states {
    REMORA_PROCESS_SERVER = 1 << 0,     /* it listened, accepted or served */
    REMORA_PROCESS_REFERENCED = 1 << 1, /* its span's id went out: as a parent, in an environment */
    REMORA_PROCESS_EXITED = 1 << 2,     /* exit_code is valid */
    REMORA_PROCESS_FORKED = 1 << 3,     /* no image of its own: the process span is its parent's */
};

/* Records in files and in ring buffers. */
enum remora_record_type {
    REMORA_RECORD_HELLO = 1, /* first in every stream */
    REMORA_RECORD_PROCESS = 2,
    REMORA_RECORD_EXCHANGE = 3,
    REMORA_RECORD_OPEN = 4,
    REMORA_RECORD_DATA = 5,
    REMORA_RECORD_CLOSE = 6,
    REMORA_RECORD_LOSS = 7,
};

struct remora_record {
    uint32_t size; /* of the whole record with this header; a multiple of 8 */
    uint16_t type;
    uint16_t pad;
    uint64_t time_ns;
    uint64_t image;
};

struct remora_hello_record {
    struct remora_record header;
    char magic[8]; /* "REMORA\0\0" */
    uint32_t abi_version;
    uint32_t pad;
    uint64_t monotonic_ns; /* the same instant on two clocks */
    uint64_t realtime_ns;
};

struct remora_process_record {
    struct remora_record header;
    struct remora_process process;
};

struct remora_exchange_record {
    struct remora_record header;
    struct remora_exchange exchange;
    /* payload: request_size + tracestate_size + response_size bytes, padded to 8 */
};

struct remora_open_record {
    struct remora_record header;
    uint64_t connection;
    struct remora_address local;
    struct remora_address peer;
    uint8_t role; /* UNKNOWN where the producer can't tell */
    uint8_t pad[7];
};

/* Bytes of one direction. position counts from the connection's first byte, so that a hole is
 * seen; position UINT64_MAX: unknown. size may be below length: the rest was not captured. */
struct remora_data_record {
    struct remora_record header;
    uint64_t connection;
    uint64_t position;
    uint32_t length; /* bytes that moved */
    uint32_t size;   /* bytes that follow, at most REMORA_DATA_MAX, padded to 8 */
    uint32_t thread;
    uint8_t direction; /* remora_direction */
    uint8_t pad[3];
    uint8_t caller_trace_id[16]; /* the caller's context where the producer knows it */
    uint8_t caller_span_id[8];
    uint8_t minted_span_id[8]; /* an id that the producer put on the wire; zeros none */
};

struct remora_close_record {
    struct remora_record header;
    uint64_t connection;
    int32_t error_number;
    uint8_t end; /* LOCAL, PEER or ERROR */
    uint8_t pad[3];
};

struct remora_loss_record {
    struct remora_record header;
    uint32_t reason; /* enum remora_loss */
    uint32_t pad;
    uint64_t count; /* since the last one */
};

#endif
