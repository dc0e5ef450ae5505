/* See tls.h. */
#define _GNU_SOURCE
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void give_up(const char *what) {
    int error = errno;
    fprintf(stderr, "%s: %s\n", what, error ? strerror(error) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

SSL_CTX *tls_context(const SSL_METHOD *method, const Identity *identity, int version) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) give_up("TLS context");
    SSL_CTX_set_min_proto_version(context, version ? version : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, version ? version : TLS1_3_VERSION);
    if (SSL_CTX_use_certificate_chain_file(context, identity->certificate) != 1) give_up(identity->certificate);
    if (SSL_CTX_use_PrivateKey_file(context, identity->key, SSL_FILETYPE_PEM) != 1) give_up(identity->key);
    if (SSL_CTX_load_verify_locations(context, identity->authority, NULL) != 1) give_up(identity->authority);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"bench", 5);
    return context;
}
