/* Mutual-TLS load client for TTLV servers and the echo server: one thread, epoll, one outstanding request per connection. Prints JSON.
 *
 *   load --port P --authority PEM --part CERTIFICATE,KEY,REQUESTS [--part ...] [--connections N] [--seconds S] [--warmup S]
 *        [--tls 1.2] [--busy] [--save FILE] [--mode steady | paced --rate R | fill | reconnect | storm --newcomers N]
 *
 * Connection i is part i modulo their number and starts at its own place in the part's requests.
 *   steady     closed loop: the next request follows the reply
 *   paced      open loop: R requests a second at even distances; latency counts from when a request was due, not from when it could be sent
 *   fill       closed loop until each connection, one for each part, has sent its part once
 *   reconnect  connect, handshake, one request, close; N at a time
 *   storm      closed loop beside a second process that lets newcomers connect at once; only what overlaps the time from their first SYN
 *              to the reply to the last one's first request is counted (the server is certain to have finished its handshake then)
 * --busy polls without sleeping, so that waking this program does not tax the server. --save keeps the first reply, or the first that failed. */
#define _GNU_SOURCE
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection.h"

#define PARTS_MAX 1024
#define EVENTS 256
#define SAMPLES_MAX (8u << 20)
#define SECOND_NS 1000000000ull
#define STALL_MS 10000

typedef struct {
    uint64_t started_ns, ended_ns;
} Sample;

typedef struct {
    uint64_t begun_ns, ended_ns; /* first SYN, last reply */
} Storm;

static struct {
    int port, version, connections, newcomers, busy;
    double seconds, warmup_s, rate;
    const char *mode, *authority, *save;
    const char *part_words[PARTS_MAX];
} options = {.version = TLS1_3_VERSION, .connections = 1, .newcomers = 100, .seconds = 3, .warmup_s = 0.5, .rate = 11000, .mode = "steady"};

static Part parts[PARTS_MAX];
static int part_count, epoll_fd;
static Connection *connections;
static Sample *samples;
static uint32_t sample_count;
static uint64_t all_operations, failed_operations;
static int saved; /* 1 a good reply, 2 a failed one */

static void read_part(const char *words) {
    char *copy = strdup(words), *certificate = strtok(copy, ","), *key = strtok(NULL, ","), *requests = strtok(NULL, ",");
    if (!requests) give_up("--part needs CERTIFICATE,KEY,REQUESTS");
    parts[part_count++] = part_read(requests, &(Identity){certificate, key, options.authority}, options.version);
}

static void read_options(int count, char **arguments) {
    static const struct option known[] = {{"port", 1, 0, 'p'}, {"authority", 1, 0, 'a'}, {"part", 1, 0, 'P'}, {"connections", 1, 0, 'c'},
        {"seconds", 1, 0, 's'}, {"warmup", 1, 0, 'w'}, {"tls", 1, 0, 't'}, {"busy", 0, 0, 'b'}, {"save", 1, 0, 'S'}, {"mode", 1, 0, 'm'},
        {"rate", 1, 0, 'r'}, {"newcomers", 1, 0, 'n'}, {0, 0, 0, 0}};
    int words = 0;
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'a': options.authority = optarg; break;
        case 'P': if (words < PARTS_MAX) options.part_words[words++] = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warmup_s = atof(optarg); break;
        case 't': options.version = strcmp(optarg, "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION; break;
        case 'b': options.busy = 1; break;
        case 'S': options.save = optarg; break;
        case 'm': options.mode = optarg; break;
        case 'r': options.rate = atof(optarg); break;
        case 'n': options.newcomers = atoi(optarg); break;
        default: exit(2);
    }
    if (!options.port || !options.authority || !words || options.connections < 1) {
        fprintf(stderr, "needs --port, --authority and --part\n");
        exit(2);
    }
    for (int i = 0; i < words; i++) read_part(options.part_words[i]);
}

static Connection *make_connections(int count) {
    Connection *made = mmap(NULL, (size_t)count * sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) give_up("memory");
    for (int i = 0; i < count; i++) {
        made[i].part = &parts[i % part_count];
        made[i].next_request = (uint32_t)((uint64_t)made[i].part->count * (uint64_t)(i / part_count) / (uint64_t)(count / part_count + 1));
    }
    return made;
}

static void save_reply(const Connection *connection, int failed) {
    if (!options.save || saved > failed) return;
    saved = failed + 1;
    FILE *file = fopen(options.save, "wb");
    if (!file || fwrite(connection->reply, 1, connection->have_bytes, file) != connection->have_bytes || fclose(file)) give_up(options.save);
}

static void count_reply(const Connection *connection, uint64_t ended_ns) {
    int failed = reply_failed(connection);
    all_operations++;
    failed_operations += (uint64_t)failed;
    save_reply(connection, failed);
    if (sample_count < SAMPLES_MAX) samples[sample_count++] = (Sample){connection->started_ns, ended_ns};
}

/* Waits for events, at most one second unless polling; nothing at all for STALL_MS ends the program. */
static int wait_events(struct epoll_event *events, int poll) {
    static uint64_t last_ns;
    int ready = epoll_wait(epoll_fd, events, EVENTS, poll ? 0 : 1000);
    uint64_t now = ready ? 0 : now_ns();
    if (ready || !last_ns) last_ns = now_ns();
    if (now > last_ns + STALL_MS * 1000000ull) give_up("the server has not answered for too long");
    return ready;
}

static void connect_all(void) {
    struct epoll_event events[EVENTS];
    for (int i = 0; i < options.connections; i++) {
        Connection *connection = &connections[i];
        connection_dial(connection, connection->part, epoll_fd, options.port);
        while (connection->stage == HANDSHAKE) {
            wait_events(events, 0);
            connection_continue(connection);
        }
    }
}

/* Modes -------------------------------------------------------------------------------------------------------------------- */

/* Edge-triggered: connection_continue reads until there is nothing more, so each event is answered whole. */
static void closed_loop(int (*goes_on)(uint64_t now)) {
    struct epoll_event events[EVENTS];
    for (int i = 0; i < options.connections; i++) connection_ask(&connections[i], now_ns());
    for (uint64_t now = now_ns(); goes_on(now); now = now_ns()) {
        int ready = wait_events(events, options.busy);
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            if (connection_continue(connection) != REPLY) continue;
            now = now_ns();
            count_reply(connection, now);
            connection_ask(connection, now);
        }
    }
}

static uint64_t end_ns;
static int until_end(uint64_t now) { return now < end_ns; }

static void paced(void) {
    struct epoll_event events[EVENTS];
    Connection **idle = calloc((size_t)options.connections, sizeof *idle);
    int idle_count = 0;
    if (!idle) give_up("memory");
    for (int i = 0; i < options.connections; i++) idle[idle_count++] = &connections[i];
    uint64_t begun_ns = now_ns(), sent = 0;
    for (uint64_t now = begun_ns; now < end_ns; now = now_ns()) {
        for (uint64_t due; idle_count && (due = begun_ns + (uint64_t)((double)sent * SECOND_NS / options.rate)) <= now; sent++)
            connection_ask(idle[--idle_count], due);
        int ready = wait_events(events, 1);
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            if (connection_continue(connection) != REPLY) continue;
            count_reply(connection, now_ns());
            idle[idle_count++] = connection;
        }
    }
    free(idle);
}

static void fill(void) {
    struct epoll_event events[EVENTS];
    int working = options.connections;
    if (options.connections != part_count) give_up("--mode fill needs as many connections as parts");
    for (int i = 0; i < options.connections; i++) connection_ask(&connections[i], now_ns());
    while (working) {
        int ready = wait_events(events, options.busy);
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            if (connection_continue(connection) != REPLY) continue;
            count_reply(connection, now_ns());
            if (connection->next_request) connection_ask(connection, now_ns()); /* 0: all were sent */
            else working--;
        }
    }
}

/* Dials, asks once after the handshake, and calls done with each reply until done says that it is enough. */
static void dial_and_ask(Connection *dialled, int count, int (*done)(Connection *connection)) {
    struct epoll_event events[EVENTS];
    for (int i = 0; i < count; i++) connection_dial(&dialled[i], dialled[i].part, epoll_fd, options.port);
    for (int enough = 0; !enough;) {
        int ready = wait_events(events, options.busy);
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            Progress progress = connection_continue(connection);
            if (progress == HANDSHAKE_DONE) connection_ask(connection, connection->started_ns);
            if (progress == REPLY) enough |= done(connection);
        }
    }
}

static int dial_again(Connection *connection) {
    count_reply(connection, now_ns());
    connection_close(connection);
    connection_dial(connection, connection->part, epoll_fd, options.port);
    return now_ns() >= end_ns;
}

static int newcomers_waiting;
static int one_less(Connection *connection) {
    (void)connection;
    return --newcomers_waiting == 0;
}

static Storm *storm;
static int until_storm_over(uint64_t now) { return !__atomic_load_n(&storm->ended_ns, __ATOMIC_ACQUIRE) && now < end_ns; }

static void be_newcomers(void) {
    usleep((useconds_t)(options.warmup_s * 1e6));
    options.busy = 0;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    newcomers_waiting = options.newcomers;
    Connection *newcomers = make_connections(options.newcomers);
    storm->begun_ns = now_ns();
    dial_and_ask(newcomers, options.newcomers, one_less);
    __atomic_store_n(&storm->ended_ns, now_ns(), __ATOMIC_RELEASE);
    _exit(0); /* with the connections open: closing them is not part of the storm */
}

static void stormy(void) {
    storm = mmap(NULL, sizeof *storm, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (storm == MAP_FAILED) give_up("memory");
    pid_t child = fork();
    if (child == 0) be_newcomers();
    /* The newcomers' own work on this core must not count as the server's delay. */
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) == 0) options.busy = 0;
    closed_loop(until_storm_over);
    int status;
    if (!storm->ended_ns) kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child || status) give_up("the newcomers were not all served in time");
}

/* Report ------------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Samples that overlap the window, as sorted latencies. */
static uint32_t latencies_of(uint64_t from_ns, uint64_t to_ns, uint64_t *latencies) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < sample_count; i++)
        if (samples[i].ended_ns > from_ns && samples[i].started_ns < to_ns) latencies[count++] = samples[i].ended_ns - samples[i].started_ns;
    qsort(latencies, count, sizeof *latencies, compare);
    return count;
}

static double at_share(const uint64_t *latencies, uint32_t count, double share) { return (double)latencies[(uint32_t)((count - 1) * share)] / 1000; }

static void report(uint64_t from_ns, uint64_t to_ns) {
    uint64_t *latencies = malloc((sample_count + 1) * sizeof *latencies);
    uint32_t count = latencies ? latencies_of(from_ns, to_ns, latencies) : 0;
    if (!count) give_up("no reply in the time measured");
    double seconds = (double)(to_ns - from_ns) / SECOND_NS;
    printf("{\"mode\": \"%s\", \"connections\": %d, \"tls\": \"%s\", \"seconds\": %.4f, \"operations\": %u, \"operations_all\": %llu, \"failed\": %llu, "
           "\"per_s\": %.1f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
           options.mode, options.connections, options.version == TLS1_2_VERSION ? "1.2" : "1.3", seconds, count, (unsigned long long)all_operations,
           (unsigned long long)failed_operations, count / seconds, at_share(latencies, count, 0.5), at_share(latencies, count, 0.9),
           at_share(latencies, count, 0.99), at_share(latencies, count, 0.999), (double)latencies[count - 1] / 1000);
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    read_options(count, arguments);
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    if (!samples) give_up("memory");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    connections = make_connections(options.connections);
    if (strcmp(options.mode, "reconnect")) connect_all();
    uint64_t from_ns = now_ns() + (uint64_t)(options.warmup_s * SECOND_NS);
    end_ns = from_ns + (uint64_t)(options.seconds * SECOND_NS);
    if (!strcmp(options.mode, "steady")) closed_loop(until_end);
    else if (!strcmp(options.mode, "paced")) paced();
    else if (!strcmp(options.mode, "fill")) fill();
    else if (!strcmp(options.mode, "reconnect")) dial_and_ask(connections, options.connections, dial_again);
    else if (!strcmp(options.mode, "storm")) stormy();
    else give_up("--mode is steady, paced, fill, reconnect or storm");
    if (storm) report(storm->begun_ns, storm->ended_ns);
    else if (!strcmp(options.mode, "fill")) report(samples[0].started_ns, now_ns());
    else report(from_ns, end_ns);
    return 0;
}
