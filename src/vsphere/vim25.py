#!/usr/bin/env python3
"""Makes C of vim25.types: structs for people, tables for vim.c, which decodes by them.

usage: vim25.py vim25.types vim25.h vim25.c
"""

import re
import sys

SCALARS = {
    "string": ("VIM_STRING", "char *"),
    "ref": ("VIM_STRING", "char *"),
    "boolean": ("VIM_BOOLEAN", "gboolean "),
    "int": ("VIM_INT", "gint32 "),
    "long": ("VIM_LONG", "gint64 "),
}
FLAGS = ("list", "optional", "detail")


class Bad(Exception):
    pass


def snake(name):
    """capacityInKB -> capacity_in_kb, VirtualAHCIController -> virtual_ahci_controller"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Field:
    def __init__(self, words):
        self.path, self.type, *flags = words
        if any(flag not in FLAGS for flag in flags):
            raise Bad(f"{self.path}: flags are {', '.join(FLAGS)}")
        self.list, self.optional, self.detail = (flag in flags for flag in FLAGS)
        self.name = snake(self.path.split(".")[-1])
        # A number has no value that says "not there".
        self.has = self.optional and not self.list and self.type in ("int", "long")


class Type:
    def __init__(self, name, base=None, managed=None, subtypes=()):
        self.name, self.base, self.managed, self.subtypes = name, base, managed, subtypes
        self.c_name = "Vim" + name
        self.table = "vim_" + snake(name) + "_type"
        self.wire = managed or name
        self.fields = []


class Enum:
    def __init__(self, name, values):
        self.name, self.values = name, values
        self.c_name = "Vim" + name
        self.table = "vim_" + snake(name) + "_names"


def parse_line(words, current):
    match words:
        case ["enum", name, *values] if values:
            return Enum(name, values)
        case ["object", name]:
            return Type(name)
        case ["object", name, "extends", base]:
            return Type(name, base=base)
        case ["managed", name, "of", managed, *subtypes]:
            return Type(name, managed=managed, subtypes=subtypes)
        case [_, _, *_] if isinstance(current, Type):
            current.fields.append(Field(words))
            return current
    raise Bad("cannot be understood")


def parse(path):
    model, current = {}, None
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            try:
                item = parse_line(words, current)
                if item is not current and item.name in model:
                    raise Bad(f"{item.name} is there twice")
            except Bad as error:
                sys.exit(f"{path}:{number}: {error}")
            model[item.name] = current = item
    return model


def check(model):
    for item in model.values():
        if isinstance(item, Enum):
            continue
        if item.base and not isinstance(model.get(item.base), Type):
            raise Bad(f"{item.name} extends {item.base}, which is no object")
        names = [field.name for field in item.fields]
        if len(set(names)) != len(names):
            raise Bad(f"{item.name}: two fields have one name in C")
        for field in item.fields:
            if field.type not in SCALARS and field.type not in model:
                raise Bad(f"{item.name}.{field.path}: unknown type {field.type}")
            if field.list and field.type in ("boolean", "long"):
                raise Bad(f"{item.name}.{field.path}: no lists of {field.type}")


def ordered(types):
    """Bases stand before what extends them: a struct holds its base by value."""
    done = {}

    def add(item):
        if item.base and item.base not in done:
            add(types[item.base])
        done.setdefault(item.name, item)

    for item in types.values():
        add(item)
    return list(done.values())


def member(field, model):
    if field.list:
        return "GArray *" if field.type == "int" else "GPtrArray *"
    if field.type in SCALARS:
        return SCALARS[field.type][1]
    target = model[field.type]
    return f"{target.c_name} " if isinstance(target, Enum) else f"{target.c_name} *"


def struct(item, model):
    head = f"{model[item.base].c_name} base" if item.base else "VimManaged managed" if item.managed else "VimObject header"
    yield f"struct {item.c_name} {{"
    yield f"    {head};"
    for field in item.fields:
        comment = f" /* {field.type} */" if field.list else ""
        yield f"    {member(field, model)}{field.name};{comment}"
        if field.has:
            yield f"    gboolean has_{field.name};"
    yield "};"
    yield f"G_DEFINE_AUTOPTR_CLEANUP_FUNC({item.c_name}, vim_free)"
    yield f"extern const VimType {item.table};"
    yield ""


def header(model):
    types = ordered({name: item for name, item in model.items() if isinstance(item, Type)})
    yield "/* Made from vim25.types by vim25.py. */"
    yield "#pragma once"
    yield ""
    yield '#include "vsphere/vim.h"'
    yield ""
    for item in model.values():
        if isinstance(item, Enum):
            prefix = "VIM_" + snake(item.name).upper()
            values = ["NONE"] + [snake(value).upper() for value in item.values]
            yield "typedef enum { " + ", ".join(f"{prefix}_{value}" for value in values) + f" }} {item.c_name};"
    for item in types:
        yield f"typedef struct {item.c_name} {item.c_name};"
    yield ""
    for item in types:
        yield from struct(item, model)


def row(item, field, model):
    parts = [f'.name = "{field.path}"', f".offset = offsetof({item.c_name}, {field.name})"]
    if field.has:
        parts.append(f".has_offset = offsetof({item.c_name}, has_{field.name})")
    if field.type in SCALARS:
        parts.append(f".kind = {SCALARS[field.type][0]}")
    elif isinstance(model[field.type], Enum):
        parts.append(f".kind = VIM_ENUM, .values = {model[field.type].table}")
    else:
        parts.append(f".kind = VIM_OBJECT, .object = &{model[field.type].table}")
    parts += [f".{flag} = TRUE" for flag in FLAGS if getattr(field, flag)]
    return "    {" + ", ".join(parts) + "},"


def tables(item, model):
    fields = f"{snake(item.name)}_fields"
    if item.fields:
        yield f"static const VimField {fields}[] = {{"
        yield from (row(item, field, model) for field in item.fields)
        yield "};"
    yield f"const VimType {item.table} = {{"
    yield f'    .name = "{item.wire}", .size = sizeof({item.c_name}),'
    if item.managed:
        names = ", ".join(f'"{name}"' for name in item.subtypes) + ", " if item.subtypes else ""
        yield f"    .managed = TRUE, .subtypes = (const char *const[]){{{names}NULL}},"
    if item.base:
        yield f"    .base = &{model[item.base].table},"
    if item.fields:
        yield f"    .fields = {fields}, .n_fields = G_N_ELEMENTS({fields}),"
    yield "};"
    yield ""


def source(model):
    types = [item for item in model.values() if isinstance(item, Type)]
    yield "/* Made from vim25.types by vim25.py. */"
    yield '#include "vsphere/vim25.h"'
    yield ""
    yield "#include <stddef.h>"
    yield ""
    for item in model.values():
        if isinstance(item, Enum):
            names = ", ".join(f'"{value}"' for value in item.values)
            yield f"static const char *const {item.table}[] = {{{names}, NULL}};"
    yield ""
    for item in types:
        yield from tables(item, model)
    objects = sorted((item for item in types if not item.managed), key=lambda item: item.name)
    yield "const VimType *const vim_types[] = {"
    yield from (f"    &{item.table}," for item in objects)
    yield "};"
    yield "const guint vim_n_types = G_N_ELEMENTS(vim_types);"


def main():
    types_path, header_path, source_path = sys.argv[1:]
    model = parse(types_path)
    try:
        check(model)
    except Bad as error:
        sys.exit(f"{types_path}: {error}")
    for path, lines in ((header_path, header(model)), (source_path, source(model))):
        with open(path, "w", encoding="ascii") as out:
            out.writelines(line + "\n" for line in lines)


if __name__ == "__main__":
    main()
