/* SPDX-License-Identifier: Apache-2.0 */
/* edge_calls ACT [FILE]: calls that are right, though only just. Each prints what it was told.
 *   big_select    select() with a count far beyond its set, as select(getdtablesize(), ...) is
 *   bad_pointers  poll() and select() on addresses that the kernel refuses
 *   short_address accept() with room for a part of the peer's address, at the end of a page
 *   reused FILE   a socket is closed unseen (by a system call without libc), and its number becomes
 *                 FILE's, to and from which a text like a request goes
 *   small_stacks  a signal handler on a stack of its own writes a report, and a thread with the
 *                 smallest stack there is sends a request */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

/* The last `size` bytes before an address where nothing is mapped. */
static void* before_a_gap(size_t size) {
    char* page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    return page + 4096 - size;
}

static void close_unseen(int fd) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(3L), "D"((long)fd) : "rcx", "r11", "memory");
}

static int listener(struct sockaddr_in6* address) {
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    memset(address, 0, sizeof(*address));
    address->sin6_family = AF_INET6;
    address->sin6_addr = in6addr_loopback;
    if (bind(fd, (struct sockaddr*)address, size) != 0 || listen(fd, 4) != 0) return -1;
    getsockname(fd, (struct sockaddr*)address, &size);
    return fd;
}

static int big_select(void) {
    fd_set* set = before_a_gap(sizeof(fd_set));
    int ends[2];
    if (pipe(ends) != 0 || write(ends[1], "x", 1) != 1) return 1;
    FD_ZERO(set);
    FD_SET(ends[0], set);
    printf("%d\n", select(1 << 20, set, NULL, NULL, NULL));
    return 0;
}

static int bad_pointers(void) {
    struct timeval now = {0, 0};
    void* volatile nowhere = (void*)16; /* volatile: compilers know better */
    int result = poll(nowhere, 2, 0);
    printf("poll %d %s\n", result, strerror(errno));
    result = select(8, nowhere, NULL, NULL, &now);
    printf("select %d %s\n", result, strerror(errno));
    return 0;
}

static int short_address(void) {
    struct sockaddr_in6 address;
    int from = listener(&address);
    if (from < 0) return 77;
    int client = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr*)&address, sizeof(address)) != 0) return 1;
    socklen_t size = 16;
    int fd = accept(from, before_a_gap(size), &size);
    printf("%d of %u\n", fd >= 0, size);
    return 0;
}

static int reused(const char* path) {
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_in6 address;
    char read_back[4096];
    int from = listener(&address);
    if (from < 0) return 77;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    close_unseen(fd);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file != fd) return 2;
    errno = 0;
    ssize_t size = write(file, text, sizeof(text) - 1);
    printf("wrote %zd %s\n", size, strerror(errno));
    close_unseen(file);

    int client = socket(AF_INET6, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr*)&address, sizeof(address)) != 0) return 1;
    fd = accept(from, NULL, NULL);
    close_unseen(fd);
    file = open(path, O_RDONLY);
    if (file != fd) return 2;
    size = read(file, read_back, sizeof(read_back));
    printf("read %zd: %.*s\n", size, (int)size, read_back);
    return 0;
}

static int pair[2];

static void report(int number) {
    static const char text[] = "it crashed\n";
    (void)number;
    if (write(pair[0], text, sizeof(text) - 1) < 0) _exit(1);
}

static void* request(void* end) {
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    return send(*(int*)end, text, sizeof(text) - 1, 0) == (ssize_t)sizeof(text) - 1 ? end : NULL;
}

static int small_stacks(void) {
    const size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 4096;
    stack_t stack = {.ss_size = size};
    char* memory =
        mmap(NULL, 65536 + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory, 65536, PROT_NONE);
    stack.ss_sp = memory + 65536;
    struct sigaction action = {.sa_handler = report, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0) return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    raise(SIGUSR1);

    int other[2];
    pthread_attr_t attributes;
    pthread_t thread;
    void* sent = NULL;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) != 0)
        return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, other) != 0) return 1;
    if (pthread_create(&thread, &attributes, request, &other[0]) != 0) return 1;
    pthread_join(thread, &sent);
    printf("%s\n", sent != NULL ? "sent" : "not sent");
    return 0;
}

int main(int count, char** arguments) {
    const char* act = count > 1 ? arguments[1] : "";
    if (strcmp(act, "big_select") == 0) return big_select();
    if (strcmp(act, "bad_pointers") == 0) return bad_pointers();
    if (strcmp(act, "short_address") == 0) return short_address();
    if (strcmp(act, "small_stacks") == 0) return small_stacks();
    if (strcmp(act, "reused") == 0 && count > 2) return reused(arguments[2]);
    return 2;
}
