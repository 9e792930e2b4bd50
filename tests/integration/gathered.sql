-- Statements over several shards of gather_schema.py, each under its name; an empty line ends it.

-- aggregates over everything
SELECT string_agg(name, ',' ORDER BY name), array_agg(mood ORDER BY id) FROM customers

-- distinct aggregates
SELECT count(DISTINCT region), count(DISTINCT mood) FROM customers

-- ordered sets
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY product) FROM orders

-- an aggregate of somebody's own
SELECT product(total::float8) FROM orders WHERE total BETWEEN 1 AND 100

-- a function of somebody's own
SELECT doubled(total) FROM orders WHERE total > 300 ORDER BY 1

-- filters
SELECT region, count(*) FILTER (WHERE mood = 'sad') FROM customers GROUP BY region HAVING count(*) > 3 ORDER
BY region

-- grouping sets
SELECT region, mood, count(*), grouping(region, mood) FROM customers GROUP BY ROLLUP (region, mood) ORDER BY
1, 2, 4

-- cube
SELECT region, product, sum(total) FROM orders JOIN customers c ON c.id = customer_id GROUP BY CUBE (region,
product) ORDER BY 1, 2, 3

-- windows
SELECT name, rank() OVER (ORDER BY name COLLATE "C"), lag(name) OVER (ORDER BY id) FROM customers ORDER BY id

-- sets
SELECT region FROM customers EXCEPT SELECT 'north' UNION ALL SELECT note FROM orders ORDER BY 1

-- intersect
SELECT product FROM orders INTERSECT SELECT id FROM products ORDER BY 1

-- joins off the key
SELECT a.name, b.name FROM customers a JOIN customers b ON lower(a.name) = lower(b.name) AND a.id < b.id ORDER
BY 1, 2

-- a self join
SELECT c.name, b.name AS boss FROM customers c LEFT JOIN customers b ON b.id = c.boss ORDER BY c.id

-- a full join
SELECT o.id, p.name FROM orders o FULL JOIN products p ON p.id = o.product + 1 ORDER BY 1, 2

-- natural
SELECT count(*) FROM customers NATURAL JOIN (SELECT id, name FROM customers) x

-- using
SELECT id, p.name FROM orders JOIN products p USING (id) ORDER BY 1, 2

-- a correlated subquery
SELECT name, (SELECT max(total) FROM orders o WHERE o.customer_id <> c.id) FROM customers c ORDER BY id

-- exists
SELECT name FROM customers c WHERE NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.boss) ORDER BY
name

-- in
SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE total > 100) ORDER BY id

-- an uncorrelated subquery
SELECT name FROM customers WHERE born > (SELECT min(born) FROM customers) ORDER BY born

-- any and all
SELECT id FROM orders WHERE total >= ALL (SELECT total FROM orders WHERE total IS NOT NULL)

-- a with list
WITH big AS (SELECT * FROM orders WHERE total > 50), x AS MATERIALIZED (SELECT * FROM big) SELECT count(*),
sum(b.total) FROM big b JOIN x ON x.product = b.product

-- recursion
WITH RECURSIVE up AS (SELECT id, boss, name, 0 AS depth FROM customers WHERE boss IS NULL UNION ALL SELECT
c.id, c.boss, c.name, depth + 1 FROM customers c JOIN up ON c.boss = up.id) SELECT * FROM up ORDER BY id

-- lateral
SELECT c.name, x.total FROM customers c, LATERAL (SELECT total FROM orders o WHERE o.product = c.id % 3 ORDER
BY total DESC NULLS LAST, o.customer_id LIMIT 1) x ORDER BY c.id

-- values
SELECT v.x, c.name FROM (VALUES ('north'), ('east')) v(x) LEFT JOIN customers c ON c.region = v.x ORDER BY 1,
2

-- a view
SELECT * FROM spent ORDER BY total NULLS FIRST, customer_id

-- a view on a view
SELECT name, total FROM public.big_spenders ORDER BY name

-- distinct on
SELECT DISTINCT ON (region) region, name FROM customers ORDER BY region, name COLLATE "C"

-- whole rows
SELECT row_to_json(o) FROM orders o WHERE o.total > 300 ORDER BY o.customer_id, o.id

-- qualified names
SELECT public.customers.name FROM public.customers ORDER BY public.customers.name COLLATE "C" DESC

-- a schema of its own
SELECT s.word, c.name FROM hidden.secrets s JOIN customers c ON c.boss = s.id ORDER BY c.id

-- home tables
SELECT n.body, c.name FROM notes n JOIN customers c ON c.id = n.customer_id ORDER BY n.id

-- home tables outside
SELECT c.name, n.body FROM customers c LEFT JOIN notes n ON n.customer_id = c.id ORDER BY c.id

-- reference tables
SELECT p.name, sum(o.total) FROM products p LEFT JOIN orders o ON o.product = p.id GROUP BY p.id ORDER BY p.id

-- functional dependency
SELECT c.id, c.name, sum(o.total) FROM customers c LEFT JOIN orders o ON o.customer_id = c.boss GROUP BY c.id
ORDER BY 1

-- types
SELECT DISTINCT tags, moods, (at).street, day, code FROM orders JOIN customers c ON c.id = customer_id ORDER
BY day, tags

-- enums in order
SELECT mood, count(*) FROM customers GROUP BY mood ORDER BY mood DESC NULLS LAST

-- the collation of the database
SELECT name FROM customers ORDER BY name, id

-- no rows
SELECT max(total) FROM orders WHERE note = 'nothing'

-- cases
SELECT CASE WHEN count(*) > 5 THEN 'many' ELSE 'few' END FROM customers, orders WHERE boss = customer_id

-- with ties
SELECT product FROM orders ORDER BY product FETCH FIRST 2 ROWS WITH TIES

-- limits
SELECT name FROM customers ORDER BY region DESC, name COLLATE "C" LIMIT 3 OFFSET 2
