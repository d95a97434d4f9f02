-- A range of the steps of an episode, step 0 being its reset.
SELECT
    seq,
    step,
    tick,
    toUnixTimestamp64Micro(t.ts) AS ts,
    reward,
    terminated,
    truncated,
    t.kind::String AS kind,
    t.status::String AS status,
    parent,
    extras::Map(String, Float64) AS extras,
    extras_repeated::Map(String, Array(Float64)) AS extras_repeated,
    info,
    seed_text AS seed,
    stop,
    t.action_dtype::String AS action_dtype,
    arrayMap(n -> toInt64(n), t.action_shape) AS action_shape,
    $action AS action,
    t.observation_dtype::String AS observation_dtype,
    arrayMap(n -> toInt64(n), t.observation_shape) AS observation_shape,
    $observation AS observation,
    kafka_partition AS p,
    kafka_offset AS o
FROM steps AS t
WHERE $episode AND step BETWEEN {from:Int32} AND {to:Int32}
ORDER BY seq
LIMIT {most:UInt32}
