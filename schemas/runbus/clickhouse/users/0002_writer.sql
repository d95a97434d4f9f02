-- The sink: inserts into the landing tables, and reads back what makes a repeated insert a no-op. It cannot read the
-- steps themselves, and cannot change or delete anything.
CREATE ROLE IF NOT EXISTS `{database}_writer`;
GRANT INSERT ON `{database}`.steps_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.runs_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.episodes_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.heartbeats_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.annotations_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.dead_letters_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.metrics_landing TO `{database}_writer`;
GRANT INSERT ON `{database}`.lost_ranges TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset, seq) ON `{database}`.steps TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset) ON `{database}`.runs TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset) ON `{database}`.episodes TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset) ON `{database}`.heartbeats TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset) ON `{database}`.annotations TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset) ON `{database}`.dead_letters TO `{database}_writer`;
GRANT SELECT(kafka_topic_id, kafka_partition, kafka_offset, seq) ON `{database}`.metrics TO `{database}_writer`;
-- An insert that would not be dropped when it is repeated is refused, whatever the client asks for.
CREATE SETTINGS PROFILE OR REPLACE `{database}_writer` SETTINGS
    async_insert = 0 CONST,
    insert_deduplicate = 1 CONST,
    deduplicate_blocks_in_dependent_materialized_views = 1 CONST,
    materialized_views_ignore_errors = 0 CONST
    TO `{database}_writer`;
