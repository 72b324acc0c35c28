-- What became of an alert: the share of its move that stood so many seconds after it was first told. Read with FINAL.
-- kept 1 is all of it, 0 none, below 0 reversed; null when the market had no mid to compare with then.
CREATE TABLE IF NOT EXISTS alert_grades
(
    alert_id     FixedString(24),
    horizon_s    UInt32,
    due          DateTime64(6, 'UTC'),
    market_id    String,
    venue        LowCardinality(String),
    rule         LowCardinality(String),
    rule_version LowCardinality(String),
    severity     LowCardinality(String),
    kind         LowCardinality(String),
    confirmed    Bool,
    price        Nullable(Decimal(9, 6)),
    kept         Nullable(Float64),
    result       Nullable(String),
    ts_stored    DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts_stored)
ORDER BY (alert_id, horizon_s);
