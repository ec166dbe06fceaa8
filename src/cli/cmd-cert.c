#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/options.h"
#include "net/http-client.h"

#include <stdio.h>
#include <string.h>

/* "host", "host:8443", "[::1]:443", "https://host/sdk": only the server of it counts. */
static char *base_of(const char *text)
{
    static const char scheme[] = "https://";
    g_autofree char *server = g_strdup(g_str_has_prefix(text, scheme) ? text + strlen(scheme) : text);

    server[strcspn(server, "/")] = '\0';
    return g_strconcat(scheme, server, NULL);
}

static void print_json(const TlsPeer *peer, const char *until)
{
    g_autoptr(Json) json = json_object();
    g_autofree char *text = NULL;

    json_set_string(json, "subject", peer->subject);
    json_set_string(json, "issuer", peer->issuer);
    json_set_string(json, "not_after", until);
    json_set_string(json, "sha1", peer->sha1);
    json_set_string(json, "sha256", peer->sha256);
    text = json_to_text(json);
    fputs(text, stdout);
}

static void print_peer(const TlsPeer *peer, gboolean as_json)
{
    g_autofree char *until = clock_format(peer->not_after);

    if (as_json) {
        print_json(peer, until);
        return;
    }
    printf("subject  %s\nissuer   %s\nuntil    %s\nSHA-1    %s\nSHA-256  %s\n\n", peer->subject, peer->issuer,
           until, peer->sha1, peer->sha256);
    printf("Compare it with what the server's own console shows, then put it into the config:\n"
           "vcenter:\n  thumbprint: \"%s\"\n",
           peer->sha256);
}

static gboolean run(const Command *self, int argc, char **argv, GError **error)
{
    g_auto(Options) options = {0};
    g_autoptr(HttpClient) client = NULL;
    g_autofree char *base = NULL;
    const TlsPeer *peer = NULL;

    if (!options_parse(&options, self, OPTIONS_JSON, NULL, argc, argv, error))
        return FALSE;
    if (options.arguments == NULL || options.arguments[1] != NULL)
        return vf_fail(error, VF_ERROR_INVALID, "one HOST[:PORT] is expected; vmferry cert --help");
    base = base_of(options.arguments[0]);
    client = http_client_new(base, NULL, error);
    peer = client != NULL ? http_client_peer(client, error) : NULL;
    if (peer == NULL)
        return FALSE;
    print_peer(peer, options.json);
    return TRUE;
}

const Command command_cert = {
    .name = "cert",
    .arguments = "HOST[:PORT]",
    .summary = "show the certificate of a server and its thumbprints, to pin it",
    .details = "Nobody is believed here and nothing is sent: what is shown must be compared with what the "
               "server's console shows.\n\n"
               "Example:\n"
               "  vmferry cert vcenter.example.com",
    .run = run,
};
