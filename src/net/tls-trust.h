/* net/tls-trust.h: whom we believe on the other end of a TLS connection.
 *
 * Four ways: the system's CAs, a CA file, a pinned certificate (thumbprint), or nobody is asked (insecure,
 * only when said so).  A thumbprint is the SHA-1 (20 bytes) or SHA-256 (32 bytes) of the leaf certificate's
 * DER, hexadecimal, with or without colons, any case: what vCenter's own tools print.
 */
#pragma once

#include <glib.h>

typedef struct {
    char *ca_file;    /* NULL: the system's */
    char *thumbprint; /* NULL: verify by CA.  Given: exactly this certificate, CA and host name not asked */
    gboolean insecure;
} TlsTrust;

/* What a server showed us: http_client_peer() looks. */
typedef struct {
    char *sha1;   /* "AA:BB:...", 59 characters */
    char *sha256; /* 95 characters */
    char *subject;
    char *issuer;
    gint64 not_after;  /* microseconds since 1970 */
    char *spki_sha256; /* base64 of the SHA-256 of the public key: what pins the later connections */
} TlsPeer;
void tls_peer_free(TlsPeer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TlsPeer, tls_peer_free)

/* VF_ERROR_INVALID when it is neither 20 nor 32 bytes of hex.  Normalised: upper case with colons. */
char *tls_thumbprint_parse(const char *text, GError **error);

/* TRUE when `thumbprint` (either kind, normalised) is this peer's. */
gboolean tls_peer_matches(const TlsPeer *peer, const char *thumbprint);

/* A fresh key and self-signed certificate for `names` (DNS names and addresses, NULL-terminated), PEM: what
 * the lab shows. */
gboolean tls_make_certificate(const char *const *names, char **ret_key_pem, char **ret_cert_pem,
                              GError **error);

/* Both thumbprints of a PEM certificate. */
TlsPeer *tls_peer_from_pem(const char *pem, GError **error);
