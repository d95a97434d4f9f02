-- A team reads the runs whose id starts with its prefix, in the tables and through every view. heartbeats, dead_letters
-- and lost_ranges are of the installation, not of a run: a team does not see them.
CREATE ROLE IF NOT EXISTS `{database}_team_{team}`;
GRANT SELECT ON `{database}`.steps TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.runs TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.episodes TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.metrics TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.metrics_latest TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.scores TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.scored_episodes TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.episodes_latest TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.team_episodes TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.episode_check TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.episode_returns TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.stream_summary TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.run_summary TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.annotations TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.annotations_latest TO `{database}_team_{team}`;
GRANT SELECT ON `{database}`.artifacts TO `{database}_team_{team}`;
CREATE SETTINGS PROFILE OR REPLACE `{database}_team_{team}` SETTINGS
    readonly = 1,
    max_execution_time = 60,
    max_memory_usage = 4000000000,
    max_result_bytes = 1000000000
    TO `{database}_team_{team}`;
CREATE QUOTA OR REPLACE `{database}_team_{team}` KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 3000, execution_time = 600
    TO `{database}_team_{team}`;
CREATE ROW POLICY OR REPLACE `{database}_team_{team}` ON `{database}`.steps
    USING startsWith(run_id, {prefix}) TO `{database}_team_{team}`;
CREATE ROW POLICY OR REPLACE `{database}_team_{team}` ON `{database}`.runs
    USING startsWith(run_id, {prefix}) TO `{database}_team_{team}`;
CREATE ROW POLICY OR REPLACE `{database}_team_{team}` ON `{database}`.episodes
    USING startsWith(run_id, {prefix}) TO `{database}_team_{team}`;
CREATE ROW POLICY OR REPLACE `{database}_team_{team}` ON `{database}`.metrics
    USING startsWith(run_id, {prefix}) TO `{database}_team_{team}`;
CREATE ROW POLICY OR REPLACE `{database}_team_{team}` ON `{database}`.annotations
    USING startsWith(run_id, {prefix}) TO `{database}_team_{team}`;
