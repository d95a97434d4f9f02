-- The offsets of a topic that retention deleted before the sink stored them, by partition; both ends are included.
-- What was stored, and deleted before the sink could count it, is in the table too, and is no loss.
SELECT DISTINCT partition, first_offset, last_offset
FROM lost_ranges
WHERE topic = {topic:String} AND topic_id = {topic_id:String} AND NOT startsWith(reason, 'announced, and rows are stored')
ORDER BY partition, first_offset, last_offset
