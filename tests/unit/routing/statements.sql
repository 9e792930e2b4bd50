-- Statements of every kind, one a line, in the manner of PostgreSQL's regression tests; this line is one too.
SELECT 1
SELECT 1 AS one, 2 two, 'three' "Three"
SELECT abalance FROM pgbench_accounts WHERE aid = 12345;
UPDATE pgbench_accounts SET abalance = abalance + -4711 WHERE aid = 17;
UPDATE pgbench_tellers SET tbalance = tbalance + 12 WHERE tid = 3;
UPDATE pgbench_branches SET bbalance = bbalance + 4 WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, -4, CURRENT_TIMESTAMP);
SELECT c_discount, c_last, c_credit, w_tax FROM customer, warehouse WHERE w_id = 1 AND c_w_id = w_id AND c_d_id = 2 AND c_id = 3
SELECT d_next_o_id, d_tax FROM district WHERE d_w_id = 1 AND d_id = 2 FOR UPDATE
UPDATE stock SET s_quantity = 10, s_ytd = s_ytd + 5, s_order_cnt = s_order_cnt + 1 WHERE s_i_id = 7 AND s_w_id = 1
INSERT INTO order_line (ol_o_id, ol_number, ol_amount) VALUES (1, 1, 99.50), (1, 2, 0.01), (1, 3, 1e3)
SELECT count(DISTINCT (s_i_id)) FROM order_line, stock WHERE ol_w_id = 1 AND ol_o_id < 3010 AND ol_o_id >= 3010 - 20
SELECT * FROM t WHERE id = $1 AND name = $2
SELECT * FROM t WHERE id IN (1, 2, 3) OR id = ANY ('{4,5}'::int[]) OR id = ANY (ARRAY[6, 7])
SELECT * FROM t WHERE (a, b) IN ((1, 'x'), (2, 'y'))
SELECT * FROM t WHERE (a, b) = (1, 2) AND NOT c = 3
SELECT * FROM t WHERE id BETWEEN 1 AND 10 AND d NOT BETWEEN SYMMETRIC 2.5 AND 1.5
SELECT * FROM t WHERE name LIKE 'a%' ESCAPE '!' OR name ILIKE '%b' OR name SIMILAR TO '(a|b)%' ESCAPE '\'
SELECT * FROM t WHERE a IS NULL OR b IS NOT NULL OR c IS TRUE OR d IS DISTINCT FROM 4
SELECT DISTINCT ON (a, 2) a, b FROM t ORDER BY a, 2 DESC NULLS LAST LIMIT 10 OFFSET 20
SELECT a FROM t ORDER BY 1 USING > FETCH FIRST 5 ROWS WITH TIES
SELECT a FROM t FETCH NEXT ROW ONLY
SELECT a, sum(b) FROM t GROUP BY 1 HAVING sum(b) > 100
SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a), (b), ()), ROLLUP (a, b), CUBE (a)
SELECT sum(x) FILTER (WHERE y > 3) OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM t
SELECT rank() OVER w FROM t WINDOW w AS (PARTITION BY a ORDER BY b RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM t
SELECT string_agg(a, ',' ORDER BY b DESC) FROM t
SELECT * FROM a JOIN b USING (id) LEFT JOIN c ON c.id = b.id AND c.x = 5 CROSS JOIN d NATURAL JOIN e
SELECT * FROM a FULL OUTER JOIN b ON a.id = b.id RIGHT JOIN LATERAL (SELECT 1) x ON true
SELECT * FROM generate_series(1, 10, 2) WITH ORDINALITY AS g (n, o), unnest(ARRAY['a', 'b']) u
SELECT * FROM ROWS FROM (f(1), g('x')) AS r (a int, b text)
SELECT * FROM t TABLESAMPLE BERNOULLI (10.5) REPEATABLE (42)
SELECT * FROM ONLY t, t2 *, public.t3 AS x (a, b)
WITH x AS (SELECT 1 AS n), y (m) AS MATERIALIZED (SELECT n + 1 FROM x) SELECT * FROM x, y WHERE n < 10
WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 100) SELECT sum(n) FROM r
WITH RECURSIVE r AS (SELECT 1 AS id UNION SELECT id + 1 FROM r) SEARCH DEPTH FIRST BY id SET o CYCLE id SET c TO 'y' DEFAULT 'n' USING p SELECT 1
WITH d AS (DELETE FROM t WHERE id = 3 RETURNING *) INSERT INTO archive SELECT * FROM d
SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 EXCEPT ALL (SELECT 4 ORDER BY 1 LIMIT 1)
SELECT (SELECT max(x) FROM t WHERE y = o.y AND z = 1) FROM o WHERE EXISTS (SELECT 1 FROM p WHERE p.id = o.id)
SELECT * FROM t WHERE id NOT IN (SELECT id FROM u WHERE k = 'v') AND x > ALL (SELECT 5) AND y < SOME (VALUES (1), (2))
SELECT CASE WHEN a = 1 THEN 'one' WHEN a = 2 THEN 'two' ELSE 'many' END, CASE a WHEN 1 THEN 10 END FROM t
SELECT coalesce(a, 0), nullif(b, 1), greatest(1, 2, 3), least('a', 'b')
SELECT CAST(1 AS bigint), '2'::int, 3::numeric(10, 2), date '2020-01-01', int '4', float8 '1.5', char(3) 'abc'
SELECT interval '1 day', interval '1' day, interval '1-2' year to month, interval (3) '1.2345 second', interval '5' second (2)
SELECT timestamp '2020-01-01 00:00', timestamp (3) with time zone '2020-01-01', time '10:00', timetz '10:00+01'
SELECT x::float(5), x::float(30), CAST(x AS float (24)), x::bit(3), x::varchar(10)[], x::char, x::"char", x::time(3)
SELECT current_date, current_time(2), localtimestamp(0), current_user, session_user, current_catalog
SELECT extract(year FROM d), extract('epoch' FROM now()), position('a' IN 'banana'), substring('abc' FROM 2 FOR 1)
SELECT trim(both 'x' from 'xax'), trim(leading from ' a'), overlay('abc' placing 'X' from 2), substring('abc' similar 'a#"b#"c' escape '#')
SELECT d AT TIME ZONE 'UTC', d AT LOCAL, x COLLATE "C" < 'y' COLLATE pg_catalog."de_DE"
SELECT ARRAY[1, 2, 3], ARRAY[[1], [2]], '{1,2}'::int[], a[1], a[1:2], a[:2], a[2:], a[:], (f(x)).y, (r).*, ROW(1, 'a'), ROW()
SELECT -1, +2, - 3.5, -(4), - -5, 2 - -1, 2--1
SELECT 1+1, 1-1, 2*3, 4/2, 5%3, 2^10, |/ 25, ||/ 27, @ -5, 91 & 15, 32 | 3, 17 # 5, ~1, 1 << 4, 8 >> 2, 3 !~ 'x'
SELECT a <> b, a != b, a <= 1, a >= 2, f(a => 3)
SELECT '{"a":1}'::jsonb -> 'a', j ->> 'b', j #> '{a,b}', j #>> '{a}', j @> '{"x":2}', j ? 'k', j ?| ARRAY['a'], j ?& ARRAY['b'], j @? '$.a', j @@ '$.b > 1', j - 'c', j #- '{d}'
SELECT 5 OPERATOR(pg_catalog.+) 6, 'a' ~~ 'b', 'c' ~* 'd', 'e' !~~* 'f', -1 OPERATOR(@-@) 2
SELECT 0x1F, 0XaB, 0o17, 0B101, 1_000, 1_2.3_4, .5, 5., 1e5, 1E+5, 1.5e-3, .5e1, 0, 00012, 99999999999, 2147483648
SELECT E'a\nb', e'it\'s', E'\x41', E'\101', E'\u0041', E'\U00000041', E'\\', E''
SELECT U&'d\0061t\+000061', u&'x!0041' UESCAPE '!', U&"d\0061ta", U&"a!0062" UESCAPE '!' FROM t
SELECT B'101', b'', X'1FF', x'ab', N'national', n'x'
SELECT $$dollar$$, $tag$with $$ inside$tag$, $_a1$x$_a1$, $$it's$$, $ä$x$ä$
SELECT 'it''s', '', '''', 'a"b', 'c\d', 'line' FROM "Quoted ""Name"""
SELECT a$b, _x, é, "é", A.B.C, t."select", "T".* FROM "Schema"."Table"
SELECT /* one */ 1 /* two /* nested */ still */ + 2 -- end
SELECT 1 -- trailing comment
/* leading */ SELECT 1
-- only a comment
/* trunkline: shard=s1 */ SELECT * FROM t
SELECT 1; SELECT 2; ; SELECT 'x';
SELECT json_build_object('a', 1, 'b', true), jsonb_path_query('{}', '$.a[*] ? (@ > 1)')
SELECT json_query(j, '$.a' RETURNING int DEFAULT 5 ON ERROR), json_value(j, '$' PASSING 1 AS x), json_exists(j, '$.z')
SELECT * FROM json_table('[1]', '$[*]' COLUMNS (id FOR ORDINALITY, a int PATH '$.a', b text EXISTS PATH '$.b')) jt
SELECT json_object('a': 1, 'b': 2 ABSENT ON NULL), json_array(1, 'x', NULL), JSON('{}'), json_scalar(5)
SELECT xmlelement(name a, xmlattributes('b' AS c), 'd'), xmlparse(document '<a/>'), xmlforest(1 AS x), xmlpi(name p, 'q')
SELECT x IS JSON OBJECT, y IS NOT DOCUMENT, 'a' IS NORMALIZED, normalize('a', nfc)
SELECT f(a => 1, b := 'two', VARIADIC ARRAY[3]), g(DISTINCT 4), h(ALL 5), count(*), pg_catalog.lower('X')
SELECT * INTO TEMP new_t FROM t WHERE a = 5
SELECT * FROM t FOR UPDATE OF t NOWAIT FOR SHARE SKIP LOCKED
SELECT true, false, NULL, 'yes'::bool, unknown 'x', DEFAULT FROM t
SELECT oid::regclass, 'pg_class'::regclass, 'a.b'::regtype, '1'::xid
SELECT a, b FROM t WHERE ctid = '(0,1)' AND tableoid = 't'::regclass
SELECT point '(1,2)', box '((0,0),(1,1))', '(1,2)'::point <-> '(3,4)', inet '10.0.0.1/8' << '10.0.0.0/8', '[1,5)'::int4range @> 3
SELECT ts @@ to_tsquery('english', 'a & b'), 'a b' ::tsvector, phraseto_tsquery('x') <-> 'y'
SELECT uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\xdeadbeef'::bytea, money '1.50'
SELECT WHERE 1 = 1
SELECT ALL a FROM t
TABLE t
TABLE public.t LIMIT 3
VALUES (1, 'one'), (2, 'two') ORDER BY 1 LIMIT 1
(SELECT 1)
((SELECT 1) UNION (SELECT 2)) ORDER BY 1
INSERT INTO t DEFAULT VALUES
INSERT INTO t (a, b) VALUES (1, DEFAULT), (-2, 'x') RETURNING a, b + 1 AS c
INSERT INTO t AS x (a) SELECT 1 ON CONFLICT (a) WHERE a > 0 DO UPDATE SET a = excluded.a + 1 WHERE x.a < 10
INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING
INSERT INTO t (a[1], b.c) OVERRIDING SYSTEM VALUE VALUES (1, 2)
INSERT INTO t (id, name, price, made) VALUES (42, 'a name', 9.99, '2024-05-06 07:08:09+00')
UPDATE t SET a = 1, (b, c) = (2, 'three'), (d) = ROW (4), (e, f) = (SELECT 5, 6) WHERE g = 7 RETURNING *
UPDATE ONLY t AS x SET a[2] = 5, b.c = DEFAULT FROM u WHERE x.id = u.id AND u.k = 'key'
UPDATE t SET a = 1 WHERE CURRENT OF c1
DELETE FROM t WHERE id = 42
DELETE FROM t USING u, v WHERE t.id = u.id AND v.x = 1 RETURNING t.*
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.x > 5 THEN UPDATE SET x = 1 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, x) VALUES (1, 'new')
MERGE INTO t USING (VALUES (1, 'a')) s (id, x) ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DO NOTHING
TRUNCATE t, u RESTART IDENTITY CASCADE
COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'none')
COPY t TO STDOUT
COPY (SELECT * FROM t WHERE a = 5) TO STDOUT (FORMAT binary)
COPY t FROM '/tmp/file' DELIMITER '|' CSV QUOTE '"'
COPY t FROM PROGRAM 'cat' WHERE a > 1
BEGIN
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE
START TRANSACTION READ WRITE
COMMIT AND CHAIN
ROLLBACK TO SAVEPOINT s1
SAVEPOINT "S 1"
RELEASE s1
PREPARE TRANSACTION 'gid'
COMMIT PREPARED 'gid'
ROLLBACK PREPARED 'it''s'
SET search_path = public, "My Schema", 'third'
SET LOCAL work_mem TO '64MB'
SET statement_timeout = 1000
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED
SET TIME ZONE 'Europe/Berlin'
SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE
SET TIME ZONE -7.5
SET NAMES 'UTF8'
SET SCHEMA 'x'
SET ROLE NONE
SET SESSION AUTHORIZATION 'bob'
SET x.y = 1.5, 'two', three
SET XML OPTION DOCUMENT
SET CONSTRAINTS ALL DEFERRED
SHOW search_path
SHOW TIME ZONE
RESET ALL
DISCARD TEMP
PREPARE p (int, text) AS SELECT $1, $2, 3
EXECUTE p (1, 'a')
DEALLOCATE ALL
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM t WHERE a = 1
FETCH 5 FROM c
FETCH BACKWARD -3 IN c
FETCH ABSOLUTE 7 c
MOVE FORWARD ALL FROM c
CLOSE c
LISTEN channel
NOTIFY channel, 'payload'
UNLISTEN *
LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT
EXPLAIN SELECT * FROM t WHERE a = 1
EXPLAIN (ANALYZE, BUFFERS false, FORMAT json) UPDATE t SET a = 2
EXPLAIN ANALYZE VERBOSE SELECT 1
DO $$ BEGIN PERFORM 1; END $$
DO LANGUAGE plpgsql 'BEGIN END'
CALL p(1, 'x', NULL)
LOAD 'library'
CHECKPOINT
VACUUM (FULL, ANALYZE, PARALLEL 2) t (a, b)
ANALYZE VERBOSE t
REINDEX (CONCURRENTLY) TABLE t
CLUSTER t USING i
REFRESH MATERIALIZED VIEW CONCURRENTLY mv WITH NO DATA
CREATE TABLE t (id bigint PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', price numeric(10,2) CHECK (price > 0), tags text[3], f float(10))
CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5), b int GENERATED ALWAYS AS (a * 2) STORED)
CREATE TABLE t (a int REFERENCES u (id) ON DELETE CASCADE, UNIQUE NULLS NOT DISTINCT (a), EXCLUDE USING gist (r WITH &&)) WITH (fillfactor = 70)
CREATE TABLE p (a int, b text) PARTITION BY RANGE (a, lower(b))
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1, MINVALUE) TO (10, MAXVALUE)
CREATE TABLE p2 PARTITION OF p FOR VALUES IN ('a', 'b', NULL)
CREATE TABLE p3 PARTITION OF p FOR VALUES WITH (MODULUS 4, REMAINDER 3)
CREATE TABLE p4 PARTITION OF p DEFAULT
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS a WITH NO DATA
CREATE UNLOGGED TABLE IF NOT EXISTS t (LIKE u INCLUDING ALL) INHERITS (v) TABLESPACE ts
CREATE UNIQUE INDEX CONCURRENTLY i ON t USING btree (lower(a) COLLATE "C" text_pattern_ops DESC NULLS FIRST) INCLUDE (b) WHERE c = 'x'
CREATE VIEW v (a, b) AS SELECT 1, 'two' FROM t WHERE x = 3 WITH LOCAL CHECK OPTION
CREATE OR REPLACE RECURSIVE VIEW v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 5
CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t
CREATE SEQUENCE s INCREMENT -1 MINVALUE -100 MAXVALUE 100 START 5 CACHE 20 CYCLE OWNED BY t.a
CREATE SCHEMA s AUTHORIZATION bob CREATE TABLE t (a int)
CREATE FUNCTION f(a int DEFAULT 5, OUT b text, VARIADIC c numeric[]) RETURNS record LANGUAGE sql IMMUTABLE COST 10 AS $$ SELECT 1 $$
CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'file', 'symbol' SET search_path TO 'x'
CREATE FUNCTION f(x int) RETURNS int RETURN x + 1
CREATE FUNCTION f() RETURNS SETOF t BEGIN ATOMIC SELECT * FROM t WHERE a = 1; END
CREATE PROCEDURE p(INOUT a int) AS 'SELECT 1' LANGUAGE 'sql'
CREATE TRIGGER tr BEFORE INSERT OR UPDATE OF a ON t FOR EACH ROW WHEN (NEW.a > 5) EXECUTE FUNCTION f('arg', 2)
CREATE RULE r AS ON INSERT TO v WHERE NEW.a = 1 DO INSTEAD (INSERT INTO t VALUES (1); NOTIFY x)
CREATE TYPE e AS ENUM ('a', 'b', 'c')
CREATE TYPE c AS (a int, b varchar(5))
CREATE TYPE r AS RANGE (subtype = float8, subtype_diff = float8mi)
CREATE DOMAIN d AS int DEFAULT 1 CHECK (VALUE BETWEEN 1 AND 10)
CREATE EXTENSION IF NOT EXISTS x VERSION '1.0'
CREATE ROLE bob LOGIN PASSWORD 'secret' CONNECTION LIMIT 5 VALID UNTIL '2030-01-01'
CREATE DATABASE d ENCODING 'UTF8' TEMPLATE template0 CONNECTION LIMIT 10
CREATE POLICY p ON t FOR SELECT USING (owner = current_user AND x = 1)
CREATE PUBLICATION p FOR TABLE t (a, b) WHERE (a > 5), TABLES IN SCHEMA s
CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (copy_data = false)
CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', port '5432')
CREATE FOREIGN TABLE t (a int OPTIONS (column_name 'b')) SERVER s
CREATE AGGREGATE a (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = ===)
CREATE CAST (int AS text) WITH FUNCTION f(int) AS IMPLICIT
CREATE COLLATION c (provider = icu, locale = 'de-u-co-phonebk')
CREATE STATISTICS s (ndistinct) ON a, b FROM t
CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION f()
CREATE TABLESPACE ts LOCATION '/data'
CREATE TEXT SEARCH CONFIGURATION c (COPY = english)
ALTER TABLE t ADD COLUMN c int DEFAULT 5, DROP COLUMN d CASCADE, ALTER e TYPE numeric(5) USING e::numeric, ALTER f SET STATISTICS 100
ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID, ENABLE ROW LEVEL SECURITY, SET (fillfactor = 50)
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM ('a') TO ('b')
ALTER TABLE t RENAME a TO "B"
ALTER SEQUENCE s RESTART WITH 100
ALTER TYPE e ADD VALUE IF NOT EXISTS 'd' AFTER 'c'
ALTER TYPE e RENAME VALUE 'a' TO 'z'
ALTER ROLE bob SET work_mem = '1GB'
ALTER DATABASE d SET x TO 5
ALTER SYSTEM SET max_connections = 50
ALTER FUNCTION f(int) OWNER TO bob
ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO bob
DROP TABLE IF EXISTS a, b.c CASCADE
DROP FUNCTION f(int, text)
DROP OPERATOR @@ (int, NONE)
GRANT SELECT (a), UPDATE ON t TO bob WITH GRANT OPTION
REVOKE ALL ON SCHEMA s FROM PUBLIC
COMMENT ON TABLE t IS 'a comment'
COMMENT ON COLUMN t.a IS NULL
SECURITY LABEL ON TABLE t IS 'label'
IMPORT FOREIGN SCHEMA s LIMIT TO (a) FROM SERVER x INTO y
REASSIGN OWNED BY a TO b
SELECT set_config('a.b', 'c', false), pg_advisory_lock(1, 2), nextval('s')
SELECT a.*, b.x FROM a, b WHERE a.id = b.id AND a.id = 5 AND (b.y = 'x' OR b.y IS NULL) ORDER BY b.x DESC LIMIT 1
SELECT tbl."Col" , t.é FROM "T a b" tbl WHERE "x""y" = 'a''b'
SELECT 'first' --comment
select   LOWER ( 'MixedCase' )  ,  "MixedCase"  From   T  wHERE  X=1 and(Y)=2
select a from t where a=-1 and b=+1 and c=- 1 and d>-1 and e<-2 and f<>-3 and g!=-4
select a*-1, a/-2, a^-3, a%-4, a||-5, a@-6, a~-7, a|-8, a#-9, a&-1, a?-1
select a--b
select 1/*x*/+/*y*/2
select a<@b, a@>b, a&&b, a-|-b, a&<b, a|>>b, a<<|b, a?#b, a?-b, a?|b, a?-|b, a?||b, a~=b, a##b
select 1.e5, 1., .6 x, t.a
select $1::int+$2, $3, $10, $1a
select x from t where x = any(array[$1,$2,3]) and y=$3::text
select 'a'::text||'b', 'a'::"char", ('x')::varchar(5)
SELECT * FROM "events" WHERE "events"."region" = 'eu' AND "events"."id" = 77 ORDER BY "events"."id" ASC LIMIT 1
SELECT "shop_order"."id", "shop_order"."total" FROM "shop_order" WHERE ("shop_order"."customer_id" = 5 AND "shop_order"."status" IN ('new', 'paid')) LIMIT 21
SELECT users.id AS users_id, users.name AS users_name FROM users WHERE users.id = 7
INSERT INTO users (name, fullname) VALUES ('a', 'b'), ('c', 'd'), ('e', 'f') RETURNING users.id
SELECT pg_catalog.pg_is_in_recovery(), n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' ORDER BY 1
SELECT typname::text FROM pg_type WHERE oid IN (16, 17, 1043) AND typtype = 'b'::"char"
SELECT a FROM t WHERE b = 'x' AND c = 0.5 AND d = 1e10 AND e = B'1' AND f = X'F' AND g = $$x$$
