#include "store/store.h"

void store_vm_free(StoreVm *vm)
{
    if (vm == NULL)
        return;
    g_free(vm->name);
    g_free(vm->server);
    g_free(vm->instance_uuid);
    g_free(vm->moref);
    g_free(vm->stage);
    g_free(vm->failed_stage);
    g_free(vm->error);
    g_free(vm->error_class);
    g_free(vm->spec);
    g_free(vm->machine);
    g_free(vm->progress);
    g_free(vm);
}

void store_disk_free(StoreDisk *disk)
{
    if (disk == NULL)
        return;
    g_free(disk->key);
    g_free(disk->uuid);
    g_free(disk->target_path);
    g_free(disk->sums_path);
    g_free(disk->change_id);
    g_free(disk);
}

void store_round_free(StoreRound *round)
{
    if (round == NULL)
        return;
    g_free(round->kind);
    g_free(round->snapshot_name);
    g_free(round->snapshot);
    g_free(round->stats);
    g_free(round);
}

void store_round_disk_free(StoreRoundDisk *disk)
{
    if (disk == NULL)
        return;
    g_free(disk->key);
    g_free(disk->source_path);
    g_free(disk->change_id);
    g_bytes_unref(disk->read);
    g_bytes_unref(disk->zero);
    g_bytes_unref(disk->done);
    g_free(disk);
}

void store_snapshot_free(StoreSnapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    g_free(snapshot->name);
    g_free(snapshot->moref);
    g_free(snapshot);
}

void store_request_free(StoreRequest *request)
{
    if (request == NULL)
        return;
    g_free(request->kind);
    g_free(request->arguments);
    g_free(request);
}

void store_event_free(StoreEvent *event)
{
    if (event == NULL)
        return;
    g_free(event->level);
    g_free(event->kind);
    g_free(event->text);
    g_free(event);
}
