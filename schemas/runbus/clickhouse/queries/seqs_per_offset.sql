-- How many rows each Kafka record left in a table of batches, how many different seq they have, the first and last of them; for
-- one partition and the offsets first..last (both included). An offset without rows is not listed.
SELECT
    kafka_offset,
    count() AS rows,
    toUInt64(groupBitmap(toUInt64(seq))) AS distinct_seq,
    min(seq) AS first_seq,
    max(seq) AS last_seq
FROM {table:Identifier}
WHERE kafka_topic_id = {topic_id:String}
    AND kafka_partition = {partition:Int32}
    AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
GROUP BY kafka_offset
ORDER BY kafka_offset
