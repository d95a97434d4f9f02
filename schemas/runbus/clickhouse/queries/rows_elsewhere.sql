-- The rows of a table that are of another topic than {topic_id}, or of a partition that it does not have. Only for the
-- latter are the different offsets counted: there are none in a sound table, and of the others there may be billions.
SELECT
    kafka_topic_id,
    kafka_partition,
    count() AS rows,
    uniqExactIf(kafka_offset, kafka_topic_id = {topic_id:String}) AS offsets,
    min(kafka_offset) AS first_offset,
    max(kafka_offset) AS last_offset
FROM {table:Identifier}
WHERE kafka_topic_id != {topic_id:String} OR kafka_partition >= {partitions:Int32}
GROUP BY kafka_topic_id, kafka_partition
ORDER BY kafka_partition, kafka_topic_id
