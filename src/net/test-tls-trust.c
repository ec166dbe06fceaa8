#include "net/tls-trust.h"

#include "base/error.h"
#include "base/proc.h"

#include <string.h>

#define SHA1   "AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01"
#define SHA256 SHA1 ":23:45:67:89:AB:CD:EF:01:23:45:67:89"

static void assert_normalised(const char *text, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *normalised = tls_thumbprint_parse(text, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(normalised, ==, expected);
}

static void test_parse(void)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "AB",
                                      SHA1 ":",
                                      ":" SHA1,
                                      SHA1 ":AB",
                                      SHA256 ":AB",
                                      SHA1 "x",
                                      "GB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01",
                                      "A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:1"};

    assert_normalised(SHA1, SHA1);
    assert_normalised(SHA256, SHA256);
    assert_normalised("abcdef0123456789abcdef0123456789abcdef01", SHA1);
    assert_normalised("ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01", SHA1);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(tls_thumbprint_parse(bad[i], &error));
        g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
    }
}

/* What `openssl x509 -fingerprint` prints after the equals sign. */
static char *openssl_says(const char *pem, const char *digest)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;
    const ProcOptions options = {.input = pem, .input_length = strlen(pem)};
    const char *const argv[] = {"openssl", "x509", "-noout", "-fingerprint", digest, NULL};

    g_assert_true(proc_run(argv, &options, &output, NULL, &error));
    return g_strchomp(g_strdup(strchr(output, '=') + 1));
}

static void test_against_openssl(void)
{
    static const char *const names[] = {"vc.example.com", "localhost", "127.0.0.1", "::1", NULL};
    g_autofree char *openssl = proc_find("openssl");
    g_autofree char *key = NULL, *pem = NULL, *sha1 = NULL, *sha256 = NULL, *text = NULL;
    g_autoptr(TlsPeer) peer = NULL;
    g_autoptr(GError) error = NULL;

    if (openssl == NULL) {
        g_test_skip("openssl is not installed");
        return;
    }
    g_assert_true(tls_make_certificate(names, &key, &pem, &error));
    peer = tls_peer_from_pem(pem, &error);
    g_assert_no_error(error);
    sha1 = openssl_says(pem, "-sha1");
    sha256 = openssl_says(pem, "-sha256");
    g_assert_cmpstr(peer->sha1, ==, sha1);
    g_assert_cmpstr(peer->sha256, ==, sha256);
    g_assert_cmpstr(peer->subject, ==, "CN=vc.example.com");
    g_assert_cmpint(peer->not_after, >, g_get_real_time());
    g_assert_true(tls_peer_matches(peer, sha1));
    g_assert_true(tls_peer_matches(peer, sha256));
    g_assert_false(tls_peer_matches(peer, SHA1));

    g_assert_true(proc_run((const char *const[]){"openssl", "x509", "-noout", "-ext", "subjectAltName", NULL},
                           &(ProcOptions){.input = pem, .input_length = strlen(pem)}, &text, NULL, &error));
    g_assert_nonnull(
        strstr(text, "DNS:vc.example.com, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1"));
}

static void test_not_a_certificate(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(
        tls_peer_from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &error));
    g_assert_error(error, VF_ERROR, VF_ERROR_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tls-trust/parse", test_parse);
    g_test_add_func("/tls-trust/against-openssl", test_against_openssl);
    g_test_add_func("/tls-trust/not-a-certificate", test_not_a_certificate);
    return g_test_run();
}
