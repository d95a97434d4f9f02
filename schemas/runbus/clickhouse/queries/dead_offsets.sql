-- The offsets first..last (both included) of one partition that the sink made dead letters of. A letter of another
-- component says nothing here: a record that a stream app could not use may well be stored.
SELECT DISTINCT offset
FROM dead_letters
WHERE topic = {topic:String}
    AND topic_id = {topic_id:String}
    AND partition = {partition:Int32}
    AND offset BETWEEN {first:Int64} AND {last:Int64}
    AND component IN ('', 'sink')
