-- An event's markets are asked for by its key, on a market's page and for each alert; the table lies in order of markets.
ALTER TABLE markets ADD INDEX IF NOT EXISTS of_event event_key TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE markets MATERIALIZE INDEX of_event;
