-- Who may do what in the store, and no more. Run by an administrator before `movers migrate`, and again with each upgrade:
--
--   clickhouse-client --multiquery < ops/clickhouse/roles.sql
--   clickhouse-client --query "CREATE USER movers_sink IDENTIFIED BY '…' DEFAULT ROLE movers_write"
--
-- and so for a user of each role. Their names and passwords are the settings CLICKHOUSE_MIGRATE_USER (movers migrate),
-- CLICKHOUSE_USER (movers sink) and CLICKHOUSE_READ_USER (dashboard, commands). Nobody may drop a table.

CREATE DATABASE IF NOT EXISTS movers ENGINE = Atomic;

CREATE ROLE IF NOT EXISTS movers_migrate;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER TABLE, ALTER VIEW, SELECT, INSERT ON movers.* TO movers_migrate;

CREATE ROLE IF NOT EXISTS movers_write;
GRANT SELECT ON movers.* TO movers_write;
GRANT INSERT ON movers.alert_corroboration TO movers_write;
GRANT INSERT ON movers.alert_grades TO movers_write;
GRANT INSERT ON movers.alerts TO movers_write;
GRANT INSERT ON movers.feed_status TO movers_write;
GRANT INSERT ON movers.ingest_offsets TO movers_write;
GRANT INSERT ON movers.ingest_pending TO movers_write;
GRANT INSERT ON movers.market_pairs TO movers_write;
GRANT INSERT ON movers.market_tokens TO movers_write;
GRANT INSERT ON movers.markets TO movers_write;
GRANT INSERT ON movers.movers_cache TO movers_write;
GRANT INSERT ON movers.movers_latest TO movers_write;
GRANT INSERT ON movers.ohlcv_1m TO movers_write;
GRANT INSERT ON movers.snapshots TO movers_write;

-- The dashboard notes who has seen an alert; that is all it may write.
CREATE ROLE IF NOT EXISTS movers_read;
GRANT SELECT ON movers.* TO movers_read;
GRANT INSERT ON movers.alert_acks TO movers_read;
