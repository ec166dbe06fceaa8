/* test-vmdk-make.h: sparse VMDK files made by the tests, where QEMU makes none: COWD, SESparse, and
 * streamOptimized with its directory at the end.
 *
 * QEMU reads them all, which is how these writers are checked.
 */
#pragma once

#include <glib.h>

/* What one file of a chain holds: for each grain whether it is there, and the contents. */
typedef struct {
    guint64 size;  /* bytes, whole sectors */
    guint32 grain; /* bytes */
    guint64 n_grains;
    guint8 *kinds; /* VmdkRunKind of each grain: HOLE, ZERO or DATA */
    guint8 *data;  /* `size` bytes */
} MakeLayer;

/* Runs of holes, zeros and random data, with tables that are missing altogether; everything is a function of
 * `seed`. */
MakeLayer *make_layer_new(guint64 size, guint32 grain, guint32 seed);
/* Everything a hole, or everything random data. */
MakeLayer *make_layer_new_uniform(guint64 size, guint32 grain, gboolean full);
void make_layer_free(MakeLayer *layer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MakeLayer, make_layer_free)

/* What a guest sees of `contents` with `layer` upon it. */
void make_layer_apply(const MakeLayer *layer, guint8 *contents);

/* Grains are scattered when `seed` is not 0, else in order. */
GByteArray *make_cowd(const MakeLayer *layer, guint32 seed);
GByteArray *make_sesparse(const MakeLayer *layer, guint32 seed);
/* Grains of 64 KiB.  The descriptor says `parent_cid`. */
GByteArray *make_stream(const MakeLayer *layer, guint32 parent_cid);

/* A descriptor of one extent; `parent` may be NULL. */
char *make_descriptor(const char *create_type, const char *extent_type, const char *file, guint64 size,
                      guint32 cid, guint32 parent_cid, const char *parent);

void make_file(const char *directory, const char *name, const void *data, gsize length);

void make_put32(GByteArray *file, guint64 at, guint32 value);
void make_put64(GByteArray *file, guint64 at, guint64 value);
