/* disk/create.h: making a new image, and what may be said about it in qemu-img's words (-o KEY=VALUE,...).
 *
 * create.c has a table of formats, and each format has a table of its options: the parser, its error messages
 * and the list that `-o help` prints come from them, so a new option is a row there and a use in its format.
 *
 * Thread rule: options belong to one thread.
 */
#pragma once

#include "disk/disk.h"

typedef enum {
    CREATE_WORD,    /* one of `words` */
    CREATE_BOOLEAN, /* on, off, yes, no, true, false; kept as "on" or "off" */
    CREATE_NUMBER,  /* decimal */
    CREATE_SIZE,    /* "64K"; kept as decimal bytes */
    CREATE_TEXT,
} CreateOptionKind;

typedef struct {
    const char *key;
    CreateOptionKind kind;
    const char *const *words; /* CREATE_WORD: those that are possible here, ended by NULL */
    const char *help;
} CreateOption;

typedef struct CreateOptions CreateOptions;

typedef struct {
    const char *name;
    const CreateOption *options; /* ended by a NULL key */
    gboolean can_compress;
    gboolean can_resume; /* may be opened again and written on where a killed program stopped */
    Disk *(*create)(const char *path, guint64 size, const CreateOptions *options, GError **error);
    /* Makes an image that was opened again what it was when it was made.  NULL: there is nothing to do. */
    void (*go_on)(Disk *disk, const CreateOptions *options);
} CreateFormat;

/* NULL with VF_ERROR_UNSUPPORTED, and what was probably meant, for a format that cannot be made. */
const CreateFormat *create_format_find(const char *name, GError **error);
/* "raw, qcow2": for messages. */
char *create_format_names(void);
/* A line for each option of the format. */
char *create_format_help(const CreateFormat *format);

CreateOptions *create_options_new(const CreateFormat *format);
void create_options_free(CreateOptions *options); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CreateOptions, create_options_free)

/* "key=value,key=value"; a comma within a value is doubled.  VF_ERROR_INVALID for a key that the format does
 * not have, with what was probably meant, for a key said twice, and for a value that is not possible. */
gboolean create_options_parse(CreateOptions *options, const char *text, GError **error);
gboolean create_options_set(CreateOptions *options, const char *key, const char *value, GError **error);
/* Compress what is written; `level` 0: the default.  VF_ERROR_UNSUPPORTED when the format cannot. */
gboolean create_options_compress(CreateOptions *options, guint level, GError **error);
/* The name that the image will have in the end: formats that write their name into themselves take its last
 * part. */
void create_options_set_name(CreateOptions *options, const char *path);

const CreateFormat *create_options_format(const CreateOptions *options);
/* What was said, or `fallback`. */
const char *create_options_text(const CreateOptions *options, const char *key, const char *fallback);
guint64 create_options_number(const CreateOptions *options, const char *key, guint64 fallback);
gboolean create_options_boolean(const CreateOptions *options, const char *key);
gboolean create_options_compressed(const CreateOptions *options);
guint create_options_level(const CreateOptions *options);
const char *create_options_name(const CreateOptions *options); /* NULL: that of the path */
/* All that was said, sorted: equal texts make equal images. */
char *create_options_to_text(const CreateOptions *options);

/* Makes a new image at a local path.  VF_ERROR_CONFLICT when the file exists. */
Disk *create_image(const char *path, guint64 size, const CreateOptions *options, GError **error);

/* Opens an image that was made with these options, to go on writing to it: compressed, if it was. */
Disk *create_go_on(const char *path, const CreateOptions *options, GError **error);
