-- As soon as a team has a row policy, a server may hide the rows of that table from everybody without one
-- (users_without_row_policies_can_read_rows). These roles see all rows, whatever the server is set to.
CREATE ROW POLICY OR REPLACE `{database}_all` ON `{database}`.steps USING 1
    TO `{database}_migrator`, `{database}_writer`, `{database}_reader`, `{database}_dashboard`;
CREATE ROW POLICY OR REPLACE `{database}_all` ON `{database}`.runs USING 1
    TO `{database}_migrator`, `{database}_writer`, `{database}_reader`, `{database}_dashboard`;
CREATE ROW POLICY OR REPLACE `{database}_all` ON `{database}`.episodes USING 1
    TO `{database}_migrator`, `{database}_writer`, `{database}_reader`, `{database}_dashboard`;
CREATE ROW POLICY OR REPLACE `{database}_all` ON `{database}`.metrics USING 1
    TO `{database}_migrator`, `{database}_writer`, `{database}_reader`, `{database}_dashboard`;
CREATE ROW POLICY OR REPLACE `{database}_all` ON `{database}`.annotations USING 1
    TO `{database}_migrator`, `{database}_writer`, `{database}_reader`, `{database}_dashboard`;
