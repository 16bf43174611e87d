/** What a database file holds: statements that lead from each version to the next. `user_version` counts those done. */
export interface Schema {
  migrations: readonly string[]
}

/** countersign.db: the log and the records. One file, so that both share a transaction and its fsync. */
export const MAIN_SCHEMA: Schema = {
  migrations: [
    `
    CREATE TABLE log (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      topic TEXT NOT NULL,
      key TEXT NOT NULL,
      event_id TEXT NOT NULL,
      at INTEGER NOT NULL,
      value BLOB NOT NULL,
      headers TEXT NOT NULL
    ) STRICT;

    CREATE TABLE group_offsets (
      name TEXT NOT NULL,
      topic TEXT NOT NULL,
      seq INTEGER NOT NULL,
      PRIMARY KEY (name, topic)
    ) STRICT, WITHOUT ROWID;

    -- The document comes last: a query that does not need it never reads its overflow pages.
    CREATE TABLE approvals (
      id TEXT NOT NULL UNIQUE,
      version INTEGER NOT NULL,
      tenant TEXT NOT NULL,
      status TEXT NOT NULL,
      requested_at INTEGER NOT NULL,
      due_at INTEGER,
      ended_at INTEGER,
      outbox_at INTEGER,
      fingerprint TEXT,
      agent_id TEXT NOT NULL,
      agent_name TEXT NOT NULL,
      tool TEXT,
      risk TEXT NOT NULL,
      summary TEXT NOT NULL,
      outbox TEXT NOT NULL,
      doc TEXT NOT NULL
    ) STRICT;
    CREATE INDEX approvals_list ON approvals (tenant, status, requested_at, id);
    CREATE INDEX approvals_age ON approvals (requested_at, id);
    CREATE INDEX approvals_pending ON approvals (tenant) WHERE status = 'pending';
    CREATE INDEX approvals_due ON approvals (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX approvals_ended ON approvals (ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX approvals_outbox ON approvals (outbox_at) WHERE outbox_at IS NOT NULL;
    CREATE INDEX approvals_fingerprint ON approvals (fingerprint, requested_at, id)
      WHERE status IN ('pending', 'approved', 'claimed', 'denied');
    `,
    `
    -- held_from: when it was due before it had to stand back behind another of its approval.
    -- stop_at: since when no attempt follows one that fails.
    CREATE TABLE deliveries (
      id TEXT NOT NULL UNIQUE,
      endpoint TEXT NOT NULL,
      tenant TEXT NOT NULL,
      approval_id TEXT,
      event_id TEXT NOT NULL,
      type TEXT NOT NULL,
      version INTEGER NOT NULL,
      status TEXT NOT NULL,
      attempts INTEGER NOT NULL,
      due_at INTEGER NOT NULL,
      held_from INTEGER,
      stop_at INTEGER,
      owner TEXT,
      receipt TEXT,
      created_at INTEGER NOT NULL,
      ended_at INTEGER,
      log TEXT NOT NULL,
      body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX deliveries_due ON deliveries (endpoint, due_at) WHERE status = 'waiting';
    CREATE INDEX deliveries_line ON deliveries (approval_id, endpoint, version) WHERE approval_id IS NOT NULL;
    CREATE INDEX deliveries_list ON deliveries (endpoint, status, created_at, id);
    CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;

    CREATE TABLE webhooks (
      id TEXT PRIMARY KEY,
      version INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      doc TEXT NOT NULL
    ) STRICT;

    CREATE TABLE endpoint_health (
      endpoint TEXT PRIMARY KEY,
      tenant TEXT NOT NULL,
      failing_since INTEGER,
      disabled_at INTEGER,
      disabled_reason TEXT,
      last_attempt_at INTEGER,
      last_success_at INTEGER
    ) STRICT;
    `,
  ],
}

/** keys.db: apart from the rest, because commands in other processes write it beside a running server. */
export const KEYS_SCHEMA: Schema = {
  migrations: [
    `
    CREATE TABLE keys (
      id TEXT PRIMARY KEY,
      hash TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      role TEXT NOT NULL,
      tenant TEXT NOT NULL,
      groups TEXT NOT NULL,
      email TEXT,
      created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE passes (
      hash TEXT NOT NULL,
      kind TEXT NOT NULL,
      key_id TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (hash, kind)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX passes_key ON passes (key_id);
    CREATE INDEX passes_expiry ON passes (expires_at);
    `,
  ],
}
