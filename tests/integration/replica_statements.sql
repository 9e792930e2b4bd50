-- One statement a line. What begins with ! would succeed on a replica, and yet must not go there: it leaves something
-- behind, or tells of the server that it runs on.
-- plain reads
SELECT 1
SELECT * FROM customers
SELECT name FROM customers WHERE id = 7
SELECT count(*) FROM orders
SELECT DISTINCT region FROM customers ORDER BY 1
SELECT c.name, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 3
SELECT c.name, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) FROM customers c
SELECT * FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id)
SELECT * FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 50)
SELECT region, count(*) FROM customers GROUP BY region HAVING count(*) > 1
SELECT customer_id, sum(total) OVER (PARTITION BY customer_id ORDER BY id) FROM orders
SELECT id FROM customers UNION SELECT customer_id FROM orders
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders
SELECT id FROM customers INTERSECT ALL SELECT customer_id FROM orders
WITH big AS (SELECT * FROM orders WHERE total > 10) SELECT count(*) FROM big
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n
WITH c AS MATERIALIZED (SELECT * FROM customers) SELECT c.name FROM c LEFT JOIN orders o ON o.customer_id = c.id
SELECT * FROM customers LIMIT 5 OFFSET 2
SELECT * FROM customers ORDER BY name FETCH FIRST 3 ROWS WITH TIES
SELECT * FROM customers TABLESAMPLE SYSTEM (50)
SELECT * FROM customers c, LATERAL (SELECT * FROM orders o WHERE o.customer_id = c.id LIMIT 1) x
SELECT * FROM generate_series(1, 5) n
SELECT * FROM unnest(ARRAY[1, 2, 3]) WITH ORDINALITY
SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(3, 4)) AS r(a, b)
VALUES (1, 'a'), (2, 'b')
TABLE customers
SELECT * FROM ONLY customers
SELECT * FROM readings WHERE day = '2024-05-01'
SELECT * FROM readings_2024
SELECT id, grouping(region) FROM customers GROUP BY ROLLUP (region, id)
SELECT CASE WHEN id > 3 THEN 'a' ELSE 'b' END FROM customers
SELECT coalesce(name, 'none'), nullif(id, 3), greatest(id, 2) FROM customers
SELECT id::text, CAST(id AS int4) FROM customers
SELECT doc -> 'a', doc ->> 'a', doc @> '{"a": 1}' FROM orders
SELECT tags[1], tags || ARRAY['x'], 'a' = ANY (tags) FROM orders
SELECT now_is FROM moods WHERE now_is = 'happy'
SELECT now_is FROM moods WHERE now_is > 'sad'::mood
SELECT row_to_json(c) FROM customers c
SELECT json_agg(name), array_agg(id), string_agg(name, ',') FROM customers
SELECT json_build_object('a', id) FROM customers
SELECT jsonb_path_query(doc, '$.a') FROM orders
SELECT count(*) FILTER (WHERE total > 3), avg(total), stddev(total) FROM orders
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders
SELECT rank() OVER w, lag(total) OVER w FROM orders WINDOW w AS (ORDER BY id)
SELECT product(total) FROM orders WHERE id < 5
SELECT lower(name), upper(name), length(name), substr(name, 2), md5(name) FROM customers
SELECT to_char(at, 'YYYY'), date_trunc('day', at), extract(year FROM at), age(at) FROM orders
SELECT now(), current_timestamp, current_date, localtime, statement_timestamp(), transaction_timestamp()
SELECT current_user, session_user, current_database(), current_schema()
SELECT version()
SELECT current_setting('TimeZone')
SELECT to_tsvector('english', name) @@ to_tsquery('english', 'customer') FROM customers
SELECT regexp_replace(name, 'c', 'd'), name ~ '^c', name LIKE 'c%', name SIMILAR TO 'c%' FROM customers
SELECT format('%s', name), concat(name, id), quote_literal(name) FROM customers
SELECT encode(sha256(name::bytea), 'hex') FROM customers
SELECT int8range(1, 5) @> id FROM customers
SELECT point(1, 2) <-> point(3, 4)
SELECT inet '10.0.0.1' << inet '10.0.0.0/8'
SELECT interval '1 day' + at FROM orders
SELECT at AT TIME ZONE 'UTC' FROM orders
SELECT has_table_privilege('customers', 'SELECT')
SELECT 'customers'::regclass
SELECT pg_typeof(id) FROM customers
SELECT pg_column_size(name) FROM customers
SELECT random()
SELECT * FROM customers ORDER BY random() LIMIT 1
SELECT gen_random_uuid()
SELECT clock_timestamp(), timeofday()
SELECT pg_sleep(0)
SELECT pg_relation_size('customers'), pg_total_relation_size('orders'), pg_table_size('orders')
SELECT pg_database_size(current_database())
-- views, functions, policies
SELECT * FROM totals
SELECT * FROM of_views WHERE total > 3
SELECT * FROM regions
SELECT twice(id) FROM customers
SELECT total_of(3)
SELECT name_of(id) FROM customers
SELECT * FROM each_order(3)
SELECT name FROM customers c, each_order(c.id) o
SELECT * FROM guarded
SELECT * FROM customers WHERE id = twice(2)
-- EXPLAIN and COPY
EXPLAIN SELECT * FROM customers
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM customers
EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM customers
COPY customers TO STDOUT
COPY customers (id, name) TO STDOUT (FORMAT csv, HEADER)
COPY (SELECT * FROM customers WHERE id = 3) TO STDOUT
COPY (SELECT name FROM of_views) TO STDOUT (FORMAT binary)
COPY readings_2024 TO STDOUT
-- what PostgreSQL refuses in recovery
INSERT INTO customers VALUES (100, 'x')
INSERT INTO customers SELECT id + 1000, name FROM customers
INSERT INTO customers VALUES (101, 'x') ON CONFLICT DO NOTHING
INSERT INTO customers (id) VALUES (102) RETURNING *
INSERT INTO watched VALUES (1, 'x')
UPDATE customers SET name = 'y' WHERE id = 3
UPDATE customers SET name = o.status FROM orders o WHERE o.customer_id = customers.id
DELETE FROM customers WHERE id = 999
DELETE FROM customers USING orders WHERE orders.customer_id = customers.id AND orders.id = -1
MERGE INTO customers c USING orders o ON c.id = o.customer_id AND o.id = 1 WHEN MATCHED THEN UPDATE SET name = 'm'
WITH d AS (DELETE FROM customers WHERE id = 998 RETURNING *) SELECT * FROM d
WITH u AS (UPDATE customers SET name = name RETURNING id) SELECT count(*) FROM u
WITH i AS (INSERT INTO audit VALUES (7, 'x') RETURNING id) SELECT * FROM i JOIN customers USING (id)
WITH a AS (SELECT 1), d AS (DELETE FROM audit WHERE id = 97) SELECT * FROM a
SELECT * FROM customers FOR UPDATE
SELECT * FROM customers WHERE id = 3 FOR NO KEY UPDATE
SELECT * FROM customers FOR SHARE SKIP LOCKED
SELECT * FROM customers WHERE id = 3 FOR KEY SHARE NOWAIT
SELECT * FROM (SELECT * FROM customers FOR UPDATE) x
WITH c AS (SELECT * FROM customers FOR UPDATE) SELECT * FROM c
SELECT nextval('numbers')
SELECT setval('numbers', 100)
SELECT * FROM numbered
SELECT numbered_stably()
SELECT noted('x')
SELECT * FROM noted('x')
SELECT name FROM customers WHERE noted(name) = 'x'
SELECT id FROM customers ORDER BY noted(name)
SELECT CASE WHEN noted('a') = 'a' THEN 1 END
SELECT * FROM scratch
SELECT * FROM scratched
SELECT from_scratch()
SELECT * FROM mixed
SELECT c.name FROM customers c LEFT JOIN scratch s USING (id)
SELECT * FROM customers WHERE id IN (SELECT id FROM scratch)
SELECT txid_current()
SELECT pg_current_xact_id()
SELECT pg_notify('a', 'b')
SELECT lo_create(0)
SELECT pg_current_wal_lsn()
SELECT pg_switch_wal()
SELECT pg_create_restore_point('x')
SELECT * INTO copied FROM customers
CREATE TABLE made (id int8)
CREATE TABLE made_as AS SELECT * FROM customers
CREATE TEMP TABLE made_temp (id int8)
CREATE VIEW made_view AS SELECT 1 AS one
CREATE INDEX made_index ON customers (name)
CREATE FUNCTION made_function() RETURNS int LANGUAGE sql AS 'SELECT 1'
ALTER TABLE customers ADD COLUMN more int
DROP TABLE IF EXISTS nothing_like_it
TRUNCATE audit
COMMENT ON TABLE customers IS 'x'
GRANT SELECT ON customers TO PUBLIC
REFRESH MATERIALIZED VIEW regions
ANALYZE customers
VACUUM customers
REINDEX TABLE customers
CLUSTER customers USING customers_pkey
LOCK TABLE customers IN EXCLUSIVE MODE
CALL note_it('x')
DO $$ BEGIN INSERT INTO audit VALUES (4, 'do'); END $$
COPY customers FROM STDIN
NOTIFY a
LISTEN a
EXPLAIN ANALYZE INSERT INTO audit VALUES (5, 'x')
EXPLAIN ANALYZE DELETE FROM audit WHERE id = 96
PREPARE TRANSACTION 'x'
SECURITY LABEL ON TABLE customers IS 'x'
SELECT 1; INSERT INTO audit VALUES (6, 'x')
-- what does not parse, or names what is not there
SELEKT 1
SELECT FROM WHERE
SELECT * FROM not_there
SELECT not_there(1)
SELECT * FROM customers WHERE
-- what would succeed, and must not go there
! SELECT pg_advisory_lock(1)
! SELECT pg_try_advisory_lock(1)
! SELECT pg_advisory_unlock_all()
! SELECT pg_advisory_xact_lock(3)
! SELECT locked_stably(4)
! SELECT pg_is_in_recovery()
! SELECT pg_export_snapshot()
! SELECT pg_backend_pid()
! SELECT inet_server_port()
! SELECT pg_postmaster_start_time()
! SELECT pg_conf_load_time()
! SELECT pg_last_wal_replay_lsn()
! SELECT set_config('work_mem', '5MB', false)
! SELECT setseed(0.5)
! SELECT pg_cancel_backend(0)
! SELECT pg_stat_reset()
! SELECT pg_stat_get_numscans('customers'::regclass)
! SELECT pg_reload_conf()
! SELECT pg_current_snapshot()
! SELECT txid_current_if_assigned()
! SELECT * FROM pg_stat_activity
! SELECT * FROM pg_locks
! SELECT * FROM pg_settings
! SELECT * FROM pg_stat_user_tables
! SELECT * FROM pg_replication_slots
! SET work_mem = '4MB'
! RESET work_mem
! DISCARD ALL
! SHOW in_hot_standby
! SHOW transaction_read_only
! CHECKPOINT
! COPY customers TO '/dev/null'
! COPY customers TO PROGRAM 'true'
! LOAD 'plpgsql'
! SELECT 1; SELECT 2
! SELECT pg_read_file('PG_VERSION')
! SELECT pg_ls_dir('.')
! SELECT by_text('customers')
! SELECT pg_logical_emit_message(false, 'a', 'b') WHERE false
-- what a replica would answer as well, and which the primary answers, in doubt
SELECT harmless(3)
SELECT last_value FROM numbers
SELECT relname FROM pg_class
SELECT * FROM pg_catalog.pg_type
SELECT * FROM information_schema.tables
SELECT attname FROM pg_attribute WHERE attrelid = 'customers'::regclass
EXPLAIN INSERT INTO audit VALUES (1, 'x')
EXPLAIN UPDATE customers SET name = 'x'
SELECT query_to_xml('SELECT 1', true, true, '')
SHOW server_version
