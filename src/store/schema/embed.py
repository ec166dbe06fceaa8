#!/usr/bin/env python3
"""Turns the numbered migrations into a C array, in the order of their numbers: embed.py OUTPUT 001-x.sql 002-y.sql ..."""

import os
import sys


def literal(line):
    return '    "' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"'


def main():
    output, paths = sys.argv[1], sorted(sys.argv[2:], key=os.path.basename)
    numbers = [int(os.path.basename(path).split('-')[0]) for path in paths]
    if numbers != list(range(1, len(paths) + 1)):
        sys.exit(f'embed.py: migrations must be numbered from 1 without gaps: {numbers}')
    out = ['#include "store/sqlite.h"', '', 'const char *const sqlite_migrations[] = {']
    for path in paths:
        with open(path, encoding='utf-8') as file:
            out += [literal(line) for line in file.read().splitlines()]
        out.append('    ,')
    out += ['    NULL,', '};', '']
    with open(output, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out))


main()
