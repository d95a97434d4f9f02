-- The first {limit} offsets of one partition, {first} or above, that have rows in a table, and how many rows.
SELECT
    kafka_offset,
    count() AS rows
FROM {table:Identifier}
WHERE kafka_topic_id = {topic_id:String} AND kafka_partition = {partition:Int32} AND kafka_offset >= {first:Int64}
GROUP BY kafka_offset
ORDER BY kafka_offset
LIMIT {limit:UInt32}
