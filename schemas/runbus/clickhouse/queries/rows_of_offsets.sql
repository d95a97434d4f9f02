-- How many rows each of some Kafka records of one partition left in a table. An offset without rows is not listed.
SELECT
    kafka_offset,
    count() AS rows
FROM {table:Identifier}
WHERE kafka_topic_id = {topic_id:String}
    AND kafka_partition = {partition:Int32}
    AND kafka_offset IN {offsets:Array(Int64)}
GROUP BY kafka_offset
