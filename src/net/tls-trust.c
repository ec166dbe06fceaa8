#include "net/tls-trust.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#define SHA1_BYTES       20u
#define SHA256_BYTES     32u
#define LIFETIME_SECONDS ((time_t)2 * 365 * 86400)

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)

/* --- thumbprints --- */

static char *format_hex(const guint8 *bytes, gsize length)
{
    GString *text = g_string_sized_new(length * 3);

    for (gsize i = 0; i < length; i++)
        g_string_append_printf(text, "%s%02X", i > 0 ? ":" : "", bytes[i]);
    return g_string_free(text, FALSE);
}

/* Pairs of hex digits with or without colons between them; how many bytes, or 0 when the text is anything
 * else. */
static gsize parse_hex(const char *text, guint8 *bytes, gsize max)
{
    gsize count = 0;

    for (const char *p = text; *p != '\0'; p += 2) {
        p += count > 0 && *p == ':';
        if (count == max || !g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]))
            return 0;
        bytes[count++] = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
    }
    return count;
}

char *tls_thumbprint_parse(const char *text, GError **error)
{
    guint8 bytes[SHA256_BYTES];
    gsize length = parse_hex(text, bytes, sizeof bytes);

    if (length != SHA1_BYTES && length != SHA256_BYTES) {
        vf_fail(error, VF_ERROR_INVALID,
                "\"%s\" is not a thumbprint; write the SHA-256 (or SHA-1) of the certificate in hexadecimal",
                text);
        return NULL;
    }
    return format_hex(bytes, length);
}

gboolean tls_peer_matches(const TlsPeer *peer, const char *thumbprint)
{
    return strcmp(thumbprint, peer->sha256) == 0 || strcmp(thumbprint, peer->sha1) == 0;
}

/* --- what a certificate says --- */

void tls_peer_free(TlsPeer *peer)
{
    if (peer == NULL)
        return;
    g_free(peer->sha1);
    g_free(peer->sha256);
    g_free(peer->subject);
    g_free(peer->issuer);
    g_free(peer->spki_sha256);
    g_free(peer);
}

static gboolean fail_gnutls(GError **error, VfErrorClass class, int code, const char *doing)
{
    return vf_fail(error, class, "%s: %s", doing, gnutls_strerror(code));
}

/* GnuTLS allocates with its own allocator; NULL when there is nothing to take. */
static char *take_text(gnutls_datum_t *datum, int code)
{
    char *text = NULL;

    if (code < 0)
        return g_strdup("(unreadable)");
    text = g_strndup((const char *)datum->data, datum->size);
    gnutls_free(datum->data);
    return text;
}

/* 0 or a GnuTLS error. */
static int fingerprint(gnutls_x509_crt_t certificate, gnutls_digest_algorithm_t digest, char **ret)
{
    guint8 bytes[SHA256_BYTES];
    size_t length = sizeof bytes;
    int code = gnutls_x509_crt_get_fingerprint(certificate, digest, bytes, &length);

    if (code >= 0)
        *ret = format_hex(bytes, length);
    return code;
}

static int public_key_hash(gnutls_x509_crt_t certificate, char **ret_base64)
{
    g_auto(gnutls_pubkey_t) key = NULL;
    gnutls_datum_t der = {0};
    guint8 hash[SHA256_BYTES];
    int code = gnutls_pubkey_init(&key);

    if (code >= 0)
        code = gnutls_pubkey_import_x509(key, certificate, 0);
    if (code >= 0)
        code = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der);
    if (code >= 0)
        code = gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, hash);
    if (code >= 0)
        *ret_base64 = g_base64_encode(hash, sizeof hash);
    gnutls_free(der.data);
    return code;
}

static TlsPeer *describe(gnutls_x509_crt_t certificate, GError **error)
{
    g_autoptr(TlsPeer) peer = g_new0(TlsPeer, 1);
    gnutls_datum_t name = {0};
    int code = fingerprint(certificate, GNUTLS_DIG_SHA1, &peer->sha1);

    if (code >= 0)
        code = fingerprint(certificate, GNUTLS_DIG_SHA256, &peer->sha256);
    if (code >= 0)
        code = public_key_hash(certificate, &peer->spki_sha256);
    if (code < 0) {
        fail_gnutls(error, VF_ERROR_INVALID, code, "cannot read a certificate");
        return NULL;
    }
    peer->subject = take_text(&name, gnutls_x509_crt_get_dn3(certificate, &name, 0));
    peer->issuer = take_text(&name, gnutls_x509_crt_get_issuer_dn3(certificate, &name, 0));
    peer->not_after = (gint64)gnutls_x509_crt_get_expiration_time(certificate) * G_USEC_PER_SEC;
    return g_steal_pointer(&peer);
}

static TlsPeer *describe_encoded(const gnutls_datum_t *encoded, gnutls_x509_crt_fmt_t format, GError **error)
{
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    int code = gnutls_x509_crt_init(&certificate);

    if (code >= 0)
        code = gnutls_x509_crt_import(certificate, encoded, format);
    if (code < 0) {
        fail_gnutls(error, VF_ERROR_INVALID, code, "cannot read a certificate");
        return NULL;
    }
    return describe(certificate, error);
}

TlsPeer *tls_peer_from_pem(const char *pem, GError **error)
{
    const gnutls_datum_t encoded = {.data = (guint8 *)pem, .size = (guint)strlen(pem)};

    return describe_encoded(&encoded, GNUTLS_X509_FMT_PEM, error);
}

/* --- making one --- */

static int add_name(gnutls_x509_crt_t certificate, const char *name)
{
    guint8 address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address, 4,
                                                    GNUTLS_FSAN_APPEND);
    if (inet_pton(AF_INET6, name, address) == 1)
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address, 16,
                                                    GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, name, (guint)strlen(name),
                                                GNUTLS_FSAN_APPEND);
}

static int fill_certificate(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key,
                            const char *const *names)
{
    guint8 serial[16];
    time_t now = time(NULL);
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);

    serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length */
    gnutls_x509_crt_set_version(certificate, 3);
    gnutls_x509_crt_set_serial(certificate, serial, sizeof serial);
    gnutls_x509_crt_set_activation_time(certificate, now - 86400);
    gnutls_x509_crt_set_expiration_time(certificate, now + LIFETIME_SECONDS);
    gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    gnutls_x509_crt_set_key_usage(certificate, GNUTLS_KEY_DIGITAL_SIGNATURE);
    gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (code >= 0)
        code = gnutls_x509_crt_set_key(certificate, key);
    if (code >= 0)
        code = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, names[0],
                                             (guint)strlen(names[0]));
    for (guint i = 0; code >= 0 && names[i] != NULL; i++)
        code = add_name(certificate, names[i]);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
    return code;
}

gboolean tls_make_certificate(const char *const *names, char **ret_key_pem, char **ret_cert_pem,
                              GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    g_auto(gnutls_x509_crt_t) certificate = NULL;
    gnutls_datum_t key_pem = {0}, cert_pem = {0};
    int code = gnutls_x509_privkey_init(&key);

    if (code >= 0)
        code = gnutls_x509_crt_init(&certificate);
    if (code >= 0)
        code = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (code >= 0)
        code = fill_certificate(certificate, key, names);
    if (code >= 0)
        code = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &key_pem);
    if (code >= 0)
        code = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &cert_pem);
    if (code < 0) {
        gnutls_free(key_pem.data);
        return fail_gnutls(error, VF_ERROR_INTERNAL, code, "cannot make a certificate");
    }
    *ret_key_pem = take_text(&key_pem, 0);
    *ret_cert_pem = take_text(&cert_pem, 0);
    return TRUE;
}
