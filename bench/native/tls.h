/* What the echo server and the load client share: TLS contexts, time, and giving up with a message. */
#pragma once
#include <openssl/ssl.h>
#include <stdint.h>

#define MESSAGE_BYTES_MAX (256u << 10)

typedef struct {
    const char *certificate, *key, *authority; /* PEM files */
} Identity;

/* Ends the program: what, and the system's or OpenSSL's reason. */
void give_up(const char *what) __attribute__((noreturn));

uint64_t now_ns(void);

/* Both sides show and demand a certificate. version is TLS1_2_VERSION or TLS1_3_VERSION for a client, 0 for a server (both). */
SSL_CTX *tls_context(const SSL_METHOD *method, const Identity *identity, int version);
