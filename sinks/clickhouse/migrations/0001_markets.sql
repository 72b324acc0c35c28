-- Everything slow: one row a market, the newest message wins. Read with FINAL.
CREATE TABLE IF NOT EXISTS markets
(
    market_id          String,
    venue              LowCardinality(String),
    venue_market_id    String,
    title              String,
    event_key          String,
    event_title        String,
    mutually_exclusive Bool,
    category           LowCardinality(String),
    venue_category     LowCardinality(String),
    tags               Array(LowCardinality(String)),
    status             LowCardinality(String),
    result             Nullable(String),
    open_ts            Nullable(DateTime64(6, 'UTC')),
    close_ts           Nullable(DateTime64(6, 'UTC')),
    url                String,
    ts                 DateTime64(6, 'UTC'),
    ts_received        DateTime64(6, 'UTC'),
    ts_stored          DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts_received)
ORDER BY market_id;

-- One row an outcome token. outcome_index 0 is YES or the first side: the token that ticks, bars and moves speak of.
CREATE TABLE IF NOT EXISTS market_tokens
(
    token_id      String,
    market_id     String,
    outcome       String,
    outcome_index UInt8,
    ts_received   DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(ts_received)
ORDER BY (market_id, outcome_index);
