/* Mutual-TLS echo server: one thread, epoll, OpenSSL, nothing else. The floor that a key server is measured against.
 *   echo CERTIFICATE KEY AUTHORITY    serves on a free loopback port and prints its number */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

#define EVENTS 256

typedef struct {
    int fd;
    SSL *tls;
} Client;

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1024)) give_up("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &length)) give_up("port");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int epoll, int fd, Client *client) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) give_up("epoll_ctl");
}

static void welcome(int epoll, int listener, SSL_CTX *context) {
    int one = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        Client *client = calloc(1, sizeof *client);
        if (!client) give_up("client");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        client->fd = fd;
        client->tls = SSL_new(context);
        SSL_set_fd(client->tls, fd);
        SSL_set_accept_state(client->tls);
        watch(epoll, fd, client);
    }
}

static void serve(Client *client) {
    static unsigned char message[MESSAGE_BYTES_MAX];
    for (;;) {
        int got = SSL_read(client->tls, message, sizeof message);
        if (got > 0 && SSL_write(client->tls, message, got) == got) continue;
        if (got <= 0 && SSL_get_error(client->tls, got) == SSL_ERROR_WANT_READ) return;
        ERR_clear_error();
        SSL_free(client->tls);
        close(client->fd);
        free(client);
        return;
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: echo CERTIFICATE KEY AUTHORITY\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = tls_context(TLS_server_method(), &(Identity){arguments[1], arguments[2], arguments[3]}, 0);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    struct epoll_event events[EVENTS];
    int listener = listen_on_loopback(), epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener, NULL);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr);
            else welcome(epoll, listener, context);
        }
    }
}
