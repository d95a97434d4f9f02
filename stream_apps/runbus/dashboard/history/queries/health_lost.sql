-- Offsets that retention deleted before they were stored, the newest first.
SELECT
    topic::String AS topic,
    partition,
    first_offset,
    last_offset,
    consumer_group::String AS consumer_group,
    reason,
    toUnixTimestamp64Micro(detected_at) AS detected_at
FROM lost_ranges
ORDER BY detected_at DESC
LIMIT {most:UInt32}
