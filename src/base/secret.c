#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct Secret {
    gint references; /* atomic */
    gsize mapped;    /* bytes at `text`, whole pages */
    char *text;
};

Secret *secret_new(const char *text)
{
    Secret *secret = g_new(Secret, 1);
    gsize length = strlen(text) + 1;
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    gsize mapped = (length + page - 1) / page * page;
    void *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        g_error("no memory for a secret");
    /* Both are precautions that a small RLIMIT_MEMLOCK or an old kernel may refuse; neither is worth failing
     * for. */
    mlock(memory, mapped);
    madvise(memory, mapped, MADV_DONTDUMP);
    memcpy(memory, text, length);
    mprotect(memory, mapped, PROT_READ);
    *secret = (Secret){.references = 1, .mapped = mapped, .text = memory};
    return secret;
}

Secret *secret_ref(Secret *secret)
{
    g_atomic_int_inc(&secret->references);
    return secret;
}

void secret_unref(Secret *secret)
{
    if (secret == NULL || !g_atomic_int_dec_and_test(&secret->references))
        return;
    if (mprotect(secret->text, secret->mapped, PROT_READ | PROT_WRITE) == 0)
        secret_wipe(secret->text, secret->mapped);
    munmap(secret->text, secret->mapped);
    g_free(secret);
}

const char *secret_reveal(const Secret *secret)
{
    return secret->text;
}

void secret_wipe(void *memory, gsize length)
{
    explicit_bzero(memory, length);
}
