/* disk/https.h: a file on a web server that answers byte ranges, as vSphere's datastore access (/folder)
 * does.
 *
 * Every answer is checked: status 206, a Content-Range that says exactly what was asked and the same total
 * size as at opening, the right number of bytes.  A 200 to a range request is refused.  Several kept
 * connections are used, one per thread that is reading; a body cut in the middle goes on where it stopped;
 * 502, 503 and network errors are tried again with back-off; 401 and 403 ask `relogin` once and repeat.
 */
#pragma once

#include "disk/bytes.h"
#include "net/http-client.h"

typedef struct {
    /* Called when the server says 401 (or 403 once): makes the client's session good again.  May be NULL. */
    gboolean (*relogin)(gpointer data, GError **error);
    gpointer data;
    const Cancel *cancel; /* may be NULL */
    guint retries;        /* 0: 5 */
} HttpsOptions;

/* Asks for the size (HEAD) and probes one byte range at offset 0 and one in the middle: what does not answer
 * 206 there is refused with VF_ERROR_UNSUPPORTED, a lock (500, 403 with a lock message) with
 * VF_ERROR_CONFLICT, 404 with VF_ERROR_NOT_FOUND. `client` must outlive the bytes.  `url` is complete and
 * encoded. */
Bytes *bytes_open_https(HttpClient *client, const char *url, const HttpsOptions *options, GError **error);

/* Turns a status that is not the one that was hoped for into an error of the classes above.  Returns FALSE.
 */
gboolean https_fail_status(const char *url, const HttpAnswer *answer, GError **error);
