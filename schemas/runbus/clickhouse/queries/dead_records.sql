-- The position of each record of a topic that the sink made a dead letter of (see dead_offsets) and that has no row in
-- {table} under that position: a retry may have stored it.
SELECT DISTINCT partition, offset
FROM dead_letters
WHERE topic = {topic:String}
    AND topic_id = {topic_id:String}
    AND headers['component'] IN ('', 'sink')
    AND (partition, offset) NOT IN
    (
        SELECT kafka_partition, kafka_offset
        FROM {table:Identifier}
        WHERE kafka_topic_id = {topic_id:String}
            AND (kafka_partition, kafka_offset) IN
            (
                SELECT partition, offset
                FROM dead_letters
                WHERE topic = {topic:String} AND topic_id = {topic_id:String}
            )
    )
