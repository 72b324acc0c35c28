-- As in 0023, but that a last trade is no missing price: no_mid says that one of the prices now is no mid.
--
-- Divergence as a move of its own: by how much the two markets of a confirmed pair have moved apart over each window, b's
-- mid less a's, now and at the windows' start. `crossed_pp`: by how much the bid of one stands above the ask of the other,
-- NULL when it does not; no promise of money. Both must be mids, over windows that end at most a quarter of the window
-- apart (`between_s`), so that like is compared with like; else move_pp is NULL and `no_move` says why, in the words of
-- PairNoMove (schemas/words.py). `older_ts`: of the older of both quotes.
CREATE OR REPLACE VIEW pair_moves AS
WITH
    pairs AS (SELECT market_a, market_b FROM market_pairs FINAL WHERE verdict = 'confirmed'),
    moved AS
    (
        SELECT *, window_s
        FROM movers_latest FINAL
        WHERE market_id IN (SELECT market_a FROM pairs UNION ALL SELECT market_b FROM pairs)
    ),
    sides AS
    (
        SELECT
            pair.market_a AS market_a,
            pair.market_b AS market_b,
            a.window AS window,
            a.window_s AS window_s,
            greatest(a.ts, b.ts) AS ts,
            least(a.ts, b.ts) AS older_ts,
            toUnixTimestamp64Micro(ts) / 1e6 - toUnixTimestamp64Micro(older_ts) / 1e6 AS between_s,
            a.price_basis = 'mid' AND b.price_basis = 'mid' AND isNotNull(a.price_now) AND isNotNull(b.price_now) AS mids,
            toFloat64(b.price_now - a.price_now) * 100 AS distance_pp,
            toFloat64(a.spread + b.spread) * 50 AS half_spreads_pp,
            a.move_pp AS move_a_pp,
            b.move_pp AS move_b_pp,
            a.computed_across_gap OR b.computed_across_gap AS computed_across_gap,
            multiIf(
                a.no_move != '', a.no_move,
                b.no_move != '', b.no_move,
                isNull(a.price_now) OR isNull(b.price_now), 'no_price_now',
                NOT mids, 'no_mid',
                isNull(a.move_pp) OR isNull(b.move_pp) OR least(a.coverage_s, b.coverage_s) < window_s, 'not_covered',
                between_s > window_s / 4, 'not_at_one_time',
                ''
            ) AS no_move
        FROM pairs AS pair
        INNER JOIN moved AS a ON a.market_id = pair.market_a
        INNER JOIN moved AS b ON b.market_id = pair.market_b AND b.window = a.window
    )
SELECT
    market_a,
    market_b,
    window,
    window_s,
    ts,
    older_ts,
    between_s,
    if(mids, distance_pp, NULL) AS apart_pp,
    apart_pp - move_pp AS apart_then_pp,
    if(no_move = '', move_b_pp - move_a_pp, NULL) AS move_pp,
    move_a_pp,
    move_b_pp,
    if(abs(apart_pp) > half_spreads_pp, abs(apart_pp) - half_spreads_pp, NULL) AS crossed_pp,
    computed_across_gap,
    no_move
FROM sides;
