-- One row a step, exactly as it was recorded. Described column by column in docs/sql.md.
--
-- ORDER BY is the identity of a step, so one stream is contiguous on disk. Delta codecs where values walk, ZSTD
-- everywhere; never Gorilla (it loses to ZSTD on these columns and costs more). `action_raw` and `observation_raw`
-- hold the bytes of one value, little-endian, C order; the ALIAS columns read them.
--
-- Each ALIAS branch reads an empty string unless the dtype is its own, so it is total: it does not depend on
-- short-circuit evaluation, and a branch never meets bytes of another width.
CREATE TABLE IF NOT EXISTS steps
(
    run_id LowCardinality(String) CODEC(ZSTD(1)),
    agent_id LowCardinality(String) CODEC(ZSTD(1)),
    attempt Int64 CODEC(Delta, ZSTD(1)),
    seq Int64 CODEC(DoubleDelta, ZSTD(1)),
    env Int32 CODEC(ZSTD(1)),
    episode Int64 CODEC(DoubleDelta, ZSTD(1)),
    step Int32 CODEC(Delta, ZSTD(1)),
    tick Int64 CODEC(Delta, ZSTD(1)),
    ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    reward Float64 CODEC(ZSTD(1)),
    terminated Bool CODEC(ZSTD(1)),
    truncated Bool CODEC(ZSTD(1)),
    seed Nullable(Int64) CODEC(ZSTD(1)),
    extras Map(LowCardinality(String), Float64) CODEC(ZSTD(1)),
    info String CODEC(ZSTD(1)),
    action_dtype LowCardinality(String) CODEC(ZSTD(1)),
    action_shape Array(UInt32) CODEC(ZSTD(1)),
    action_raw String CODEC(ZSTD(1)),
    observation_dtype LowCardinality(String) CODEC(ZSTD(1)),
    observation_shape Array(UInt32) CODEC(ZSTD(1)),
    observation_raw String CODEC(ZSTD(1)),
    dropped Int64 CODEC(Delta, ZSTD(1)),
    sent_at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    kafka_topic_id LowCardinality(String) CODEC(ZSTD(1)),
    kafka_partition Int32 CODEC(ZSTD(1)),
    kafka_offset Int64 CODEC(DoubleDelta, ZSTD(1)),
    action Array(Float64) ALIAS arrayConcat(
        CAST(reinterpret(if(action_dtype IN ('|b1', '|u1'), action_raw, ''), 'Array(UInt8)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '|i1', action_raw, ''), 'Array(Int8)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i2', action_raw, ''), 'Array(Int16)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u2', action_raw, ''), 'Array(UInt16)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i4', action_raw, ''), 'Array(Int32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u4', action_raw, ''), 'Array(UInt32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<i8', action_raw, ''), 'Array(Int64)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<f4', action_raw, ''), 'Array(Float32)') AS Array(Float64)),
        CAST(reinterpret(if(action_dtype = '<f8', action_raw, ''), 'Array(Float64)') AS Array(Float64)),
        arrayMap(
            h -> multiIf(
                bitAnd(h, 31744) = 0, bitAnd(h, 1023) * 5.9604644775390625e-8 * if(h > 32767, -1, 1),
                bitAnd(h, 31744) = 31744 AND bitAnd(h, 1023) > 0, nan,
                bitAnd(h, 31744) = 31744, if(h > 32767, -inf, inf),
                reinterpretAsFloat64(
                    toUInt64(h > 32767) * 9223372036854775808
                    + (toUInt64(bitAnd(h, 31744)) + 1032192) * 4398046511104
                    + toUInt64(bitAnd(h, 1023)) * 4398046511104
                )
            ),
            reinterpret(if(action_dtype = '<f2', action_raw, ''), 'Array(UInt16)')
        )
    ),
    action_int Array(Int64) ALIAS arrayConcat(
        CAST(reinterpret(if(action_dtype IN ('|b1', '|u1'), action_raw, ''), 'Array(UInt8)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '|i1', action_raw, ''), 'Array(Int8)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i2', action_raw, ''), 'Array(Int16)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<u2', action_raw, ''), 'Array(UInt16)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i4', action_raw, ''), 'Array(Int32)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<u4', action_raw, ''), 'Array(UInt32)') AS Array(Int64)),
        CAST(reinterpret(if(action_dtype = '<i8', action_raw, ''), 'Array(Int64)') AS Array(Int64)),
        if(
            arrayExists(x -> x > 9223372036854775807, reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)')),
            [],
            CAST(reinterpret(if(action_dtype = '<u8', action_raw, ''), 'Array(UInt64)') AS Array(Int64))
        )
    ),
    action_text String ALIAS if(action_dtype IN ('text', 'json'), action_raw, ''),
    observation Array(Float64) ALIAS arrayConcat(
        CAST(reinterpret(if(observation_dtype IN ('|b1', '|u1'), observation_raw, ''), 'Array(UInt8)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '|i1', observation_raw, ''), 'Array(Int8)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i2', observation_raw, ''), 'Array(Int16)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u2', observation_raw, ''), 'Array(UInt16)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i4', observation_raw, ''), 'Array(Int32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u4', observation_raw, ''), 'Array(UInt32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<i8', observation_raw, ''), 'Array(Int64)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<f4', observation_raw, ''), 'Array(Float32)') AS Array(Float64)),
        CAST(reinterpret(if(observation_dtype = '<f8', observation_raw, ''), 'Array(Float64)') AS Array(Float64)),
        arrayMap(
            h -> multiIf(
                bitAnd(h, 31744) = 0, bitAnd(h, 1023) * 5.9604644775390625e-8 * if(h > 32767, -1, 1),
                bitAnd(h, 31744) = 31744 AND bitAnd(h, 1023) > 0, nan,
                bitAnd(h, 31744) = 31744, if(h > 32767, -inf, inf),
                reinterpretAsFloat64(
                    toUInt64(h > 32767) * 9223372036854775808
                    + (toUInt64(bitAnd(h, 31744)) + 1032192) * 4398046511104
                    + toUInt64(bitAnd(h, 1023)) * 4398046511104
                )
            ),
            reinterpret(if(observation_dtype = '<f2', observation_raw, ''), 'Array(UInt16)')
        )
    ),
    observation_int Array(Int64) ALIAS arrayConcat(
        CAST(reinterpret(if(observation_dtype IN ('|b1', '|u1'), observation_raw, ''), 'Array(UInt8)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '|i1', observation_raw, ''), 'Array(Int8)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i2', observation_raw, ''), 'Array(Int16)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<u2', observation_raw, ''), 'Array(UInt16)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i4', observation_raw, ''), 'Array(Int32)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<u4', observation_raw, ''), 'Array(UInt32)') AS Array(Int64)),
        CAST(reinterpret(if(observation_dtype = '<i8', observation_raw, ''), 'Array(Int64)') AS Array(Int64)),
        if(
            arrayExists(x -> x > 9223372036854775807, reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)')),
            [],
            CAST(reinterpret(if(observation_dtype = '<u8', observation_raw, ''), 'Array(UInt64)') AS Array(Int64))
        )
    ),
    observation_text String ALIAS if(observation_dtype IN ('text', 'json'), observation_raw, ''),
    INDEX kafka_position (kafka_partition, kafka_offset) TYPE minmax GRANULARITY 1,
    PROJECTION by_episode
    (
        SELECT
            run_id, agent_id, attempt, env, episode,
            count(), sum(reward), min(reward), max(reward), max(step),
            min(ts), max(ts), max(terminated), max(truncated)
        GROUP BY run_id, agent_id, attempt, env, episode
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (run_id, agent_id, attempt, seq)
SETTINGS
    non_replicated_deduplication_window = 10000,
    replicated_deduplication_window = 10000,
    replicated_deduplication_window_seconds = 604800;
