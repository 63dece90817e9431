/* SPDX-License-Identifier: Apache-2.0 */
/* lane_attacker ACT [ARGUMENT...]: a traced program that turns against its tracer. Each act begins by
 * looking for the mapping of "/memfd:remora-lanes" in /proc/self/maps (exit status 3: there is none).
 *   scribble SECONDS SEED   writes noise all over the lanes: bytes, words, blocks, copies of blocks
 *   flip SECONDS SEED       turns single bits over, in lane heads and in what stands first in slots
 *   forge PID COUNT         claims COUNT free lanes in the name of another process
 *   unmap                   unmaps the lanes, then makes an HTTP exchange
 *   protect                 forbids itself all access to the lanes, then makes an HTTP exchange
 *   crowd COUNT FILE        COUNT children, each with an open request; then waits until FILE is there
 *   hoard COUNT FILE        COUNT open requests of one process; then waits until FILE is there
 * An "open request" is one half of a conversation over a socketpair. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint8_t *lanes;
static size_t lanes_size;
/* bpf/abi/lanes.h: 128 KiB each, of 64 places with 2 KiB; the first is the lane's head. */
enum { LANE = 131072, PLACE = 2048, PROCESS = 192 + 8 * 48 };

static void find_lanes(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    while (maps && fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        if (!strstr(line, "memfd:remora-lanes") || sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
        lanes = (uint8_t *)from;
        lanes_size = to - from;
        break;
    }
    if (maps) fclose(maps);
}

static uint64_t state;
static uint64_t next(void) { /* SplitMix64 */
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static size_t below(size_t limit) {
    return (size_t)(next() % limit);
}

/* Noise goes to everything, but mostly to the first lanes: that is where programs are. */
static uint8_t *somewhere(size_t size) {
    const size_t all = lanes_size - size;
    return lanes + below(next() % 8 != 0 && all > 24 * LANE ? 24 * LANE : all);
}

static void scribble_once(void) {
    const size_t size = 1 + below(next() % 8 == 0 ? 4096 : 64);
    uint8_t *at = somewhere(size);
    switch (next() % 6) {
        case 0: memset(at, 0, size); break;
        case 1: memset(at, 0xff, size); break;
        case 2: memcpy(at, somewhere(size), size); break;
        case 3: *(uint64_t *)((uintptr_t)at & ~(uintptr_t)7) = next(); break;
        case 4: *(uint64_t *)((uintptr_t)at & ~(uintptr_t)7) = next() % 1024; break;
        default:
            for (size_t i = 0; i < size; ++i) at[i] = (uint8_t)next();
    }
}

static void flip_once(void) {
    const size_t lane = below(lanes_size / LANE < 24 ? lanes_size / LANE : 24) * LANE;
    const size_t place = next() % 2 ? 0 : below(64) * PLACE;
    lanes[lane + place + below(place == 0 ? PROCESS + 128 : 256)] ^= (uint8_t)(1u << (next() % 8));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int attack(void (*once)(void), const char *seconds, const char *seed) {
    state = strtoull(seed, NULL, 10);
    const double end = now() + atof(seconds);
    while (now() < end)
        for (int i = 0; i < 2000; ++i) once();
    return 0;
}

static int forge(unsigned long pid, int count) {
    for (size_t lane = 0; lane < lanes_size && count > 0; lane += LANE) {
        uint64_t *owner = (uint64_t *)(lanes + lane);
        uint64_t ready = 1;
        if (!__atomic_compare_exchange_n(owner, &ready, pid << 8 | 2, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED))
            continue;
        uint64_t *process = (uint64_t *)(lanes + lane + PROCESS);
        char link[64] = {0};
        if (readlink("/proc/self/ns/pid", link, sizeof(link) - 1) < 0) return 4;
        process[0] = 0x1234567890u + (uint64_t)count;   /* image */
        process[7] = strtoull(link + 5, NULL, 10);      /* pid_namespace */
        process[8] = UINT64_MAX;                        /* claimed_boot_ns */
        __atomic_store_n(owner, pid << 8 | 3, __ATOMIC_RELEASE);
        --count;
    }
    sleep(1); /* until it has been seen */
    return count == 0 ? 0 : 5;
}

static int open_request(void) {
    static const char head[] = "GET /open HTTP/1.1\r\nHost: x\r\n\r\n";
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
    return send(pair[0], head, sizeof(head) - 1, 0) == (ssize_t)(sizeof(head) - 1) ? 0 : 1;
}

static int wait_for(const char *file) {
    puts("ready");
    fflush(stdout);
    while (access(file, F_OK) != 0) usleep(10000);
    return 0;
}

static int crowd(int count, const char *file) {
    static pid_t crew[4096];
    int made = 0;
    for (; made < count && made < 4096; ++made) {
        const pid_t child = crew[made] = fork();
        if (child < 0) break;
        if (child == 0) {
            open_request();
            for (;;) pause();
        }
    }
    printf("%d children\n", made);
    wait_for(file);
    for (int i = 0; i < made; ++i) kill(crew[i], SIGTERM);
    while (wait(NULL) > 0) continue;
    return 0;
}

static int hoard(int count, const char *file) {
    const struct rlimit many = {(rlim_t)count * 2 + 64, (rlim_t)count * 2 + 64};
    if (setrlimit(RLIMIT_NOFILE, &many) != 0) return 6;
    int made = 0;
    while (made < count && open_request() == 0) ++made;
    printf("%d requests\n", made);
    return wait_for(file);
}

int main(int argc, char **argv) {
    find_lanes();
    if (lanes == NULL) return 3;
    const char *act = argc > 1 ? argv[1] : "";
    if (strcmp(act, "scribble") == 0 && argc == 4) return attack(scribble_once, argv[2], argv[3]);
    if (strcmp(act, "flip") == 0 && argc == 4) return attack(flip_once, argv[2], argv[3]);
    if (strcmp(act, "forge") == 0 && argc == 4) return forge(strtoul(argv[2], NULL, 10), atoi(argv[3]));
    if (strcmp(act, "unmap") == 0) return munmap(lanes, lanes_size) == 0 ? open_request() : 7;
    if (strcmp(act, "protect") == 0)
        return mprotect(lanes, lanes_size, PROT_NONE) == 0 ? open_request() : 7;
    if (strcmp(act, "crowd") == 0 && argc == 4) return crowd(atoi(argv[2]), argv[3]);
    if (strcmp(act, "hoard") == 0 && argc == 4) return hoard(atoi(argv[2]), argv[3]);
    fprintf(stderr, "lane_attacker: which act?\n");
    return 2;
}
