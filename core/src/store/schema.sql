-- The event store, version 3, as a new file gets it. Amounts in columns that end in `_e8` are integers of 1e-8; `ts` and other
-- times are nanoseconds since 1970 UTC (`datetime(ts / 1000000000, 'unixepoch')` shows one). Decimals elsewhere are exact text.

-- One row a run: what is constant while it lasts.
CREATE TABLE session (
    session_id       TEXT NOT NULL,
    first_seq        INTEGER PRIMARY KEY,
    mode             TEXT NOT NULL,
    strategy         TEXT NOT NULL,
    config_json      TEXT NOT NULL,
    instruments_json TEXT NOT NULL
) STRICT;

-- The truth: facts in the order in which the engine learned of them.
CREATE TABLE event_store (
    seq            INTEGER PRIMARY KEY,
    event_id       TEXT NOT NULL,
    event_type     TEXT NOT NULL,
    ts             INTEGER NOT NULL,
    correlation_id TEXT,
    causation_id   INTEGER,
    command_id     INTEGER,
    source         TEXT NOT NULL,
    entity_kind    TEXT NOT NULL,
    entity_id      TEXT NOT NULL,
    exchange       TEXT NOT NULL,
    venue          TEXT NOT NULL,
    account_id     TEXT NOT NULL,
    symbol         TEXT,
    mode           TEXT NOT NULL,
    dedup_key      TEXT NOT NULL UNIQUE,
    payload_json   TEXT NOT NULL,
    hash           BLOB NOT NULL
) STRICT;

CREATE TRIGGER event_store_is_append_only_update BEFORE UPDATE ON event_store
BEGIN SELECT RAISE(ABORT, 'event_store is append-only'); END;
CREATE TRIGGER event_store_is_append_only_delete BEFORE DELETE ON event_store
BEGIN SELECT RAISE(ABORT, 'event_store is append-only'); END;

-- What someone wanted, and how it ended.
CREATE TABLE command_store (
    seq             INTEGER PRIMARY KEY,
    command_id      INTEGER NOT NULL UNIQUE,
    command_type    TEXT NOT NULL,
    ts              INTEGER NOT NULL,
    actor_kind      TEXT NOT NULL CHECK (actor_kind IN ('STRATEGY', 'USER', 'SYSTEM')),
    actor_id        TEXT NOT NULL,
    exchange        TEXT NOT NULL,
    venue           TEXT NOT NULL,
    account_id      TEXT NOT NULL,
    symbol          TEXT,
    mode            TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    status          TEXT NOT NULL CHECK (status IN ('NEW', 'SENT', 'ACK', 'FAILED')),
    priority        INTEGER NOT NULL,
    payload_json    TEXT NOT NULL,
    result_json     TEXT,
    last_error      TEXT,
    sent_at         INTEGER,
    finished_at     INTEGER
) STRICT;

-- What a restart asks first: which commands have no answer. Without an index it would read every command there ever was.
CREATE INDEX command_unanswered ON command_store (command_id) WHERE status = 'SENT';

CREATE TABLE command_to_exchange (
    command_id        INTEGER PRIMARY KEY,
    client_order_id   TEXT NOT NULL UNIQUE,
    exchange_order_id INTEGER
) STRICT;

-- Runtime settings, every version of them.
CREATE TABLE config_store (
    version     INTEGER PRIMARY KEY,
    ts          INTEGER NOT NULL,
    session_id  TEXT NOT NULL,
    config_json TEXT NOT NULL
) STRICT;

-- The folded state at some events: recovery begins at the last one.
CREATE TABLE checkpoint_store (
    seq        INTEGER PRIMARY KEY,
    ts         INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    state_json TEXT NOT NULL,
    state_hash BLOB NOT NULL
) STRICT;

-- Derived: can be rebuilt from event_store. What has a key of its own lies in one tree: a commit writes fewer pages.
CREATE TABLE projection_position (
    symbol             TEXT NOT NULL,
    position_side      TEXT NOT NULL,
    qty_e8             INTEGER NOT NULL,
    entry_price_e8     INTEGER NOT NULL,
    isolated_margin_e8 INTEGER NOT NULL,
    as_of_seq          INTEGER NOT NULL,
    PRIMARY KEY (symbol, position_side)
) STRICT, WITHOUT ROWID;

CREATE TABLE projection_balance (
    asset      TEXT NOT NULL,
    account    TEXT NOT NULL,
    balance_e8 INTEGER NOT NULL,
    as_of_seq  INTEGER NOT NULL,
    PRIMARY KEY (asset, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE projection_order_open (
    client_order_id TEXT NOT NULL PRIMARY KEY,
    symbol          TEXT NOT NULL,
    side            TEXT NOT NULL,
    type            TEXT NOT NULL,
    status          TEXT NOT NULL,
    price_e8        INTEGER,
    trigger_e8      INTEGER,
    qty_e8          INTEGER NOT NULL,
    filled_e8       INTEGER NOT NULL,
    as_of_seq       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projection_trade (
    seq             INTEGER PRIMARY KEY,
    symbol          TEXT NOT NULL,
    trade_id        INTEGER NOT NULL,
    traded_at       INTEGER NOT NULL,
    client_order_id TEXT NOT NULL,
    side            TEXT NOT NULL,
    position_side   TEXT NOT NULL,
    price_e8        INTEGER NOT NULL,
    qty_e8          INTEGER NOT NULL,
    fee_e8          INTEGER NOT NULL,
    fee_asset       TEXT NOT NULL,
    realized_e8     INTEGER NOT NULL,
    is_maker        INTEGER NOT NULL,
    is_liquidation  INTEGER NOT NULL
) STRICT;

-- Double entry: the lines of an entry sum to zero per asset.
CREATE TABLE account (
    account_id INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE journal_entry (
    entry_id   INTEGER PRIMARY KEY, -- the event's seq
    ts         INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    symbol     TEXT
) STRICT;

CREATE TABLE journal_line (
    line_id    INTEGER PRIMARY KEY,
    entry_id   INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    asset      TEXT NOT NULL,
    amount_e8  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER journal_entry_is_append_only_update BEFORE UPDATE ON journal_entry
BEGIN SELECT RAISE(ABORT, 'journal_entry is append-only'); END;
CREATE TRIGGER journal_entry_is_append_only_delete BEFORE DELETE ON journal_entry
BEGIN SELECT RAISE(ABORT, 'journal_entry is append-only'); END;
CREATE TRIGGER journal_line_is_append_only_update BEFORE UPDATE ON journal_line
BEGIN SELECT RAISE(ABORT, 'journal_line is append-only'); END;
CREATE TRIGGER journal_line_is_append_only_delete BEFORE DELETE ON journal_line
BEGIN SELECT RAISE(ABORT, 'journal_line is append-only'); END;

-- The ledger as a table of lines with their names.
CREATE VIEW ledger AS
SELECT line.line_id, entry.entry_id, entry.ts, entry.event_type, entry.symbol, account.name AS account, line.asset, line.amount_e8
FROM journal_line AS line JOIN journal_entry AS entry USING (entry_id) JOIN account USING (account_id);

-- What a finished run came to: its curve and its report.
CREATE TABLE equity_curve (
    ts          INTEGER PRIMARY KEY,
    equity_e8   INTEGER NOT NULL,
    wallet_e8   INTEGER NOT NULL,
    low_e8      INTEGER NOT NULL,
    drawdown_e8 INTEGER NOT NULL,
    notional_e8 INTEGER NOT NULL
) STRICT;

CREATE TABLE session_report (
    session_id  TEXT PRIMARY KEY,
    report_json TEXT NOT NULL
) STRICT;
