-- Which of some offsets of one partition have a row in a table.
SELECT DISTINCT kafka_offset
FROM {table:Identifier}
WHERE kafka_topic_id = {topic_id:String}
    AND kafka_partition = {partition:Int32}
    AND kafka_offset IN {offsets:Array(Int64)}
