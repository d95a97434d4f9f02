-- Everything that the dead letters of one key say, the newest first. Headers are hexadecimal: they need not be text.
SELECT
    key, topic, topic_id, partition, offset, component, run_id, agent_id, attempt, seq, `count`, schema_id, error,
    failed_at, source_key, value, length(value) AS size,
    mapApply((name, content) -> (name, hex(content)), d.headers) AS headers,
    kafka_partition, kafka_offset
FROM dead_letters_latest AS d
WHERE key = {key:String}
ORDER BY failed_at DESC, component
