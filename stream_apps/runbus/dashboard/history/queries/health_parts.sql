-- Parts of each table: an insert makes one, and merges make fewer of them. A server refuses inserts past 3,000 in a partition.
SELECT
    table,
    sum(parts_here) AS parts,
    max(parts_here) AS most_in_partition,
    sum(rows_here) AS rows,
    sum(bytes_here) AS bytes,
    max(newest_here) AS newest
FROM
(
    SELECT
        table,
        partition,
        count() AS parts_here,
        sum(rows) AS rows_here,
        sum(bytes_on_disk) AS bytes_here,
        toUnixTimestamp(max(modification_time)) * 1000000 AS newest_here
    FROM system.parts
    WHERE database = currentDatabase() AND active
    GROUP BY table, partition
)
GROUP BY table
ORDER BY bytes DESC
