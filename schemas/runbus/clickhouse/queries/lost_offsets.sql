-- The offsets of a topic that retention deleted before the sink stored them, by partition; both ends are included.
SELECT DISTINCT partition, first_offset, last_offset
FROM lost_ranges
WHERE topic = {topic:String} AND topic_id = {topic_id:String}
ORDER BY partition, first_offset, last_offset
