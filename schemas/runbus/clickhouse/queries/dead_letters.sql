-- The newest dead letters, without their bytes; `head` is enough of them to read the header of a record.
-- topic, run_id: '' = all.
SELECT
    key, topic, topic_id, partition, offset, component, run_id, agent_id, error, failed_at,
    length(value) AS size,
    substring(value, 1, 1024) AS head
FROM dead_letters_latest
WHERE ({topic:String} = '' OR topic = {topic:String}) AND ({run_id:String} = '' OR run_id = {run_id:String})
ORDER BY failed_at DESC, key, component
LIMIT {limit:UInt64}
