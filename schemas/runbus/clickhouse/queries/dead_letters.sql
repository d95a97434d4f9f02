-- The newest dead letters, without their bytes. topic, run_id: '' = all.
SELECT key, topic, topic_id, partition, offset, component, run_id, agent_id, error, failed_at, length(value) AS size
FROM dead_letters_latest
WHERE ({topic:String} = '' OR topic = {topic:String}) AND ({run_id:String} = '' OR run_id = {run_id:String})
ORDER BY failed_at DESC, key, component
LIMIT {limit:UInt64}
