-- Where the sink inserts StepBatch records: one row a record, the fields of step_batch.avsc under their own names.
CREATE TABLE IF NOT EXISTS steps_landing
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
    absent String,
    kind String,
    status String,
    parent String,
    large_seeds Array(String),
    labels Array(Tuple(name String, rows String, `values` Array(String))),
    stop Array(String),
    record_end String
)
ENGINE = Null;

-- Inside out: (1) name what the checks need, (2) check each record against its own `count`, once a record and never
-- once a step, (3) cut the columns into one value a step, (4) ARRAY JOIN.
--
-- A record that lies raises in (2): FUNCTION_THROW_IF_VALUE_IS_NON_ZERO with the column's name, and the whole insert
-- stores nothing. Every source column is renamed (b_...) before the ARRAY JOIN: an alias equal to a source column
-- would silently read the wrong one.
--
-- Each insert analyses this text anew: 84 ms of processor time, whatever the number of rows. It grows with the number of
-- functions, so a check is written with few: toUInt64(x) > bound is "negative or larger", has([a, b], x) is half of IN.
--
-- action and observation are cut in two levels, groups of 16 steps and then steps: a lambda copies what it captures
-- once per element, so one level would copy a batch of 256 x 1 KiB 256 times (measured for 16 MiB of such batches:
-- 11 s and 4.4 GB, against 1 s and 0.6 GB).
CREATE MATERIALIZED VIEW IF NOT EXISTS steps_landing_view TO steps AS
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
    -- a number that a later version knows stays visible as that number
    if(s_kind > 6, toString(s_kind), ['', 'env', 'model', 'tool', 'agent', 'judge', 'human'][s_kind + 1]) AS kind,
    if(s_status > 5, toString(s_status), ['', 'ok', 'error', 'timeout', 'cancelled', 'length'][s_status + 1]) AS status,
    s_parent AS parent,
    -- the smallest int64 is the wire's "no seed"
    nullIf(s_seed, toInt64(-9223372036854775808)) AS seed,
    s_seed_large AS seed_large,
    -- of several values in one row the last; all of them are in extras_repeated
    mapApply((name, numbers) -> (name, numbers[-1]), s_extras) AS extras,
    mapFilter((name, numbers) -> length(numbers) > 1, s_extras) AS extras_repeated,
    s_info AS info,
    s_labels AS labels,
    s_stop AS stop,
    -- what does not exist says so in its dtype; a ragged value has the dtype and shape of the array that it is
    if(bitTest(s_absent, 1), b_action_absent, b_action_dtype) AS action_dtype,
    if(
        b_action_item > 0,
        arrayPushFront(arrayPopFront(b_action_shape), toUInt32(intDivOrZero(length(action_raw), b_action_item))),
        b_action_shape
    ) AS action_shape,
    -- a reset has no action: its zero bytes only keep the width of the column
    if(bitTest(s_absent, 1) OR (s_step = 0 AND empty(trimBoth(s_action, '\0'))), '', s_action) AS action_raw,
    if(bitTest(s_absent, 0), b_observation_absent, b_observation_dtype) AS observation_dtype,
    if(
        b_observation_item > 0,
        arrayPushFront(arrayPopFront(b_observation_shape), toUInt32(intDivOrZero(length(observation_raw), b_observation_item))),
        b_observation_shape
    ) AS observation_shape,
    if(bitTest(s_absent, 0), '', s_observation) AS observation_raw,
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
        toLowCardinality(concat('absent:', action_inner)) AS b_action_absent,
        arrayMap(n -> toUInt32(greatest(n, 0)), action_shape) AS b_action_shape,
        action_item AS b_action_item,
        toLowCardinality(observation_dtype) AS b_observation_dtype,
        toLowCardinality(concat('absent:', observation_inner)) AS b_observation_absent,
        arrayMap(n -> toUInt32(greatest(n, 0)), observation_shape) AS b_observation_shape,
        observation_item AS b_observation_item,
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
        arrayResize(reinterpret(absent, 'Array(UInt8)'), b_count) AS v_absent,
        arrayResize(reinterpret(kind, 'Array(UInt8)'), b_count) AS v_kind,
        arrayResize(reinterpret(status, 'Array(UInt8)'), b_count) AS v_status,
        arrayResize(reinterpret(parent, 'Array(Int64)'), b_count, toInt64(-1)) AS v_parent,
        arrayResize(large_seeds, b_count) AS v_seed_large,
        arrayResize(stop, b_count) AS v_stop,

        -- extras: for each row of an extra all its values there, nearly always one, plus one marker a step; sorted by
        -- step, cut before each marker. Without extras there are no markers either, and arrayResize makes the empty
        -- maps.
        arrayMap(x -> reinterpret(x.rows, 'Array(UInt32)'), extras) AS x_rows,
        length(extras) + 1 AS x_stride,
        arrayMap(i -> i * x_stride, range(if(empty(extras), 0, b_count))) AS x_marker_keys,
        arrayConcat(
            x_marker_keys,
            arrayFlatten(arrayMap(
                (r, n) -> arrayMap(row -> row * x_stride + n, arrayCompact(r)),
                x_rows,
                arrayEnumerate(extras)
            ))
        ) AS x_keys,
        arrayConcat(
            arrayWithConstant(length(x_marker_keys), ''),
            arrayFlatten(arrayMap((x, r) -> arrayWithConstant(length(arrayCompact(r)), x.name), extras, x_rows))
        ) AS x_names,
        arrayConcat(
            arrayWithConstant(length(x_marker_keys), CAST([] AS Array(Float64))),
            -- flattens one level
            arrayReduce('groupArrayArray', arrayMap(
                (x, r) -> arraySplit(
                    (number, row, before) -> row != before,
                    reinterpret(x.values, 'Array(Float64)'),
                    r,
                    arrayPopBack(arrayPushFront(r, toUInt32(4294967295)))
                ),
                extras,
                x_rows
            ))
        ) AS x_values,
        arraySplit(
            (pair, key) -> key % x_stride = 0,
            arraySort((pair, key) -> key, arrayZip(x_names, x_values), x_keys),
            arraySort(x_keys)
        ) AS x_steps,
        arrayResize(
            arrayMap(s -> CAST(arrayPopFront(s) AS Map(LowCardinality(String), Array(Float64))), x_steps),
            b_count
        ) AS v_extras,

        -- labels: the same as extras; a label has one value in a row
        length(labels) + 1 AS l_stride,
        arrayMap(i -> i * l_stride, range(if(empty(labels), 0, b_count))) AS l_marker_keys,
        arrayConcat(
            l_marker_keys,
            arrayFlatten(arrayMap(
                (x, n) -> arrayMap(r -> r * l_stride + n, reinterpret(x.rows, 'Array(UInt32)')),
                labels,
                arrayEnumerate(labels)
            ))
        ) AS l_keys,
        arrayConcat(
            arrayWithConstant(length(l_marker_keys), ''),
            arrayFlatten(arrayMap(x -> arrayWithConstant(length(x.values), x.name), labels))
        ) AS l_names,
        arrayConcat(arrayWithConstant(length(l_marker_keys), ''), arrayFlatten(labels.values)) AS l_values,
        arraySplit(
            (pair, key) -> key % l_stride = 0,
            arraySort((pair, key) -> key, arrayZip(l_names, l_values), l_keys),
            arraySort(l_keys)
        ) AS l_steps,
        arrayResize(
            arrayMap(s -> CAST(arrayPopFront(s) AS Map(LowCardinality(String), String)), l_steps),
            b_count
        ) AS v_labels,

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
            -- the other checks compare with it, so this one comes first
            count + throwIf(NOT count BETWEEN 1 AND 1000000, 'runbus: steps.count is not 1 to 1000000') AS steps_count,
            startsWith(action_dtype, 'omitted:') AS action_omitted,
            if(action_omitted, substring(action_dtype, 9), action_dtype) AS action_inner,
            transform(
                action_inner,
                ['|b1', '|i1', '|u1', '<i2', '<u2', '<f2', '<i4', '<u4', '<f4', '<i8', '<u8', '<f8'],
                [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8],
                0
            ) AS action_itemsize,
            multiIf(
                action_itemsize > 0 AND action_shape[1] = -1, 'ragged',
                action_itemsize > 0, 'plain',
                action_inner IN ('text', 'json'), 'variable',
                action_dtype = '', 'none',
                startsWith(action_inner, 'struct:'), 'struct',
                'unknown'
            ) AS action_kind,
            -- bytes of one item of a ragged value, as a float because a product of integers wraps around; 0 = not ragged
            toUInt64(if(
                action_kind = 'ragged',
                least(
                    action_itemsize * arrayProduct(arrayPushBack(arrayMap(x -> toFloat64(greatest(x, 0)), arrayPopFront(action_shape)), 1)),
                    toFloat64(4294967296)
                ),
                toFloat64(0)
            )) AS action_item,
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
                observation_itemsize > 0 AND observation_shape[1] = -1, 'ragged',
                observation_itemsize > 0, 'plain',
                observation_inner IN ('text', 'json'), 'variable',
                observation_dtype = '', 'none',
                startsWith(observation_inner, 'struct:'), 'struct',
                'unknown'
            ) AS observation_kind,
            -- bytes of one item of a ragged value, as a float because a product of integers wraps around; 0 = not ragged
            toUInt64(if(
                observation_kind = 'ragged',
                least(
                    observation_itemsize * arrayProduct(arrayPushBack(arrayMap(x -> toFloat64(greatest(x, 0)), arrayPopFront(observation_shape)), 1)),
                    toFloat64(4294967296)
                ),
                toFloat64(0)
            )) AS observation_item,
            -- the byte lengths of a variable column; cut to whole values, so that a short one cannot raise here
            reinterpret(
                substring(observation, 1, if(observation_width < 0, bitAnd(least(length(observation), 4 * greatest(count, 0)), -4), 0)),
                'Array(UInt32)'
            ) AS observation_lengths,
            arrayMap(x -> reinterpret(substring(x.rows, 1, bitAnd(length(x.rows), -4)), 'Array(UInt32)'), extras) AS extras_rows,
            arrayMap(x -> reinterpret(substring(x.rows, 1, bitAnd(length(x.rows), -4)), 'Array(UInt32)'), labels) AS labels_rows
        FROM steps_landing
    )
    WHERE NOT has([
            -- What the sink says behind the record; it is found in its place only where the record ends there. The
            -- description of a struct is JSON of any depth: the sink judges it.
            throwIf(
                record_end = concat('struct ', toString(kafka_offset)),
                'runbus: steps.action_dtype or observation_dtype is a struct that is none'
            ),
            throwIf(record_end != concat('end ', toString(kafka_offset)), 'runbus: steps: bytes follow the record'),
            throwIf(toUInt64(first_seq) > 9223372036853775807, 'runbus: steps.first_seq is negative or too large'),
            throwIf(toUInt64(attempt) > 9223372036853775807, 'runbus: steps.attempt is negative or too large'),
            throwIf(toUInt64(dropped) > 9223372036853775807, 'runbus: steps.dropped is negative or too large'),
            throwIf(toUInt64(sent_at) > 9223372036853775807, 'runbus: steps.sent_at is negative or too large'),
            throwIf(toUInt64(length(run_id) - 1) > 254, 'runbus: steps.run_id is empty or longer than 255 bytes'),
            throwIf(match(run_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: steps.run_id has / or a control character in it'),
            throwIf(toUInt64(length(agent_id) - 1) > 254, 'runbus: steps.agent_id is empty or longer than 255 bytes'),
            throwIf(match(agent_id, '[/\\x00-\\x1f\\x7f-\\x9f]'), 'runbus: steps.agent_id has / or a control character in it'),
            throwIf(
                NOT (isValidUTF8(run_id) AND isValidUTF8(agent_id) AND isValidUTF8(action_dtype) AND isValidUTF8(observation_dtype)),
                'runbus: steps.run_id, agent_id or a dtype is not UTF-8'
            ),
            throwIf(arrayExists(x -> NOT isValidUTF8(x), info), 'runbus: steps.info is not UTF-8'),
            throwIf(arrayExists(x -> NOT isValidUTF8(x), extras.name), 'runbus: steps.extras has a name that is not UTF-8'),
            throwIf(length(env) != 4 * steps_count, 'runbus: steps.env does not hold count values'),
            throwIf(length(episode) != 8 * steps_count, 'runbus: steps.episode does not hold count values'),
            throwIf(length(step) != 4 * steps_count, 'runbus: steps.step does not hold count values'),
            throwIf(NOT has([0, 8 * steps_count], length(tick)), 'runbus: steps.tick holds neither 0 nor count values'),
            throwIf(length(ts) != 8 * steps_count, 'runbus: steps.ts does not hold count values'),
            throwIf(length(reward) != 8 * steps_count, 'runbus: steps.reward does not hold count values'),
            throwIf(length(terminated) != steps_count, 'runbus: steps.terminated does not hold count values'),
            throwIf(length(truncated) != steps_count, 'runbus: steps.truncated does not hold count values'),
            throwIf(NOT has([0, 8 * steps_count], length(seed)), 'runbus: steps.seed holds neither 0 nor count values'),
            throwIf(NOT has([0, steps_count], length(info)), 'runbus: steps.info has neither 0 nor count entries'),
            throwIf(notEmpty(trimBoth(terminated, '\0\x01')), 'runbus: steps.terminated has a value that is neither 0 nor 1'),
            throwIf(notEmpty(trimBoth(truncated, '\0\x01')), 'runbus: steps.truncated has a value that is neither 0 nor 1'),
            throwIf(length(extras) > 65536, 'runbus: steps.extras has more than 65536 names'),
            throwIf(
                arrayExists(
                    x -> length(x.rows) % 4 != 0 OR length(x.values) != 2 * length(x.rows),
                    extras
                ),
                'runbus: steps.extras has rows and values of different lengths'
            ),
            throwIf(
                arrayExists(r -> arrayExists(d -> d < 0, arrayPopFront(arrayDifference(r))), extras_rows),
                'runbus: steps.extras has rows that do not ascend'
            ),
            throwIf(
                arrayExists(r -> toInt64(r[-1]) >= steps_count, extras_rows),
                'runbus: steps.extras has a row that is not below count'
            ),
            throwIf(
                length(arrayDistinct(extras.name)) != length(extras),
                'runbus: steps.extras has the same name twice'
            ),
            throwIf(NOT has([0, steps_count], length(absent)), 'runbus: steps.absent holds neither 0 nor count values'),
            throwIf(notEmpty(trimBoth(absent, '\0\x01\x02\x03')), 'runbus: steps.absent has a value that is not 0 to 3'),
            throwIf(NOT has([0, steps_count], length(kind)), 'runbus: steps.kind holds neither 0 nor count values'),
            throwIf(NOT has([0, steps_count], length(status)), 'runbus: steps.status holds neither 0 nor count values'),
            throwIf(NOT has([0, 8 * steps_count], length(parent)), 'runbus: steps.parent holds neither 0 nor count values'),
            throwIf(NOT has([0, steps_count], length(large_seeds)), 'runbus: steps.large_seeds has neither 0 nor count entries'),
            throwIf(
                arrayExists(x -> NOT match(x, '^(-?[0-9]+|-?0x[0-9a-f]+|)$'), large_seeds),
                'runbus: steps.large_seeds has a text that is no whole number'
            ),
            throwIf(NOT has([0, steps_count], length(stop)), 'runbus: steps.stop has neither 0 nor count entries'),
            throwIf(arrayExists(x -> NOT isValidUTF8(x), stop), 'runbus: steps.stop is not UTF-8'),
            throwIf(length(labels) > 65536, 'runbus: steps.labels has more than 65536 names'),
            throwIf(
                arrayExists(x -> length(x.rows) != 4 * length(x.values), labels),
                'runbus: steps.labels has rows and values of different lengths'
            ),
            throwIf(
                arrayExists(r -> arrayExists(d -> d <= 0, arrayPopFront(arrayDifference(r))), labels_rows),
                'runbus: steps.labels has rows that do not ascend'
            ),
            throwIf(
                arrayExists(r -> toInt64(r[-1]) >= steps_count, labels_rows),
                'runbus: steps.labels has a row that is not below count'
            ),
            throwIf(
                length(arrayDistinct(labels.name)) != length(labels),
                'runbus: steps.labels has the same name twice'
            ),
            throwIf(
                arrayExists(x -> NOT isValidUTF8(x), arrayConcat(labels.name, arrayFlatten(labels.values))),
                'runbus: steps.labels has a text that is not UTF-8'
            ),
            -- action: dtype known, shape and width agree with it, and the column holds count values of that width
            throwIf(action_kind = 'unknown', 'runbus: steps.action_dtype is not a known layout'),
            throwIf(
                arrayExists(x -> x < 0, if(action_kind = 'ragged', arrayPopFront(action_shape), action_shape)),
                'runbus: steps.action_shape has a negative length'
            ),
            throwIf(action_kind = 'ragged' AND has(action_shape, 0), 'runbus: steps.action_shape is of items that take no bytes'),
            throwIf(
                action_item > 0 AND arrayExists(x -> x % greatest(action_item, 1) != 0, action_lengths),
                'runbus: steps.action has a value that is no whole number of items'
            ),
            throwIf(length(action_shape) > 64, 'runbus: steps.action_shape has more than 64 lengths'),
            throwIf(
                action_kind NOT IN ('plain', 'ragged') AND notEmpty(action_shape),
                'runbus: steps.action_shape is not empty, and no array has that dtype'
            ),
            throwIf(
                action_width != multiIf(
                    action_omitted OR has(action_shape, 0), 0,
                    -- as floats: a product of integers wraps around
                    action_kind = 'plain', action_itemsize * arrayProduct(arrayPushBack(CAST(action_shape AS Array(Float64)), 1)),
                    action_kind IN ('variable', 'ragged'), -1,
                    action_kind = 'struct', greatest(action_width, -1),
                    0
                ),
                'runbus: steps.action_width contradicts its dtype and shape'
            ),
            throwIf(
                length(action) != if(
                    action_width < 0,
                    4 * steps_count + arraySum(action_lengths),
                    toInt64(action_width) * steps_count
                ),
                'runbus: steps.action does not hold count values'
            ),
            -- observation: dtype known, shape and width agree with it, and the column holds count values of that width
            throwIf(observation_kind = 'unknown', 'runbus: steps.observation_dtype is not a known layout'),
            throwIf(
                arrayExists(x -> x < 0, if(observation_kind = 'ragged', arrayPopFront(observation_shape), observation_shape)),
                'runbus: steps.observation_shape has a negative length'
            ),
            throwIf(observation_kind = 'ragged' AND has(observation_shape, 0), 'runbus: steps.observation_shape is of items that take no bytes'),
            throwIf(
                observation_item > 0 AND arrayExists(x -> x % greatest(observation_item, 1) != 0, observation_lengths),
                'runbus: steps.observation has a value that is no whole number of items'
            ),
            throwIf(length(observation_shape) > 64, 'runbus: steps.observation_shape has more than 64 lengths'),
            throwIf(
                observation_kind NOT IN ('plain', 'ragged') AND notEmpty(observation_shape),
                'runbus: steps.observation_shape is not empty, and no array has that dtype'
            ),
            throwIf(
                observation_width != multiIf(
                    observation_omitted OR has(observation_shape, 0), 0,
                    -- as floats: a product of integers wraps around
                    observation_kind = 'plain', observation_itemsize * arrayProduct(arrayPushBack(CAST(observation_shape AS Array(Float64)), 1)),
                    observation_kind IN ('variable', 'ragged'), -1,
                    observation_kind = 'struct', greatest(observation_width, -1),
                    0
                ),
                'runbus: steps.observation_width contradicts its dtype and shape'
            ),
            throwIf(
                length(observation) != if(
                    observation_width < 0,
                    4 * steps_count + arraySum(observation_lengths),
                    toInt64(observation_width) * steps_count
                ),
                'runbus: steps.observation does not hold count values'
            )
        ], 1)
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
    v_absent AS s_absent,
    v_kind AS s_kind,
    v_status AS s_status,
    v_parent AS s_parent,
    v_seed_large AS s_seed_large,
    v_stop AS s_stop,
    v_labels AS s_labels,
    v_action AS s_action,
    v_observation AS s_observation;
