-- Version 1. Times are seconds since 1970; file times are nanoseconds.

CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row for each readable picture file in the folder (trashed = 0) and in its trash (1).
CREATE TABLE pictures(
    key INTEGER PRIMARY KEY,
    trashed INTEGER NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    size INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    starred INTEGER NOT NULL DEFAULT 0,
    model TEXT,
    model_hash TEXT,
    settings TEXT,
    infotext TEXT,
    UNIQUE(trashed, id)
);
CREATE INDEX pictures_by_time ON pictures(trashed, created, id);
CREATE INDEX pictures_by_star ON pictures(trashed, created, id) WHERE starred = 1;

-- The words of the prompts; rowid is pictures.key.
CREATE VIRTUAL TABLE words USING fts5(
    prompt, content = '', contentless_delete = 1, prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2'
);

-- number: a job's id is j<number>; place: the order of waiting jobs.
CREATE TABLE jobs(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    batch TEXT NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    place INTEGER NOT NULL,
    step INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    settings TEXT NOT NULL,
    picture TEXT,
    error TEXT,
    remarks TEXT,
    created INTEGER NOT NULL,
    finished INTEGER
);
CREATE INDEX jobs_by_state ON jobs(state, number);
CREATE INDEX jobs_by_batch ON jobs(batch);
