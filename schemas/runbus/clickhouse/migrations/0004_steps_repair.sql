-- The sink's way to insert what a replay found missing: the same table and the same view as 0003, except for the
-- names (a test compares them). Nothing but `steps` may ever hang on it, so a repair never feeds other views twice.
CREATE TABLE IF NOT EXISTS steps_repair
(
    kafka_topic_id String,
    kafka_partition Int32,
    kafka_offset Int64,
    run_id String,
    agent_id String,
    attempt Int64,
    first_seq Int64,
    count Int32,
    dropped Int64,
    sent_at Int64,
    action_dtype String,
    action_shape Array(Int32),
    action_width Int32,
    observation_dtype String,
    observation_shape Array(Int32),
    observation_width Int32,
    env String,
    episode String,
    step String,
    tick String,
    ts String,
    reward String,
    terminated String,
    truncated String,
    extras Array(Tuple(name String, rows String, `values` String)),
    info Array(String),
    seed String,
    action String,
    observation String,
    record_end String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS steps_repair_view TO steps AS
SELECT
    b_run_id AS run_id,
    b_agent_id AS agent_id,
    b_attempt AS attempt,
    b_first_seq + s_index AS seq,
    s_env AS env,
    s_episode AS episode,
    s_step AS step,
    s_tick AS tick,
    fromUnixTimestamp64Micro(s_ts, 'UTC') AS ts,
    s_reward AS reward,
    s_terminated = 1 AS terminated,
    s_truncated = 1 AS truncated,
    -- the smallest int64 is the wire's "no seed"
    nullIf(s_seed, toInt64(-9223372036854775808)) AS seed,
    s_extras AS extras,
    s_info AS info,
    b_action_dtype AS action_dtype,
    b_action_shape AS action_shape,
    -- a reset has no action: its zero bytes only keep the width of the column
    if(s_step = 0 AND empty(trimBoth(s_action, '\0')), '', s_action) AS action_raw,
    b_observation_dtype AS observation_dtype,
    b_observation_shape AS observation_shape,
    s_observation AS observation_raw,
    b_dropped AS dropped,
    fromUnixTimestamp64Micro(b_sent_at, 'UTC') AS sent_at,
    b_kafka_topic_id AS kafka_topic_id,
    b_kafka_partition AS kafka_partition,
    b_kafka_offset AS kafka_offset
FROM
(
    SELECT
        toLowCardinality(kafka_topic_id) AS b_kafka_topic_id,
        kafka_partition AS b_kafka_partition,
        kafka_offset AS b_kafka_offset,
        toLowCardinality(run_id) AS b_run_id,
        toLowCardinality(agent_id) AS b_agent_id,
        attempt AS b_attempt,
        first_seq AS b_first_seq,
        dropped AS b_dropped,
        sent_at AS b_sent_at,
        toLowCardinality(action_dtype) AS b_action_dtype,
        CAST(action_shape AS Array(UInt32)) AS b_action_shape,
        toLowCardinality(observation_dtype) AS b_observation_dtype,
        CAST(observation_shape AS Array(UInt32)) AS b_observation_shape,
        toUInt32(count) AS b_count,
        range(b_count) AS v_index,
        reinterpret(env, 'Array(Int32)') AS v_env,
        reinterpret(episode, 'Array(Int64)') AS v_episode,
        reinterpret(step, 'Array(Int32)') AS v_step,
        arrayResize(reinterpret(tick, 'Array(Int64)'), b_count, toInt64(-1)) AS v_tick,
        reinterpret(ts, 'Array(Int64)') AS v_ts,
        reinterpret(reward, 'Array(Float64)') AS v_reward,
        reinterpret(terminated, 'Array(UInt8)') AS v_terminated,
        reinterpret(truncated, 'Array(UInt8)') AS v_truncated,
        arrayResize(reinterpret(seed, 'Array(Int64)'), b_count, toInt64(-9223372036854775808)) AS v_seed,
        arrayResize(info, b_count) AS v_info,

        -- extras: (row, extra) pairs plus one marker a step, sorted by step, cut before each marker. Without extras
        -- there are no markers either, and arrayResize makes the empty maps.
        length(extras) + 1 AS x_stride,
        arrayMap(i -> i * x_stride, range(if(empty(extras), 0, b_count))) AS x_marker_keys,
        arrayConcat(
            x_marker_keys,
            arrayFlatten(arrayMap(
                (x, n) -> arrayMap(r -> r * x_stride + n, reinterpret(x.rows, 'Array(UInt32)')),
                extras,
                arrayEnumerate(extras)
            ))
        ) AS x_keys,
        arrayConcat(
            arrayWithConstant(length(x_marker_keys), ''),
            arrayFlatten(arrayMap(x -> arrayWithConstant(intDiv(length(x.rows), 4), x.name), extras))
        ) AS x_names,
        arrayConcat(
            arrayWithConstant(length(x_marker_keys), toFloat64(0)),
            arrayFlatten(arrayMap(x -> reinterpret(x.values, 'Array(Float64)'), extras))
        ) AS x_values,
        arraySplit(
            (pair, key) -> key % x_stride = 0,
            arraySort((pair, key) -> key, arrayZip(x_names, x_values), x_keys),
            arraySort(x_keys)
        ) AS x_steps,
        arrayResize(
            arrayMap(s -> CAST(arrayPopFront(s) AS Map(LowCardinality(String), Float64)), x_steps),
            b_count
        ) AS v_extras,
        -- action: byte length of each step, in groups of 16, then the bytes of each group, then of each step
        intDiv(b_count + 15, 16) AS a_groups,
        if(action_width < 0, action_lengths, arrayWithConstant(b_count, toUInt32(action_width))) AS a_lengths,
        arrayMap(g -> arraySlice(a_lengths, g * 16 + 1, 16), range(a_groups)) AS a_group_lengths,
        arrayMap(l -> arraySum(l), a_group_lengths) AS a_group_bytes,
        if(action_width < 0, 4 * b_count, 0) AS a_start,
        arrayMap(
            (bytes, end) -> substring(action, a_start + end - bytes + 1, bytes),
            a_group_bytes,
            arrayCumSum(a_group_bytes)
        ) AS a_group,
        arrayFlatten(arrayMap(
            (group, lengths) -> arrayMap(
                (bytes, end) -> substring(group, end - bytes + 1, bytes),
                lengths,
                arrayCumSum(lengths)
            ),
            a_group,
            a_group_lengths
        )) AS v_action,

        -- observation: byte length of each step, in groups of 16, then the bytes of each group, then of each step
        intDiv(b_count + 15, 16) AS o_groups,
        if(observation_width < 0, observation_lengths, arrayWithConstant(b_count, toUInt32(observation_width))) AS o_lengths,
        arrayMap(g -> arraySlice(o_lengths, g * 16 + 1, 16), range(o_groups)) AS o_group_lengths,
        arrayMap(l -> arraySum(l), o_group_lengths) AS o_group_bytes,
        if(observation_width < 0, 4 * b_count, 0) AS o_start,
        arrayMap(
            (bytes, end) -> substring(observation, o_start + end - bytes + 1, bytes),
            o_group_bytes,
            arrayCumSum(o_group_bytes)
        ) AS o_group,
        arrayFlatten(arrayMap(
            (group, lengths) -> arrayMap(
                (bytes, end) -> substring(group, end - bytes + 1, bytes),
                lengths,
                arrayCumSum(lengths)
            ),
            o_group,
            o_group_lengths
        )) AS v_observation
    FROM
    (
        SELECT
            *,
            startsWith(action_dtype, 'omitted:') AS action_omitted,
            if(action_omitted, substring(action_dtype, 9), action_dtype) AS action_inner,
            transform(
                action_inner,
                ['|b1', '|i1', '|u1', '<i2', '<u2', '<f2', '<i4', '<u4', '<f4', '<i8', '<u8', '<f8'],
                [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8],
                0
            ) AS action_itemsize,
            multiIf(
                action_itemsize > 0, 'plain',
                action_inner IN ('text', 'json'), 'variable',
                action_dtype = '', 'none',
                startsWith(action_inner, 'struct:'), 'struct',
                'unknown'
            ) AS action_kind,
            -- the byte lengths of a variable column; cut to whole values, so that a short one cannot raise here
            reinterpret(
                substring(action, 1, if(action_width < 0, bitAnd(least(length(action), 4 * greatest(count, 0)), -4), 0)),
                'Array(UInt32)'
            ) AS action_lengths,
            startsWith(observation_dtype, 'omitted:') AS observation_omitted,
            if(observation_omitted, substring(observation_dtype, 9), observation_dtype) AS observation_inner,
            transform(
                observation_inner,
                ['|b1', '|i1', '|u1', '<i2', '<u2', '<f2', '<i4', '<u4', '<f4', '<i8', '<u8', '<f8'],
                [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8],
                0
            ) AS observation_itemsize,
            multiIf(
                observation_itemsize > 0, 'plain',
                observation_inner IN ('text', 'json'), 'variable',
                observation_dtype = '', 'none',
                startsWith(observation_inner, 'struct:'), 'struct',
                'unknown'
            ) AS observation_kind,
            -- the byte lengths of a variable column; cut to whole values, so that a short one cannot raise here
            reinterpret(
                substring(observation, 1, if(observation_width < 0, bitAnd(least(length(observation), 4 * greatest(count, 0)), -4), 0)),
                'Array(UInt32)'
            ) AS observation_lengths,
            arrayMap(x -> reinterpret(substring(x.rows, 1, bitAnd(length(x.rows), -4)), 'Array(UInt32)'), extras) AS extras_rows
        FROM steps_repair
    )
    WHERE 0 = (
            -- What the sink says behind the record; it is found in its place only where the record ends there. The
            -- description of a struct is JSON of any depth: the sink judges it.
            throwIf(
                record_end = concat('struct ', toString(kafka_offset)),
                'runbus: steps.action_dtype or observation_dtype is a struct that is none'
            )
            + throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: steps: bytes follow the record')
            + throwIf(NOT count BETWEEN 1 AND 1000000, 'runbus: steps.count is not 1 to 1000000')
            + throwIf(NOT first_seq BETWEEN 0 AND 9223372036853775807, 'runbus: steps.first_seq is negative or too large')
            + throwIf(NOT attempt BETWEEN 0 AND 9223372036853775807, 'runbus: steps.attempt is negative or too large')
            + throwIf(NOT dropped BETWEEN 0 AND 9223372036853775807, 'runbus: steps.dropped is negative or too large')
            + throwIf(NOT sent_at BETWEEN 0 AND 9223372036853775807, 'runbus: steps.sent_at is negative or too large')
            + throwIf(NOT length(run_id) BETWEEN 1 AND 255, 'runbus: steps.run_id is empty or longer than 255 bytes')
            + throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: steps.run_id has / or a control character in it')
            + throwIf(NOT length(agent_id) BETWEEN 1 AND 255, 'runbus: steps.agent_id is empty or longer than 255 bytes')
            + throwIf(match(agent_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: steps.agent_id has / or a control character in it')
            + throwIf(
                NOT (isValidUTF8(run_id) AND isValidUTF8(agent_id) AND isValidUTF8(action_dtype) AND isValidUTF8(observation_dtype)),
                'runbus: steps.run_id, agent_id or a dtype is not UTF-8'
            )
            + throwIf(arrayExists(x -> NOT isValidUTF8(x), info), 'runbus: steps.info is not UTF-8')
            + throwIf(arrayExists(x -> NOT isValidUTF8(x), extras.name), 'runbus: steps.extras has a name that is not UTF-8')
            + throwIf(length(env) != 4 * toInt64(count), 'runbus: steps.env does not hold count values')
            + throwIf(length(episode) != 8 * toInt64(count), 'runbus: steps.episode does not hold count values')
            + throwIf(length(step) != 4 * toInt64(count), 'runbus: steps.step does not hold count values')
            + throwIf(NOT (length(tick) IN (0, 8 * toInt64(count))), 'runbus: steps.tick holds neither 0 nor count values')
            + throwIf(length(ts) != 8 * toInt64(count), 'runbus: steps.ts does not hold count values')
            + throwIf(length(reward) != 8 * toInt64(count), 'runbus: steps.reward does not hold count values')
            + throwIf(length(terminated) != count, 'runbus: steps.terminated does not hold count values')
            + throwIf(length(truncated) != count, 'runbus: steps.truncated does not hold count values')
            + throwIf(NOT (length(seed) IN (0, 8 * toInt64(count))), 'runbus: steps.seed holds neither 0 nor count values')
            + throwIf(NOT (length(info) IN (0, count)), 'runbus: steps.info has neither 0 nor count entries')
            + throwIf(notEmpty(trimBoth(terminated, '\0\x01')), 'runbus: steps.terminated has a value that is neither 0 nor 1')
            + throwIf(notEmpty(trimBoth(truncated, '\0\x01')), 'runbus: steps.truncated has a value that is neither 0 nor 1')
            + throwIf(length(extras) > 65536, 'runbus: steps.extras has more than 65536 names')
            + throwIf(
                arrayExists(
                    x -> length(x.rows) % 4 != 0 OR length(x.values) != 2 * length(x.rows),
                    extras
                ),
                'runbus: steps.extras has rows and values of different lengths'
            )
            + throwIf(
                arrayExists(r -> arrayExists(d -> d <= 0, arrayPopFront(arrayDifference(r))), extras_rows),
                'runbus: steps.extras has rows that do not ascend'
            )
            + throwIf(
                arrayExists(r -> toInt64(r[-1]) >= greatest(count, 1), extras_rows),
                'runbus: steps.extras has a row that is not below count'
            )
            + throwIf(
                length(arrayDistinct(extras.name)) != length(extras),
                'runbus: steps.extras has the same name twice'
            )
            -- action: dtype known, shape and width agree with it, and the column holds count values of that width
            + throwIf(action_kind = 'unknown', 'runbus: steps.action_dtype is not a known layout')
            + throwIf(arrayExists(x -> x < 0, action_shape), 'runbus: steps.action_shape has a negative length')
            + throwIf(length(action_shape) > 64, 'runbus: steps.action_shape has more than 64 lengths')
            + throwIf(
                action_kind != 'plain' AND notEmpty(action_shape),
                'runbus: steps.action_shape is not empty, and no array has that dtype'
            )
            + throwIf(
                action_width != multiIf(
                    action_omitted OR has(action_shape, 0), 0,
                    -- as floats: a product of integers wraps around
                    action_kind = 'plain', action_itemsize * arrayProduct(arrayPushBack(CAST(action_shape AS Array(Float64)), 1)),
                    action_kind = 'variable', -1,
                    action_kind = 'struct', greatest(action_width, -1),
                    0
                ),
                'runbus: steps.action_width contradicts its dtype and shape'
            )
            + throwIf(
                length(action) != if(
                    action_width < 0,
                    4 * toInt64(count) + arraySum(action_lengths),
                    toInt64(action_width) * count
                ),
                'runbus: steps.action does not hold count values'
            )
            -- observation: dtype known, shape and width agree with it, and the column holds count values of that width
            + throwIf(observation_kind = 'unknown', 'runbus: steps.observation_dtype is not a known layout')
            + throwIf(arrayExists(x -> x < 0, observation_shape), 'runbus: steps.observation_shape has a negative length')
            + throwIf(length(observation_shape) > 64, 'runbus: steps.observation_shape has more than 64 lengths')
            + throwIf(
                observation_kind != 'plain' AND notEmpty(observation_shape),
                'runbus: steps.observation_shape is not empty, and no array has that dtype'
            )
            + throwIf(
                observation_width != multiIf(
                    observation_omitted OR has(observation_shape, 0), 0,
                    -- as floats: a product of integers wraps around
                    observation_kind = 'plain', observation_itemsize * arrayProduct(arrayPushBack(CAST(observation_shape AS Array(Float64)), 1)),
                    observation_kind = 'variable', -1,
                    observation_kind = 'struct', greatest(observation_width, -1),
                    0
                ),
                'runbus: steps.observation_width contradicts its dtype and shape'
            )
            + throwIf(
                length(observation) != if(
                    observation_width < 0,
                    4 * toInt64(count) + arraySum(observation_lengths),
                    toInt64(observation_width) * count
                ),
                'runbus: steps.observation does not hold count values'
            )
        )
)
ARRAY JOIN
    v_index AS s_index,
    v_env AS s_env,
    v_episode AS s_episode,
    v_step AS s_step,
    v_tick AS s_tick,
    v_ts AS s_ts,
    v_reward AS s_reward,
    v_terminated AS s_terminated,
    v_truncated AS s_truncated,
    v_seed AS s_seed,
    v_extras AS s_extras,
    v_info AS s_info,
    v_action AS s_action,
    v_observation AS s_observation;
