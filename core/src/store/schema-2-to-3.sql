-- A command finds its order by its number, and what is derived and has a key of its own lies in one tree.

CREATE TABLE new_command_to_exchange (
    command_id        INTEGER PRIMARY KEY,
    client_order_id   TEXT NOT NULL UNIQUE,
    exchange_order_id INTEGER
) STRICT;
INSERT INTO new_command_to_exchange (command_id, client_order_id, exchange_order_id)
    SELECT command_id, client_order_id, exchange_order_id FROM command_to_exchange;
DROP TABLE command_to_exchange;
ALTER TABLE new_command_to_exchange RENAME TO command_to_exchange;

CREATE TABLE new_projection_position (
    symbol             TEXT NOT NULL,
    position_side      TEXT NOT NULL,
    qty_e8             INTEGER NOT NULL,
    entry_price_e8     INTEGER NOT NULL,
    isolated_margin_e8 INTEGER NOT NULL,
    as_of_seq          INTEGER NOT NULL,
    PRIMARY KEY (symbol, position_side)
) STRICT, WITHOUT ROWID;
INSERT INTO new_projection_position (symbol, position_side, qty_e8, entry_price_e8, isolated_margin_e8, as_of_seq)
    SELECT symbol, position_side, qty_e8, entry_price_e8, isolated_margin_e8, as_of_seq FROM projection_position;
DROP TABLE projection_position;
ALTER TABLE new_projection_position RENAME TO projection_position;

CREATE TABLE new_projection_balance (
    asset      TEXT NOT NULL,
    account    TEXT NOT NULL,
    balance_e8 INTEGER NOT NULL,
    as_of_seq  INTEGER NOT NULL,
    PRIMARY KEY (asset, account)
) STRICT, WITHOUT ROWID;
INSERT INTO new_projection_balance (asset, account, balance_e8, as_of_seq)
    SELECT asset, account, balance_e8, as_of_seq FROM projection_balance;
DROP TABLE projection_balance;
ALTER TABLE new_projection_balance RENAME TO projection_balance;

CREATE TABLE new_projection_order_open (
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
INSERT INTO new_projection_order_open (client_order_id, symbol, side, type, status, price_e8, trigger_e8, qty_e8, filled_e8, as_of_seq)
    SELECT client_order_id, symbol, side, type, status, price_e8, trigger_e8, qty_e8, filled_e8, as_of_seq FROM projection_order_open;
DROP TABLE projection_order_open;
ALTER TABLE new_projection_order_open RENAME TO projection_order_open;
