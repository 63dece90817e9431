/* SPDX-License-Identifier: Apache-2.0 */
/* process_acts ACT [ARGUMENT...]: what programs do to themselves, one thing at a time.
 *   end HOW CODE             main, exit, _exit, _Exit, quick_exit, exit_group (raw system call),
 *                            thread (exit from another thread), vfork (the child of a vfork _exits
 *                            with CODE, then we are killed)
 *   descriptors              prints which descriptors are open, then the next three numbers given out
 *   close_all HOW COMMAND..  close (0..1023), close_range, closefrom from descriptor 3; then COMMAND
 *   daemonise HOW FILE       daemon or twice (fork, setsid, fork); the daemon writes FILE and ends
 *   chroot FOLDER COMMAND..  needs root
 *   setuid NUMBER COMMAND..  drops groups, gid and uid; needs root
 *   fork_storm COUNT DEPTH   COUNT children, each with a chain of DEPTH grandchildren
 *   seccomp HOW              a filter that kills for everything but read, write, exit, exit_group,
 *                            rt_sigreturn and close; then writes "alive" and ends. HOW: prctl, syscall
 *   seccomp_exec HOW COMMAND..  a filter that kills for readlink, madvise and getpid, then COMMAND
 *   lock_memory              mlockall, all there is; prints what it said
 *   environment NAME...      prints NAME=value for each */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *exit_here(void *code) {
    exit((int)(long)code);
}

static int end(const char *how, int code) {
    if (strcmp(how, "main") == 0) return code;
    if (strcmp(how, "exit") == 0) exit(code);
    if (strcmp(how, "_exit") == 0) _exit(code);
    if (strcmp(how, "_Exit") == 0) _Exit(code);
    if (strcmp(how, "quick_exit") == 0) quick_exit(code);
    if (strcmp(how, "exit_group") == 0) syscall(SYS_exit_group, code);
    if (strcmp(how, "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, exit_here, (void *)(long)code);
        pthread_join(thread, NULL);
    }
    if (strcmp(how, "vfork") == 0) {
        pid_t child = vfork();
        if (child == 0) _exit(code);
        waitpid(child, NULL, 0);
        kill(getpid(), SIGKILL);
    }
    return 2;
}

static int descriptors(void) {
    for (int fd = 0; fd < 4096; ++fd)
        if (fcntl(fd, F_GETFD) != -1) printf("%d ", fd);
    for (int i = 0; i < 3; ++i) printf("next %d ", open("/dev/null", O_RDONLY));
    printf("\n");
    return 0;
}

static int close_all(const char *how, char **command) {
    if (strcmp(how, "close") == 0) {
        for (int fd = 3; fd < 1024; ++fd) close(fd);
    } else if (strcmp(how, "close_range") == 0) {
        close_range(3, ~0u, 0);
    } else {
        closefrom(3);
    }
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    printf("%d\n", fd);
    fflush(stdout);
    execvp(command[0], command);
    return 1;
}

static int daemonise(const char *how, const char *file) {
    if (strcmp(how, "daemon") == 0) {
        if (daemon(0, 0) != 0) return 1;
    } else {
        if (fork() != 0) return 0;
        setsid();
        if (fork() != 0) _exit(0);
        for (int fd = 0; fd < 1024; ++fd) close(fd);
    }
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    dprintf(fd, "%d %d\n", (int)getpid(), fd);
    close(fd);
    return 5;
}

static int fork_storm(int count, int depth) {
    for (int i = 0; i < count; ++i) {
        pid_t child = fork();
        if (child < 0) return 1;
        if (child != 0) continue;
        for (int level = 0; level < depth; ++level) {
            child = fork();
            if (child < 0) _exit(1);
            if (child != 0) {
                int status;
                waitpid(child, &status, 0);
                if (level % 2) exit(WEXITSTATUS(status));
                _exit(WEXITSTATUS(status));
            }
        }
        _exit(0);
    }
    int status, bad = 0;
    while (wait(&status) > 0) bad |= status;
    return bad != 0;
}

static int install(const char *how, struct sock_filter *code, unsigned short size) {
    struct sock_fprog program = {size, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    if (strcmp(how, "prctl") == 0) return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

#define NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define IF(number, action)                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, (action))
#define ELSE(action) BPF_STMT(BPF_RET | BPF_K, (action))

static int seccomp(const char *how) {
    struct sock_filter code[] = {NUMBER,
                                 IF(SYS_read, SECCOMP_RET_ALLOW),
                                 IF(SYS_write, SECCOMP_RET_ALLOW),
                                 IF(SYS_exit, SECCOMP_RET_ALLOW),
                                 IF(SYS_exit_group, SECCOMP_RET_ALLOW),
                                 IF(SYS_rt_sigreturn, SECCOMP_RET_ALLOW),
                                 IF(SYS_close, SECCOMP_RET_ALLOW),
                                 ELSE(SECCOMP_RET_KILL_PROCESS)};
    char byte;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    if (write(pair[1], "x", 1) != 1 || read(pair[0], &byte, 1) != 1) return 1;
    if (install(how, code, sizeof(code) / sizeof(code[0])) != 0) return 77;
    if (write(pair[1], "x", 1) != 1 || read(pair[0], &byte, 1) != 1) return 1;
    close(pair[0]);
    close(pair[1]);
    if (write(1, "alive\n", 6) != 6) return 1;
    _exit(0);
}

static int seccomp_exec(const char *how, char **command) {
    struct sock_filter code[] = {
        NUMBER, IF(SYS_readlink, SECCOMP_RET_KILL_PROCESS), IF(SYS_madvise, SECCOMP_RET_KILL_PROCESS),
        IF(SYS_getpid, SECCOMP_RET_KILL_PROCESS), ELSE(SECCOMP_RET_ALLOW)};
    if (install(how, code, sizeof(code) / sizeof(code[0])) != 0) return 77;
    execvp(command[0], command);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    const char *act = argv[1];
    if (strcmp(act, "end") == 0 && argc == 4) return end(argv[2], atoi(argv[3]));
    if (strcmp(act, "descriptors") == 0) return descriptors();
    if (strcmp(act, "close_all") == 0 && argc > 3) return close_all(argv[2], argv + 3);
    if (strcmp(act, "daemonise") == 0 && argc == 4) return daemonise(argv[2], argv[3]);
    if (strcmp(act, "fork_storm") == 0 && argc == 4) return fork_storm(atoi(argv[2]), atoi(argv[3]));
    if (strcmp(act, "seccomp") == 0 && argc == 3) return seccomp(argv[2]);
    if (strcmp(act, "seccomp_exec") == 0 && argc > 3) return seccomp_exec(argv[2], argv + 3);
    if (strcmp(act, "lock_memory") == 0) {
        int result = mlockall(MCL_CURRENT);
        printf("%d %d\n", result, result == 0 ? 0 : errno);
        return 0;
    }
    if (strcmp(act, "environment") == 0) {
        for (int i = 2; i < argc; ++i) printf("%s=%s\n", argv[i], getenv(argv[i]) ?: "(none)");
        return 0;
    }
    if (strcmp(act, "chroot") == 0 && argc > 3) {
        if (chroot(argv[2]) != 0 || chdir("/") != 0) return 1;
        execv(argv[3], argv + 3);
        return 1;
    }
    if (strcmp(act, "setuid") == 0 && argc > 3) {
        if (setgroups(0, NULL) != 0 || setgid(atoi(argv[2])) != 0 || setuid(atoi(argv[2])) != 0)
            return 1;
        execvp(argv[3], argv + 3);
        return 1;
    }
    return 2;
}
