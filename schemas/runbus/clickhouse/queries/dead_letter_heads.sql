-- The first bytes of some records of one partition that dead letters are about: enough to read how many steps they hold.
SELECT offset, any(substring(value, 1, 1024)) AS head
FROM dead_letters
WHERE topic = {topic:String} AND topic_id = {topic_id:String}
    AND partition = {partition:Int32} AND offset IN {offsets:Array(Int64)}
GROUP BY offset
