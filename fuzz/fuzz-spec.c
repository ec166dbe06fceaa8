#include "fuzz.h"

#include "spec/spec.h"

#include <string.h>

static GPtrArray *parse(const char *text, gsize length, const char *name)
{
    g_autoptr(GPtrArray) specs = g_ptr_array_new_with_free_func((GDestroyNotify)vm_spec_free);
    g_autoptr(GError) error = NULL;
    gboolean ok = spec_parse(text, length, name, NULL, specs, &error);

    g_assert_true(ok == (error == NULL));
    g_assert_true(ok || specs->len == 0);
    return ok ? g_steal_pointer(&specs) : NULL;
}

/* What was accepted is written and read back to the same. */
static void check_round_trip(const VmSpec *spec)
{
    g_autofree char *first = vm_spec_to_json(spec);
    g_autoptr(GPtrArray) again = parse(first, strlen(first), "again.json");
    g_autofree char *second = NULL;

    g_assert_nonnull(again);
    g_assert_cmpuint(again->len, ==, 1);
    second = vm_spec_to_json(again->pdata[0]);
    g_assert_cmpstr(first, ==, second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"fuzz.yaml", "fuzz.json"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GPtrArray) specs = parse((const char *)data, size, names[i]);

        for (guint j = 0; specs != NULL && j < specs->len; j++)
            check_round_trip(specs->pdata[j]);
    }
    return 0;
}
