/* lab/folder.h: the datastores under /folder: files in ranges, directories as HTML, with the session's cookie
 * or Basic credentials.
 *
 * Thread rule: takes Lab.lock itself, and sends files without it; any thread of the server.
 */
#pragma once

#include "lab/model.h"

void lab_folder_handle(Lab *lab, HttpExchange *exchange);
