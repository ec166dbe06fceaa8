/* net/testing.h: a server that can do everything a client must live with.  Not part of the program. */
#pragma once

#include "base/error.h"
#include "net/http-client.h"
#include "net/http-server.h"

#define TESTING_FILE_SIZE ((guint64)3 << 20)

typedef struct {
    char *key, *certificate; /* PEM */
    TlsPeer *peer;           /* of the certificate */
    HttpServer *server;
    char *base;
    Cancel *stop;  /* ends what is slow on purpose */
    gint requests; /* atomic: how many reached the handler */
} Testing;

/* GTest fixture: a TLS server for "localhost". */
void testing_set_up(Testing *testing, gconstpointer data);
void testing_tear_down(Testing *testing, gconstpointer data);

/* Another key and certificate; takes effect with testing_start(). */
void testing_make_certificate(Testing *testing);
void testing_start(Testing *testing, guint16 port);
void testing_handle(HttpExchange *exchange, gpointer data);

HttpClient *testing_client(const Testing *testing, const HttpClientOptions *options);
/* One that holds the server to its certificate. */
HttpClient *testing_pinned_client(const Testing *testing);

void assert_body(HttpClient *client, const HttpRequest *request, guint status, const char *body);
/* `ret_message` may be NULL. */
void assert_fails(HttpClient *client, const HttpRequest *request, VfErrorClass class, char **ret_message);
/* Reads that part of /file into a buffer and compares every byte. */
void read_range(HttpClient *client, guint64 offset, gsize length);

/* For g_thread_new(): fires the Cancel in a moment. */
gpointer testing_fire_soon(gpointer cancel);
