-- Who runs `runbus migrate`: everything inside of the database, nothing outside of it, no users.
-- The landing views work with the rights of who created them (SQL SECURITY DEFINER), so keep its SELECT and INSERT.
CREATE ROLE IF NOT EXISTS `{database}_migrator`;
GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, OPTIMIZE
    ON `{database}`.* TO `{database}_migrator`;
