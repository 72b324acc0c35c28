-- Every change of state of every alert episode, once (event_id). Read with FINAL.
CREATE TABLE IF NOT EXISTS alerts
(
    alert_id            FixedString(24),
    event_id            FixedString(24),
    state               LowCardinality(String),
    kind                LowCardinality(String),
    venue               LowCardinality(String),
    market_id           String,
    token_id            String,
    title               String,
    category            LowCardinality(String),
    url                 String,
    window              LowCardinality(String),
    direction           LowCardinality(String),
    opened_at           DateTime64(6, 'UTC'),
    ts                  DateTime64(6, 'UTC'),
    ts_received         DateTime64(6, 'UTC'),
    price_now           Nullable(Decimal(9, 6)),
    price_then          Nullable(Decimal(9, 6)),
    move_pp             Nullable(Float64),
    peak_move_pp        Float64,
    threshold_pp        Float64,
    score               Nullable(Float64),
    volume_24h_usd      Nullable(Float64),
    spread              Nullable(Decimal(9, 6)),
    seconds_to_close    Nullable(Int64),
    computed_across_gap Bool,
    close_reason        Nullable(String),
    rule_version        LowCardinality(String),
    ts_stored           DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts_stored)
ORDER BY (alert_id, event_id);

-- One row an episode: its newest state.
CREATE VIEW IF NOT EXISTS alert_episodes AS
SELECT *
FROM alerts FINAL
ORDER BY ts DESC, state = 'closed' DESC
LIMIT 1 BY alert_id;

-- Who has seen which alert, and a note. Written by the dashboard.
CREATE TABLE IF NOT EXISTS alert_acks
(
    alert_id FixedString(24),
    acked_at DateTime64(6, 'UTC') DEFAULT now64(6),
    acked_by String,
    note     String
)
ENGINE = ReplacingMergeTree(acked_at)
ORDER BY alert_id;
