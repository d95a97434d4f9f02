-- The records that dead letters are about, each once, in the order of the log.
-- keys: [] = all that have a position; topic: '' = all.
SELECT any(d.key) AS key, topic, topic_id, partition, offset
FROM dead_letters AS d
WHERE if(empty({keys:Array(String)}), offset >= 0, d.key IN {keys:Array(String)})
    AND ({topic:String} = '' OR topic = {topic:String})
GROUP BY topic, topic_id, partition, offset, if(offset < 0, d.key, '')
ORDER BY topic, topic_id, partition, offset, key
