/* See connection.h. */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 8

static size_t message_bytes(const unsigned char *header) {
    return HEADER_BYTES + ((size_t)header[4] << 24 | (size_t)header[5] << 16 | (size_t)header[6] << 8 | header[7]);
}

Part part_read(const char *requests_path, const Identity *identity, int version) {
    Part part = {.context = tls_context(TLS_client_method(), identity, version)};
    FILE *file = fopen(requests_path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) give_up(requests_path);
    size_t size = (size_t)ftell(file), at = 0;
    rewind(file);
    part.bytes = malloc(size + HEADER_BYTES);
    part.starts = malloc((REQUESTS_MAX + 1) * sizeof *part.starts);
    if (!part.bytes || !part.starts || fread(part.bytes, 1, size, file) != size) give_up(requests_path);
    fclose(file);
    for (; at + HEADER_BYTES <= size && part.count < REQUESTS_MAX; at += message_bytes(part.bytes + at)) part.starts[part.count++] = (uint32_t)at;
    errno = EINVAL;
    if (at != size || !part.count) give_up(requests_path);
    part.starts[part.count] = (uint32_t)at;
    return part;
}

void connection_dial(Connection *connection, const Part *part, int epoll, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    int one = 1;
    connection->part = part;
    connection->stage = HANDSHAKE;
    connection->have_bytes = 0;
    connection->started_ns = now_ns();
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) give_up("socket");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) give_up("connect");
    connection->tls = SSL_new(part->context);
    SSL_set_fd(connection->tls, connection->fd);
    SSL_set_connect_state(connection->tls);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event)) give_up("epoll_ctl");
}

void connection_ask(Connection *connection, uint64_t started_ns) {
    const Part *part = connection->part;
    uint32_t at = connection->next_request;
    connection->next_request = at + 1 == part->count ? 0 : at + 1;
    connection->started_ns = started_ns;
    connection->have_bytes = 0;
    connection->stage = WAITING;
    int length = (int)(part->starts[at + 1] - part->starts[at]);
    if (SSL_write(connection->tls, part->bytes + part->starts[at], length) != length) give_up("send");
}

static int wants_more(Connection *connection, int result) {
    int error = SSL_get_error(connection->tls, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

Progress connection_continue(Connection *connection) {
    errno = 0;
    if (connection->stage == HANDSHAKE) {
        int result = SSL_do_handshake(connection->tls);
        if (result != 1 && !wants_more(connection, result)) give_up("handshake");
        if (result != 1) return MORE;
        connection->stage = IDLE;
        return HANDSHAKE_DONE;
    }
    for (;;) {
        unsigned char *reply = connection->reply;
        int got = SSL_read(connection->tls, reply + connection->have_bytes, (int)(sizeof connection->reply - connection->have_bytes));
        if (got <= 0 && wants_more(connection, got)) return MORE;
        if (got <= 0) give_up("the server closed a connection");
        connection->have_bytes += (size_t)got;
        if (connection->have_bytes < HEADER_BYTES || connection->have_bytes < message_bytes(reply)) continue;
        connection->stage = IDLE;
        return REPLY;
    }
}

void connection_close(Connection *connection) {
    SSL_shutdown(connection->tls);
    SSL_free(connection->tls);
    close(connection->fd);
}

int reply_failed(const Connection *connection) {
    static const unsigned char result_status[] = {0x42, 0x00, 0x7F, 0x05, 0, 0, 0, 4}; /* tag, type Enumeration, length */
    const unsigned char *found = memmem(connection->reply, connection->have_bytes, result_status, sizeof result_status);
    return found && found + 12 <= connection->reply + connection->have_bytes && found[11] != 0;
}
