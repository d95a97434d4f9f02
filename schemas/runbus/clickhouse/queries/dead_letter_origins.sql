-- The records that dead letters are about, each once, in the order of the log: of some keys, or all of some topics.
SELECT any(d.key) AS key, topic, topic_id, partition, offset
FROM dead_letters AS d
WHERE d.key IN {keys:Array(String)} OR (topic IN {topics:Array(String)} AND offset >= 0)
GROUP BY topic, topic_id, partition, offset, if(offset < 0, d.key, '')
ORDER BY topic, topic_id, partition, offset, key
