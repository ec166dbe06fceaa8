/* lab/property.h: properties of managed objects.
 *
 * A path is valid when the schema knows it; what it leads to may still be unset.  Each managed type has a
 * table of its properties and of the functions that make their values, from the model, at the moment they are
 * asked for.
 *
 * Thread rule: with Lab.lock held.
 */
#pragma once

#include "lab/session.h"

/* What an object is asked for; keeps what it made, since many paths share one start. */
typedef struct {
    Lab *lab;
    LabSession *session;
    LabObject *object;
    GHashTable *made; /* first part of a path -> Value */
} LabReader;

void lab_reader_init(LabReader *reader, Lab *lab, LabSession *session, LabObject *object);
void lab_reader_fini(LabReader *reader);

/* Borrowed from the reader; NULL when it is unset. */
const Value *lab_read_property(LabReader *reader, const char *path);

/* One property at the top, for the tables. */
typedef Value *(*LabProperty)(const LabReader *reader);
typedef struct {
    const char *type; /* the managed type that declares it */
    const char *name;
    LabProperty make;
} LabPropertyRow;

/* Of virtual machines and their snapshots (property-vm.c); ended by a row without type. */
extern const LabPropertyRow LAB_VM_PROPERTIES[];

/* ServiceContent, which can be read without a login. */
Value *lab_service_content(const Lab *lab);
/* TaskInfo */
Value *lab_task_info(const LabTask *task);
/* {fault, localizedMessage} */
Value *lab_fault_value(const LabFault *fault);
/* References to the objects of an array of LabObject *, as a value of a property. */
Value *lab_refs(const GPtrArray *objects);
Value *lab_ref(const LabObject *object); /* NULL gives NULL */

/* The privileges that exist, ended by NULL. */
extern const char *const LAB_PRIVILEGES[];
