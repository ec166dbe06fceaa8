/* cli/image.h: what the subcommands of `vmferry image` share.
 */
#pragma once

#include "cli/options.h"
#include "cli/session.h"
#include "copy/copy.h"

extern const Command command_image_check;
extern const Command command_image_checksum;
extern const Command command_image_compare;
extern const Command command_image_convert;
extern const Command command_image_create;
extern const Command command_image_info;
extern const Command command_image_map;
extern const Command command_image_resize;

/* Exactly `count` arguments, or VF_ERROR_INVALID. */
gboolean image_check_arguments(const Options *options, const Command *command, guint count, GError **error);

/* --output=json or =human, as scripts give it to qemu-img; NULL is fine. */
gboolean image_check_output(const char *output, gboolean *json, GError **error);

/* A session of nothing but a Cancel, which signals fire. */
void image_catch_signals(Session *session);

/* Shows how far something is, on standard error: on a terminal one line that is drawn again and again,
 * elsewhere a line now and then. */
typedef struct ImageProgress ImageProgress;
ImageProgress *image_progress_new(gboolean wanted);
void image_progress_free(ImageProgress *progress); /* ends the line; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageProgress, image_progress_free)
void image_progress_show(const char *phase, const CopyProgress *copy, gpointer progress);

/* "copying 42.1%, 512 MiB/s, 12 s left" */
char *image_progress_text(const char *phase, const CopyProgress *copy);
