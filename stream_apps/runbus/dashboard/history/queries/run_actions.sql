-- What was done in the newest {newest} steps of each stream. Whole numbers and words as they are, the most frequent ones
-- (dimension -1); of a continuous action each of its first 4 numbers in 12 bins from its least to its largest.
WITH
    (
        SELECT mapFromArrays(groupArray(name), groupArray(last))
        FROM
        (
            SELECT concat(agent_id, '/', attempt::String) AS name, max(seq) AS last
            FROM steps
            WHERE run_id = {run:String}
            GROUP BY name
        )
    ) AS last_seq,
    taken AS
    (
        SELECT action_dtype, action_raw, action_int, action_text, action
        FROM steps
        WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
            AND ({attempt:Int64} < 0 OR attempt = {attempt:Int64}) AND ({env:Int32} < 0 OR env = {env:Int32})
            AND step > 0 AND seq > last_seq[concat(agent_id, '/', attempt::String)] - {newest:Int64}
            AND action_raw != '' AND $below
    ),
    numbers AS
    (
        SELECT d - 1 AS dimension, value, min(value) OVER (PARTITION BY d) AS least, max(value) OVER (PARTITION BY d) AS largest
        FROM taken
        ARRAY JOIN arraySlice(action, 1, 4) AS value, arrayEnumerate(arraySlice(action, 1, 4)) AS d
        WHERE action_dtype IN ('<f2', '<f4', '<f8') AND isFinite(value)
    )
SELECT *
FROM
(
    SELECT
        -1 AS dimension,
        multiIf(
            action_dtype IN ('text', 'json'), substringUTF8(action_text, 1, 80),
            length(action_int) = 1, action_int[1]::String,
            action_int::String
        ) AS action,
        0. AS low,
        0. AS high,
        count() AS count
    FROM taken
    WHERE action_dtype IN ('text', 'json') OR (notEmpty(action_int) AND length(action_int) <= 16)
    GROUP BY action
    ORDER BY count DESC, action
    LIMIT {most:UInt32}
    UNION ALL
    SELECT
        dimension,
        '' AS action,
        any(least) + bin * (any(largest) - any(least)) / 12 AS low,
        any(least) + (bin + 1) * (any(largest) - any(least)) / 12 AS high,
        count() AS count
    FROM numbers
    GROUP BY dimension, least(11, floor(if(largest > least, 12 * (value - least) / (largest - least), 0))) AS bin
)
ORDER BY dimension, low, count DESC, action
