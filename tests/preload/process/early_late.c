/* SPDX-License-Identifier: Apache-2.0 */
/* A library whose constructor runs before the shim's and whose destructor runs after it, both of
 * which do what hooks look at. Compiled by order_test.py. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *when, const char *what, long value) {
    char line[80];
    int size = snprintf(line, sizeof(line), "%s %s %ld\n", when, what, value);
    if (write(1, line, size) != size) _exit(99);
}

static void use_everything(const char *when) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char buffer[200];
    int pair[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) _exit(98);
    say(when, "send", send(pair[0], request, sizeof(request) - 1, 0));
    struct pollfd wanted = {pair[1], POLLIN, 0};
    say(when, "poll", poll(&wanted, 1, 1000));
    ssize_t size = recv(pair[1], buffer, sizeof(buffer), 0);
    say(when, "recv", size >= (ssize_t)sizeof(request) - 1 && memcmp(buffer, "GET / ", 6) == 0);
    struct iovec part = {buffer, 4};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    say(when, "sendmsg", sendmsg(pair[1], &message, 0));
    say(when, "read", read(pair[0], buffer, 4));
    say(when, "fcntl", fcntl(pair[0], F_SETFL, O_NONBLOCK));
    say(when, "would block", recv(pair[0], buffer, 1, 0));
    int copy = dup(pair[0]);
    say(when, "dup", copy >= 0 && dup2(pair[1], copy) == copy);
    struct epoll_event event = {EPOLLOUT, {0}};
    int epoll = epoll_create1(0);
    say(when, "epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &event));
    say(when, "epoll_wait", epoll_wait(epoll, &event, 1, 1000));
    say(when, "syscall", syscall(SYS_getppid) == getppid());
    say(when, "shutdown", shutdown(pair[0], SHUT_RDWR));
    say(when, "close", close(copy) + close(epoll) + close(pair[0]) + close(pair[1]));
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
        _exit(97);
    }
    waitpid(child, &status, 0);
    say(when, "fork and exec", WEXITSTATUS(status));
}

__attribute__((constructor)) static void early(void) { use_everything("early"); }
__attribute__((destructor)) static void late(void) { use_everything("late"); }
