-- The state of migrations.  Times are microseconds since 1970; sizes are bytes; what hangs on a VM goes with it.

CREATE TABLE vm (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT    NOT NULL,
    server        TEXT    NOT NULL,
    instance_uuid TEXT    NOT NULL,
    moref         TEXT    NOT NULL,
    stage         TEXT    NOT NULL,
    failed_stage  TEXT,
    error         TEXT,
    error_class   TEXT,
    spec          TEXT,
    machine       TEXT,
    was_running   INTEGER NOT NULL,
    stopped_by_us INTEGER NOT NULL,
    cbt_by_us     INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL
) STRICT;

-- One migration at a time of one VM, whoever asks.
CREATE UNIQUE INDEX vm_open ON vm (server, instance_uuid, moref)
    WHERE stage NOT IN ('done', 'cancelled', 'rolled_back');
CREATE INDEX vm_identity ON vm (server, instance_uuid, moref, id);

-- Written every second and read by whoever watches: apart, so that the large row above stays where it is.
CREATE TABLE vm_progress (
    vm       INTEGER PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
    progress TEXT NOT NULL
) STRICT;

CREATE TABLE disk (
    vm             INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    key            TEXT    NOT NULL,
    uuid           TEXT,
    size           INTEGER NOT NULL,
    target_path    TEXT,
    sums_path      TEXT,
    change_id      TEXT,
    target_created INTEGER NOT NULL,
    verified       INTEGER NOT NULL,
    PRIMARY KEY (vm, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE round (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    vm            INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    number        INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    snapshot_name TEXT,
    snapshot      TEXT,
    started       INTEGER NOT NULL,
    ended         INTEGER NOT NULL,
    stats         TEXT
) STRICT;
CREATE INDEX round_vm ON round (vm, id);

CREATE TABLE round_disk (
    round       INTEGER NOT NULL REFERENCES round (id) ON DELETE CASCADE,
    key         TEXT    NOT NULL,
    mode        INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2),
    size        INTEGER NOT NULL,
    source_path TEXT,
    change_id   TEXT,
    read        BLOB,
    zero        BLOB,
    complete    INTEGER NOT NULL,
    PRIMARY KEY (round, key)
) STRICT;

-- A checkpoint rewrites only this, not the plan beside it.
CREATE TABLE round_disk_done (
    round INTEGER NOT NULL,
    key   TEXT    NOT NULL,
    done  BLOB    NOT NULL,
    PRIMARY KEY (round, key),
    FOREIGN KEY (round, key) REFERENCES round_disk (round, key) ON DELETE CASCADE
) STRICT;

CREATE TABLE snapshot (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    vm      INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    moref   TEXT,
    removed INTEGER NOT NULL
) STRICT;
CREATE INDEX snapshot_vm ON snapshot (vm, id);

CREATE TABLE request (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    vm        INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    kind      TEXT    NOT NULL,
    arguments TEXT,
    created   INTEGER NOT NULL,
    closed    INTEGER,
    outcome   TEXT
) STRICT;
CREATE UNIQUE INDEX request_open ON request (vm, kind) WHERE closed IS NULL;

CREATE TABLE event (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    vm    INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    time  INTEGER NOT NULL,
    level TEXT    NOT NULL,
    kind  TEXT    NOT NULL,
    text  TEXT    NOT NULL
) STRICT;
CREATE INDEX event_vm ON event (vm, id);

-- `token` is one open store, not one process: two handles of one process contend like any two.
CREATE TABLE lease (
    vm            INTEGER PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
    token         TEXT    NOT NULL,
    host          TEXT    NOT NULL,
    boot          TEXT    NOT NULL,
    pid_namespace TEXT    NOT NULL,
    pid           INTEGER NOT NULL,
    pid_start     INTEGER NOT NULL,
    ttl           INTEGER NOT NULL,
    expires       INTEGER NOT NULL
) STRICT;

CREATE TABLE fact (
    vm    INTEGER NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
    name  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (vm, name)
) STRICT, WITHOUT ROWID;
