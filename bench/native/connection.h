/* One client connection: dial, handshake, one TTLV request at a time, its reply. Never blocks. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "tls.h"

#define REQUESTS_MAX (1u << 20)

/* Who a connection is and what it asks: messages lie back to back in a file, each with its length in bytes 4 to 7. */
typedef struct {
    SSL_CTX *context;
    unsigned char *bytes;
    uint32_t *starts; /* count + 1 offsets */
    uint32_t count;
} Part;

typedef enum { HANDSHAKE, IDLE, WAITING } Stage;

typedef struct {
    const Part *part;
    int fd;
    SSL *tls;
    Stage stage;
    uint32_t next_request;
    size_t have_bytes;
    uint64_t started_ns; /* of the request under way, or of the dial */
    unsigned char reply[MESSAGE_BYTES_MAX];
} Connection;

typedef enum { MORE, HANDSHAKE_DONE, REPLY } Progress;

Part part_read(const char *requests_path, const Identity *identity, int version);

/* Starts to connect; the descriptor is watched by the epoll instance from now on. */
void connection_dial(Connection *connection, const Part *part, int epoll, int port);

/* Sends the next request of the part, round and round; the stage must be IDLE. */
void connection_ask(Connection *connection, uint64_t started_ns);

/* Call when the descriptor is ready. REPLY leaves a whole message of have_bytes in reply until the next call of connection_ask. */
Progress connection_continue(Connection *connection);

/* Says goodbye and closes. */
void connection_close(Connection *connection);

/* 0 if the first result status in the reply is Success or there is none (an echo). */
int reply_failed(const Connection *connection);
