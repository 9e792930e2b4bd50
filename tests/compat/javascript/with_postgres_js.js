// postgres.js: tagged templates prepared by name, pipelined transactions, cursors, COPY, cancelling, listeners, its pool.
'use strict'

const { once } = require('node:events')
const { Readable } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const postgres = require('postgres')
const { UNICODE, atOnce, canceling, expecting, print, run, step } = require('./steps')

const connect = (options = {}) => postgres({ onnotice: () => {}, ...options })

async function using(options, work) {
  const sql = connect(options)
  try {
    await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

const values = (rows) => rows.map((row) => Object.values(row))

step('connects', () =>
  using({ connection: { application_name: 'compat', lock_timeout: 3210, TimeZone: 'Asia/Tokyo' } }, async (sql) => {
    for (const name of ['lock_timeout', 'application_name', 'TimeZone', 'search_path', 'client_encoding']) {
      print(name, values(await sql.unsafe(`SHOW ${name}`)))
    }
    print(sql.parameters.server_version, sql.parameters.TimeZone, sql.parameters.DateStyle)
  }),
)

step('refuses', async () => {
  await using({ password: 'not this one' }, (sql) => expecting(() => sql`SELECT 1`))
  await using({ database: 'no such database' }, (sql) => expecting(() => sql`SELECT 1`, (error) => error.code))
})

step('simple', () =>
  using({}, async (sql) => {
    print(values(await sql`SELECT 1, ${'two'}::text, ${3.5}::float8, ${null}::int, ${[1, 2]}::int[], ${sql.json({ a: 1 })}`))
    const results = await sql.unsafe('SELECT 1 AS one; CREATE TABLE pages (n int, word text); SELECT 2 AS two').simple()
    print(results.map((result) => [result.command, result]))
    const rows = [1, 2, 3].map((n) => ({ n, word: `é ${n}` }))
    print(await sql`INSERT INTO pages ${sql(rows)} RETURNING *`)
    print(await sql`SELECT ${sql(['n', 'word'])} FROM ${sql('pages')} WHERE n IN ${sql([1, 2])} ORDER BY n`)
    print((await sql`SELECT n FROM pages WHERE n = ${1}`.describe()).columns.map((column) => column.name))
  }),
)

step('prepared_and_reused', () =>
  using({ max: 3 }, async (sql) => {
    for (let number = 0; number < 10; number++) {
      print(values(await sql`SELECT ${number}::int + 1`), values(await sql`SELECT ${String(number)}::text || 'x'`))
    }
    print(await atOnce(30, async (number) => (await sql`SELECT ${number}::int AS n`)[0].n))
  }),
)

step('plans_that_ddl_changes', () =>
  using({ max: 1 }, async (sql) => {
    await sql`CREATE TABLE changing (n int)`
    print(await sql`SELECT * FROM changing`)
    await sql`ALTER TABLE changing ADD m text`
    await sql`INSERT INTO changing VALUES (1, 'one')`
    print(await sql`SELECT * FROM changing`)
  }),
)

step('transactions', () =>
  using({}, async (sql) => {
    await sql`CREATE TABLE numbers (n int PRIMARY KEY)`
    await expecting(
      () =>
        sql.begin(async (sql) => {
          await sql`INSERT INTO numbers VALUES (1)`
          throw new Error('the application fails')
        }),
    )
    await sql.begin('isolation level serializable', async (sql) => {
      print(values(await sql`SHOW transaction_isolation`))
      await sql`INSERT INTO numbers VALUES (2)`
      await expecting(() => sql.savepoint((sql) => sql`INSERT INTO numbers VALUES (2)`))
    })
    print(await sql.begin((sql) => [sql`INSERT INTO numbers VALUES (3)`, sql`SELECT count(*)::int FROM numbers`]))
    await sql.begin(async (sql) => {
      await sql`INSERT INTO numbers VALUES (20)`
      await sql.prepare(`${process.env.PGDATABASE} js`)
    })
    await sql.unsafe(`COMMIT PREPARED '${process.env.PGDATABASE} js'`)
    print(await sql`SELECT * FROM numbers ORDER BY n`)
  }),
)

step('errors_and_recovery', () =>
  using({}, async (sql) => {
    for (const text of ['SELECT 1/0', 'SELEC 1', 'SELECT * FROM nowhere', 'INSERT INTO numbers VALUES (2)']) {
      await expecting(() => sql.unsafe(text))
      await expecting(() => sql.unsafe(text).simple())
      print(values(await sql`SELECT 'well again'`))
    }
    await expecting(() => sql.begin((sql) => [sql`SELECT 1/0`, sql`SELECT 1`]))
    const together = [sql`SELECT 1/${0}::int`, sql`SELECT 'beside it' AS said`]
    print((await Promise.allSettled(together)).map((one) => (one.reason ? one.reason.code : one.value)))
  }),
)

step('copies', () =>
  using({}, async (sql) => {
    await sql`CREATE TABLE lines (n int, word text)`
    const lines = Array.from({ length: 5000 }, (_, n) => `${n}\tword ${n} é\n`)
    await pipeline(Readable.from(lines), await sql`COPY lines FROM STDIN`.writable())
    let size = 0
    const out = await sql`COPY (SELECT * FROM lines ORDER BY n) TO STDOUT`.readable()
    await once(out.on('data', (chunk) => (size += chunk.length)), 'end') // `for await` leaves this driver stuck
    print(size)
    print(await sql`SELECT count(*)::int FROM lines`)
  }),
)

step('cursors', () =>
  using({}, async (sql) => {
    const sizes = []
    for await (const rows of sql`SELECT generate_series(1, ${250}::int) AS n`.cursor(100)) sizes.push(rows.length)
    print(sizes)
    let seen = 0
    await sql`SELECT generate_series(1, 1000) AS n`.cursor(10, ([row]) => {
      seen = row.n
      return seen > 30 ? sql.CLOSE : undefined
    })
    await sql`SELECT generate_series(1, 50)`.forEach(() => seen++)
    print(seen, values(await sql`SELECT 'after'`))
  }),
)

step('cancels', () =>
  using({ max: 1 }, async (sql) => {
    const query = sql`SELECT pg_sleep(30)`
    await canceling(() => query.cancel(), query.execute())
    print(values(await sql`SELECT 'well again'`))
  }),
)

step('null_and_unicode', () =>
  using({}, async (sql) => {
    for (const text of UNICODE) {
      const [row] = await sql`SELECT ${text}::text AS back, ${null}::text AS nothing, octet_length(${text}) AS size`
      print(row.back === text, row.nothing, row.size)
    }
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
    print((await sql`SELECT ${bytes}::bytea AS back`)[0].back.equals(bytes))
  }),
)

step('notices', async () => {
  const heard = []
  await using({ onnotice: (notice) => heard.push([notice.severity, notice.message]) }, async (sql) => {
    await sql.unsafe("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
    print(heard)
  })
})

step('state_of_the_session', () =>
  using({ max: 1 }, async (one) => {
    await using({ max: 1 }, async (two) => {
      await one.unsafe("SET lock_timeout = 4321; SET compat.mine = 'one'")
      await two.unsafe("SET compat.mine = 'two'")
      for (let again = 0; again < 3; again++) {
        for (const sql of [one, two]) print(values(await sql`SHOW lock_timeout`), values(await sql`SHOW compat.mine`))
      }
    })
    await one`CREATE TEMP TABLE passing (n int)`
    await one`INSERT INTO passing VALUES (${1})`
    print(await one`SELECT * FROM passing`)
    const reserved = await one.reserve()
    print(await reserved`SELECT pg_try_advisory_lock(44)`, await reserved`SELECT pg_advisory_unlock(44)`)
    reserved.release()
  }),
)

step('many_connections', () =>
  using({ max: 20 }, async (sql) => {
    await sql`CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)`
    const work = async (who) => {
      await sql`INSERT INTO counted VALUES (${who}, 0)`
      for (let number = 0; number < 10; number++) {
        await sql.begin((sql) => sql`UPDATE counted SET times = times + 1 WHERE who = ${who}`)
        const [row] = await sql.unsafe(`SELECT ${who} AS me, times FROM counted WHERE who = $1`, [who], { prepare: true })
        if (row.me !== who || row.times !== number + 1) throw new Error(`wrong: ${JSON.stringify(row)}`)
      }
      return who
    }
    print(await atOnce(20, work), await sql`SELECT count(*)::int, sum(times)::int FROM counted`)
  }),
)

step('notifications', () =>
  using({}, async (sql) => {
    const heard = []
    const all = new Promise((resolve) => {
      setTimeout(resolve, 10000).unref()
      sql.listen('news', (payload) => heard.push(payload) === 3 && resolve()).then(async () => {
        for (let number = 0; number < 3; number++) await sql.notify('news', `number ${number} é`)
      })
    })
    await all
    print(heard)
  }),
)

run('postgres')
