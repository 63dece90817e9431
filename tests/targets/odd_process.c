// SPDX-License-Identifier: Apache-2.0
// Does one thing that Remora can't follow, says "ready" and waits for its end:
//
//   odd_process plain|seccomp|io_uring|stdio PORT
//
// Exit status 77: the kernel refuses it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

static void allow_everything_by_a_filter(void) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        exit(77);
}

static void open_a_ring(void) {
    char parameters[120] = {0};  // struct io_uring_params
    if (syscall(SYS_io_uring_setup, 4, parameters) < 0) exit(77);
}

static void print_to_a_socket(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) exit(1);
    FILE *stream = fdopen(fd, "r+");
    if (stream == NULL) exit(1);
    char line[256];
    fprintf(stream, "GET /stdio HTTP/1.1\r\nHost: x\r\n\r\n");
    fflush(stream);
    if (fgets(line, sizeof(line), stream) == NULL) exit(1);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "seccomp") == 0) allow_everything_by_a_filter();
    if (strcmp(what, "io_uring") == 0) open_a_ring();
    if (strcmp(what, "stdio") == 0) print_to_a_socket(argc > 2 ? atoi(argv[2]) : 0);
    if (write(1, "ready\n", 6) != 6) return 1;
    for (;;) pause();
}
