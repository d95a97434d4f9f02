    SELECT
        $x AS x,
        assumeNotNull(value) AS y,
        cityHash64(source, attempt, seq) AS tie,
        source AS agent_id,
        attempt AS started
    FROM
    (
        -- a position that was measured again has its last value, as in the view metrics_latest
        SELECT source, attempt, seq, at, ts, value
        FROM metrics
        WHERE run_id = {run:String} AND name = {measure:String} AND axis = {axis:String} AND kind = 'metric'
            AND value IS NOT NULL AND ({position:UInt8} = 0 OR at != -9223372036854775808) AND $below
        ORDER BY source, at, attempt DESC, seq DESC
        LIMIT 1 BY source, if({position:UInt8} = 1, (at, toInt64(0), toInt64(0)), (toInt64(0), attempt, seq))
    )
