-- The bytes and the key of a record that dead letters are about. The sink's own letter has them as it met them; where
-- the letter is shortened, `whole` is how many bytes there were.
SELECT value, source_key, toUInt64OrNull(headers['size']) AS whole
FROM dead_letters
WHERE topic = {topic:String} AND topic_id = {topic_id:String}
    AND partition = {partition:Int32} AND offset = {offset:Int64}
ORDER BY component = 'sink' DESC, failed_at DESC
LIMIT 1
