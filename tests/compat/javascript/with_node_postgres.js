// node-postgres: clients, named statements, cursors, COPY streams, cancelling, notifications and its pool.
'use strict'

const { once } = require('node:events')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const pg = require('pg')
const Cursor = require('pg-cursor')
const copy = require('pg-copy-streams')
const { UNICODE, atOnce, canceling, expecting, print, run, step } = require('./steps')

async function connect(options = {}) {
  const client = new pg.Client(options)
  await client.connect()
  return client
}

async function withClient(work, options) {
  const client = await connect(options)
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

async function fetch(client, sql, values) {
  return (await client.query({ text: sql, values, rowMode: 'array' })).rows
}

step('connects', () =>
  withClient(
    async (client) => {
      for (const name of ['statement_timeout', 'lock_timeout', 'application_name', 'TimeZone', 'search_path']) {
        print(name, await fetch(client, `SHOW ${name}`))
      }
    },
    { application_name: 'compat', statement_timeout: 12345, options: '-c lock_timeout=3210 -c timezone=Asia/Tokyo' },
  ),
)

step('refuses', async () => {
  await expecting(() => connect({ password: 'not this one' }))
  await expecting(() => connect({ database: 'no such database' }), (error) => error.code)
})

step('simple', () =>
  withClient(async (client) => {
    print(await fetch(client, "SELECT 1, 'two', 3.5::float8, NULL, true, ARRAY[1, 2], '{\"a\": 1}'::jsonb"))
    const results = await client.query('SELECT 1 AS one; CREATE TABLE pages (n int); INSERT INTO pages VALUES (1), (2)')
    print(results.map((result) => [result.command, result.rowCount, result.rows]))
    print((await client.query('')).rows, await fetch(client, 'SELECT $1::int + 1, $2::text', [1, 'é']))
    print((await client.query('SELECT n AS number FROM pages ORDER BY n')).fields.map((field) => field.name))
  }),
)

step('prepared_and_reused', () =>
  withClient(async (one) => {
    const two = await connect()
    for (let number = 0; number < 10; number++) {
      const increment = { name: 'increment', text: 'SELECT $1::int + 1 AS n', values: [number] }
      const double = { name: 'increment', text: 'SELECT $1::int * 2 AS n', values: [number] }
      print((await one.query(increment)).rows, (await two.query(double)).rows)
    }
    await two.end()
    await expecting(() => one.query({ name: 'increment', text: 'SELECT 2' }))
    await expecting(() => one.query({ name: 'broken', text: 'SELECT $1::int/0', values: [1] }))
    await expecting(() => one.query({ name: 'unparsed', text: 'SELEC 1' }))
    print((await one.query({ name: 'unparsed', text: 'SELECT 1 AS well_again' })).rows)
  }),
)

step('transactions', () =>
  withClient(async (client) => {
    await client.query('CREATE TABLE numbers (n int PRIMARY KEY)')
    await client.query('BEGIN')
    await client.query('INSERT INTO numbers VALUES ($1)', [1])
    await client.query('ROLLBACK')
    await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE')
    await client.query('INSERT INTO numbers VALUES ($1)', [2])
    await client.query('SAVEPOINT here')
    await expecting(() => client.query('INSERT INTO numbers VALUES ($1)', [2]))
    await client.query('ROLLBACK TO here')
    print(await fetch(client, 'SHOW transaction_isolation'))
    await client.query('COMMIT')
    print(await fetch(client, 'SELECT * FROM numbers'))
  }),
)

step('errors_and_recovery', () =>
  withClient(async (client) => {
    for (const sql of ['SELECT 1/0', 'SELEC 1', 'SELECT * FROM nowhere', 'INSERT INTO numbers VALUES (2)']) {
      await expecting(() => client.query(sql))
      await expecting(() => client.query(`${sql} -- $1`.replace(' -- $1', ''), []))
      print(await fetch(client, "SELECT 'well again'"))
    }
    await client.query('BEGIN')
    await expecting(() => client.query('SELECT 1/$1::int', [0]))
    await expecting(() => client.query('SELECT 1'))
    print((await client.query('COMMIT')).command, await fetch(client, "SELECT 'well again'"))
    const failing = [client.query('SELECT 1/0'), client.query("SELECT 'queued behind it' AS said")]
    print((await Promise.allSettled(failing)).map((one) => (one.reason ? one.reason.code : one.value.rows)))
  }),
)

step('copies', () =>
  withClient(async (client) => {
    await client.query('CREATE TABLE lines (n int, word text)')
    const lines = Array.from({ length: 5000 }, (_, n) => `${n}\tword ${n} é\n`)
    const into = client.query(copy.from('COPY lines FROM STDIN'))
    await pipeline(Readable.from(lines), into)
    print(into.rowCount)
    let size = 0
    const out = client.query(copy.to('COPY (SELECT * FROM lines ORDER BY n) TO STDOUT'))
    for await (const chunk of out) size += chunk.length
    print(size, out.rowCount)
    await expecting(() => pipeline(Readable.from(['1\tone\nx\ttwo\n']), client.query(copy.from('COPY lines FROM STDIN'))))
    print(await fetch(client, 'SELECT count(*) FROM lines'))
  }),
)

step('cursors', () =>
  withClient(async (client) => {
    const cursor = client.query(new Cursor('SELECT generate_series(1, $1::int) AS n', [250]))
    const sizes = []
    for (let rows = await cursor.read(100); rows.length; rows = await cursor.read(100)) sizes.push(rows.length)
    await cursor.close()
    print(sizes)
    const left = client.query(new Cursor('SELECT generate_series(1, 1000) AS n'))
    print((await left.read(3)).map((row) => row.n))
    await left.close()
    print(await fetch(client, "SELECT 'after'"))
  }),
)

step('cancels', () =>
  withClient(async (client) => {
    const query = new pg.Query('SELECT pg_sleep(30)')
    const ended = new Promise((resolve, reject) => query.once('error', reject).once('end', resolve))
    client.query(query)
    await canceling(() => new pg.Client().cancel(client, query), ended)
    print(await fetch(client, "SELECT 'well again'"))
  }),
)

step('a_timeout_of_its_own', async () => {
  const client = await connect({ query_timeout: 300 })
  client.on('error', () => {})
  await expecting(() => client.query('SELECT pg_sleep(2)'), (error) => error.message)
  await client.end()
})

step('null_and_unicode', () =>
  withClient(async (client) => {
    for (const text of UNICODE) {
      const [[back, nothing, size]] = await fetch(client, 'SELECT $1::text, $2::text, octet_length($1)', [text, null])
      print(back === text, nothing, size)
    }
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
    print((await fetch(client, 'SELECT $1::bytea', [bytes]))[0][0].equals(bytes))
    print(await fetch(client, 'SELECT $1::jsonb, $2::int[]', [{ a: 'é' }, [1, null]]))
  }),
)

step('notices', () =>
  withClient(async (client) => {
    const heard = []
    client.on('notice', (notice) => heard.push([notice.severity, notice.message]))
    await client.query("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
    print(heard)
  }),
)

step('state_of_the_session', () =>
  withClient(async (one) => {
    const two = await connect()
    await one.query("SET lock_timeout = 4321; SET compat.mine = 'one'")
    await two.query("SET compat.mine = 'two'")
    for (let again = 0; again < 3; again++) {
      for (const client of [one, two]) print(await fetch(client, 'SHOW lock_timeout'), await fetch(client, 'SHOW compat.mine'))
    }
    await two.end()
    await one.query('CREATE TEMP TABLE passing (n int)')
    await one.query('INSERT INTO passing VALUES ($1)', [1])
    print(await fetch(one, 'SELECT * FROM passing'))
  }),
)

step('many_connections', () =>
  withClient(async (first) => {
    await first.query('CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)')
    const work = async (who) => {
      const client = await connect()
      await client.query('INSERT INTO counted VALUES ($1, 0)', [who])
      for (let number = 0; number < 10; number++) {
        await client.query('BEGIN')
        await client.query({ name: 'count', text: 'UPDATE counted SET times = times + 1 WHERE who = $1', values: [who] })
        await client.query('COMMIT')
        const text = `SELECT ${who} AS me, times FROM counted WHERE who = $1`
        const { rows } = await client.query({ name: 'look', text, values: [who] })
        if (rows[0].me !== who || rows[0].times !== number + 1) throw new Error(`wrong: ${JSON.stringify(rows)}`)
      }
      await client.end()
      return who
    }
    print(await atOnce(20, work), await fetch(first, 'SELECT count(*), sum(times) FROM counted'))
  }),
)

step('its_pool', async () => {
  const pool = new pg.Pool({ max: 8 })
  print(await atOnce(40, async (number) => (await pool.query('SELECT $1::int AS n', [number])).rows[0].n))
  const client = await pool.connect()
  client.release(true)
  print((await pool.query('SELECT 1 AS one')).rows)
  await pool.end()
})

step('notifications', () =>
  withClient(async (listener) => {
    const speaker = await connect()
    await listener.query('LISTEN news')
    const heard = []
    const all = new Promise((resolve) =>
      listener.on('notification', (message) => heard.push([message.channel, message.payload]) === 3 && resolve()),
    )
    for (let number = 0; number < 3; number++) await speaker.query("SELECT pg_notify('news', $1)", [`number ${number} é`])
    await Promise.race([all, once(AbortSignal.timeout(10000), 'abort')])
    print(heard)
    await speaker.end()
  }),
)

run('pg')
