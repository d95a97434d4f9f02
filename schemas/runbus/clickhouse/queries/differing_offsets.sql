-- The offsets first..last (both included) of a partition whose rows are not the same in two tables: how many rows each
-- has. Rows are compared by a hash of all bytes of all columns (`row`: an expression), so NaN and -0 count as they are.
SELECT
    kafka_offset,
    toInt64(sum(rows * (side = 0))) AS old_rows,
    toInt64(sum(rows * (side = 1))) AS new_rows
FROM
(
    SELECT 0 AS side, kafka_offset, count() AS rows, sum(sipHash64(formatRowNoNewline('RowBinary', {columns}))) AS hash
    FROM {old:Identifier}.{table:Identifier}
    WHERE kafka_topic_id = {topic_id:String}
        AND kafka_partition = {partition:Int32}
        AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
    GROUP BY kafka_offset
    UNION ALL
    SELECT 1 AS side, kafka_offset, count() AS rows, sum(sipHash64(formatRowNoNewline('RowBinary', {columns}))) AS hash
    FROM {new:Identifier}.{table:Identifier}
    WHERE kafka_topic_id = {topic_id:String}
        AND kafka_partition = {partition:Int32}
        AND kafka_offset BETWEEN {first:Int64} AND {last:Int64}
    GROUP BY kafka_offset
)
GROUP BY kafka_offset
HAVING old_rows != new_rows OR uniqExact(hash) > 1
ORDER BY kafka_offset
