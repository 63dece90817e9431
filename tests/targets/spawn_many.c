/* SPDX-License-Identifier: Apache-2.0 */
/* spawn_many COUNT [NAME=VALUE...] -- COMMAND [ARGS...]
 * Starts COMMAND that often, one after the other, with NAME=VALUE added to the environment of the
 * children only. Prints "<mean microseconds> <fastest>". Fails at the first child that fails. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    char *environment[1024];
    int used = 0, i = 2;
    if (argc < 4) return 2;
    for (char **e = environ; *e != NULL && used < 900; ++e) environment[used++] = *e;
    for (; i < argc && strcmp(argv[i], "--") != 0 && used < 1000; ++i) environment[used++] = argv[i];
    environment[used] = NULL;
    char **command = argv + i + 1;
    int count = atoi(argv[1]);
    double fastest = 1e18, start = now_us();
    for (int n = 0; n < count; ++n) {
        double begin = now_us();
        pid_t child;
        int status;
        if (posix_spawn(&child, command[0], NULL, NULL, command, environment) != 0) return 3;
        if (waitpid(child, &status, 0) != child || status != 0) return 4;
        double took = now_us() - begin;
        if (took < fastest) fastest = took;
    }
    printf("%.1f %.1f\n", (now_us() - start) / count, fastest);
    return 0;
}
