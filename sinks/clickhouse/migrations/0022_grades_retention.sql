-- What became of an alert is kept as long as the alert.
ALTER TABLE alert_grades MODIFY TTL toDateTime(ts_stored) + INTERVAL 365 DAY;
