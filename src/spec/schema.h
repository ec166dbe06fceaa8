/* spec/schema.h: a table that says which keys a file may hold, and what reads, checks, writes and explains
 * them.
 *
 * One row per key: path, type, default, range, help, and where its value goes in a struct.  Paths are dotted;
 * "*" stands for any key.  Lists hold mappings that have a table of their own.  A null or an empty text
 * counts as not given.  Keys that no row knows are errors, with what was probably meant. Everything that is
 * wrong in a file is reported at once, a line each: "file:line: path: why".
 *
 * Ownership: fields that schema_fill() and schema_copy() set belong to the struct; schema_clear() frees them.
 * Thread rule: pure functions over static const tables.
 */
#pragma once

#include "base/json.h"
#include "spec/tree.h"

#include <glib.h>
#include <stddef.h>

typedef enum {
    KEY_TEXT,    /* char * */
    KEY_WORD,    /* char *: one of `words` */
    KEY_ENUM,    /* an enum: the index in `words` */
    KEY_UINT,    /* guint */
    KEY_UINT16,  /* guint16 */
    KEY_SIZE,    /* guint64: bytes, "10G" */
    KEY_SECONDS, /* guint: "5m" or a number of seconds */
    KEY_DELAY,   /* gint: as KEY_SECONDS; not given or 0: -1, the default of whoever waits; "none": 0 */
    KEY_TIME,    /* gint64: microseconds since 1970; 0: not given */
    KEY_BOOLEAN, /* gboolean */
    KEY_SECRET,  /* Secret *; never written back */
    KEY_TABLE,   /* GHashTable * of text -> text: the value goes in under the path less `under` components */
    KEY_LIST,    /* mappings, each by `items`; stays in the tree */
} KeyType;

typedef struct Schema Schema;

typedef struct {
    const char *path; /* "migration.delta_interval", "target.local.networks.*" */
    KeyType type;
    const char *fallback;     /* the default as one would write it; NULL: none */
    guint64 min, max;         /* KEY_UINT, KEY_SIZE, KEY_SECONDS, KEY_DELAY */
    const char *const *words; /* KEY_WORD, KEY_ENUM; ends with NULL */
    const Schema *items;      /* KEY_LIST */
    guint under;              /* KEY_TABLE */
    gsize at;                 /* KEY_AT(Struct, member); 0: stays in the tree */
    const char *help;         /* one line */
} SchemaKey;

#define KEY_AT(type, member) (offsetof(type, member) + 1)

struct Schema {
    const SchemaKey *keys;
    gsize n_keys;
    const Schema *also; /* a file may hold these too: they fill another struct; NULL: nothing more */
};

/* --- complaints: all that is wrong with a file, before anything is refused --- */

typedef GPtrArray Complaints; /* char * */

Complaints *complaints_new(void);
/* Takes over the error. */
void complaints_take(Complaints *complaints, GError *error);
/* VF_ERROR_INVALID with every complaint on a line of its own, when there is one. */
gboolean complaints_check(const Complaints *complaints, GError **error);

/* --- reading --- */

/* Adds what is wrong with the tree below `root` according to `schema` and its `also`. */
void schema_check(const Schema *schema, const TreeNode *root, Complaints *complaints);

/* Puts what the tree says into `object`, which only the rows of `schema` itself describe.  Call it for a
 * checked tree; keys that are not there leave their fields alone, so what was there before is the default. */
void schema_fill(const Schema *schema, const TreeNode *root, void *object);

/* Sets every field of `schema` to its default, over zeros. */
void schema_init(const Schema *schema, void *object);
/* Deep, over zeros or an initialised object. */
void schema_copy(const Schema *schema, const void *from, void *to);
void schema_clear(const Schema *schema, void *object);

/* --- writing --- */

/* Sets in `root`, an object, what schema_fill() reads back to the same. */
void schema_to_json(const Schema *schema, const void *object, Json *root);

/* The rows as troff (man macros), in the table's order; `also` is left out. */
void schema_to_man(const Schema *schema, GString *out);
