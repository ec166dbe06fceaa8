/* An OVA, which is tar, manifest and envelope; or, as checksums keep fuzzers out, an envelope alone. */
#include "fuzz.h"

#include "disk/ova.h"

/* What was accepted is whole: each disk has a size, and its key finds its file. */
static void check_ovf(const Ovf *ovf)
{
    g_assert_cmpuint(ovf->disks->len, ==, ovf->machine->disks->len);
    for (guint i = 0; i < ovf->disks->len; i++) {
        const OvfDisk *disk = g_ptr_array_index(ovf->disks, i);

        g_assert_cmpuint(machine_disk(ovf->machine, disk->key)->size, >, 0);
    }
}

static void try_envelope(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Ovf) ovf = ovf_parse((const char *)data, size, "fuzz", &error);
    g_autofree char *again = NULL;
    g_autofree OvfDisk *files = NULL;
    char file[] = "disk.vmdk";

    g_assert_true((ovf != NULL) == (error == NULL));
    if (ovf == NULL)
        return;
    check_ovf(ovf);
    files = g_new0(OvfDisk, ovf->disks->len);
    for (guint i = 0; i < ovf->disks->len; i++)
        files[i] = (OvfDisk){.file = file, .size = i};
    again = ovf_write(ovf->machine, 13, files);
}

static void try_archive(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Ova) ova = ova_open(bytes_open_memory(data, size, "fuzz"), &error);

    g_assert_true((ova != NULL) == (error == NULL));
    if (ova == NULL)
        return;
    if (!ova_verify(ova, NULL, &error))
        g_clear_error(&error);
    disk_free(ova_open_disk(ova, NULL, &error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == '<')
        try_envelope(data, size);
    else
        try_archive(data, size);
    return 0;
}
