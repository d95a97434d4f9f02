-- The rows of one partition in a table below the offset {first}: how many, and the first and the last of their offsets.
SELECT
    count() AS rows,
    min(kafka_offset) AS first_offset,
    max(kafka_offset) AS last_offset
FROM {table:Identifier}
WHERE kafka_topic_id = {topic_id:String} AND kafka_partition = {partition:Int32} AND kafka_offset < {first:Int64}
