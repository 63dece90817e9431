/* SPDX-License-Identifier: Apache-2.0 */
/* exec_forms FORM ENVIRONMENT PROGRAM [ARGUMENT...]
 * Becomes (or starts and waits for) PROGRAM by one of libc's ways of running programs.
 *   FORM         execl execlp execle execv execvp execvpe execve execveat execveat_fd fexecve
 *                posix_spawn posix_spawnp vfork_execve vfork_execvp vfork_execl fork_execv
 *                execv_null (argv is empty)
 *   ENVIRONMENT  inherit (environ), empty, null, own (PATH and A=1), large (5000 entries),
 *                huge (2 MiB), brim (as big as this PROGRAM can be given: with "ulimit -s 1024")
 * Exit status: the program's; 100 + errno % 100 and a line on stderr when it could not be run. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Can the kernel give it to this program? Asked by the bare system call. */
static int fits(const char *file, char **args, char **environment) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execve, file, args, environment);
        syscall(SYS_exit_group, 126);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) != 126;
}

static char **fill_to_the_brim(const char *file, char **args) {
    static char *made[8];
    char *last = NULL;
    for (int i = 0; i < 6; ++i) {
        made[i] = last = malloc(100001);
        memset(last, 'x', 100000);
        last[1] = '=';
        last[100000] = '\0';
        if (!fits(file, args, made)) break;
    }
    int good = 2, bad = 100000;
    while (good + 1 < bad) {
        int middle = (good + bad) / 2;
        last[middle] = '\0';
        if (fits(file, args, made))
            good = middle;
        else
            bad = middle;
        last[middle] = 'x';
    }
    last[good] = '\0';
    return made;
}

static char **make_environment(const char *kind, const char *file, char **args) {
    if (strcmp(kind, "brim") == 0) return fill_to_the_brim(file, args);

    static char *none[] = {NULL};
    static char *own[] = {"PATH=/usr/bin:/bin", "A=1", NULL};
    if (strcmp(kind, "inherit") == 0) return environ;
    if (strcmp(kind, "empty") == 0) return none;
    if (strcmp(kind, "null") == 0) return NULL;
    if (strcmp(kind, "own") == 0) return own;
    int entries = strcmp(kind, "huge") == 0 ? 20 : 5000;
    int size = strcmp(kind, "huge") == 0 ? 100000 : 10;
    char **made = calloc(entries + 1, sizeof(char *));
    for (int i = 0; i < entries; ++i) {
        made[i] = malloc(size + 20);
        int prefix = sprintf(made[i], "V%d=", i);
        memset(made[i] + prefix, 'x', size);
        made[i][prefix + size] = '\0';
    }
    return made;
}

static int wait_for(pid_t child) {
    int status;
    if (child < 0) return 100 + errno % 100;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 99;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int failed(const char *form, int error) {
    fprintf(stderr, "%s: %s\n", form, strerror(error));
    return 100 + error % 100;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *form = argv[1];
    const char *file = argv[3];
    char **args = argv + 3;
    char **environment = make_environment(argv[2], file, args);
    const char *a1 = argc > 4 ? argv[4] : NULL;
    const char *a2 = argc > 5 ? argv[5] : NULL;
    volatile pid_t child;
    pid_t started;
    int error;
    errno = 0;

    if (strcmp(form, "execl") == 0)
        execl(file, file, a1, a2, (char *)NULL);
    else if (strcmp(form, "execlp") == 0)
        execlp(file, file, a1, a2, (char *)NULL);
    else if (strcmp(form, "execle") == 0)
        a2 != NULL   ? execle(file, file, a1, a2, (char *)NULL, environment)
        : a1 != NULL ? execle(file, file, a1, (char *)NULL, environment)
                     : execle(file, file, (char *)NULL, environment);
    else if (strcmp(form, "execv") == 0)
        execv(file, args);
    else if (strcmp(form, "execv_null") == 0)
        execv(file, args + argc - 3);  /* argv is just its closing null pointer */
    else if (strcmp(form, "execvp") == 0)
        execvp(file, args);
    else if (strcmp(form, "execvpe") == 0)
        execvpe(file, args, environment);
    else if (strcmp(form, "execve") == 0)
        execve(file, args, environment);
    else if (strcmp(form, "execveat") == 0)
        execveat(AT_FDCWD, file, args, environment, 0);
    else if (strcmp(form, "execveat_fd") == 0)
        execveat(open(file, O_PATH), "", args, environment, AT_EMPTY_PATH);
    else if (strcmp(form, "fexecve") == 0)
        fexecve(open(file, O_RDONLY), args, environment);
    else if (strcmp(form, "posix_spawn") == 0) {
        error = posix_spawn(&started, file, NULL, NULL, args, environment);
        return error != 0 ? failed(form, error) : wait_for(started);
    } else if (strcmp(form, "posix_spawnp") == 0) {
        error = posix_spawnp(&started, file, NULL, NULL, args, environment);
        return error != 0 ? failed(form, error) : wait_for(started);
    } else if (strncmp(form, "vfork_", 6) == 0) {
        child = vfork();
        if (child == 0) {
            if (strcmp(form, "vfork_execve") == 0) execve(file, args, environment);
            if (strcmp(form, "vfork_execvp") == 0) execvp(file, args);
            if (strcmp(form, "vfork_execl") == 0) execl(file, file, a1, a2, (char *)NULL);
            _exit(100 + errno % 100);
        }
        return wait_for(child);
    } else if (strcmp(form, "fork_execv") == 0) {
        child = fork();
        if (child == 0) {
            execv(file, args);
            _exit(100 + errno % 100);
        }
        return wait_for(child);
    } else {
        return 2;
    }
    return failed(form, errno);
}
