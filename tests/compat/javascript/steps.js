// What the JavaScript scripts share: steps that print what they got, each under a heading of its own (python/steps.py).
'use strict'

const fs = require('node:fs')

const STUCK_MS = 1000 * Number(process.env.COMPAT_STUCK_S || 45)

const UNICODE = ['', 'plain', 'naïve', '日本語', '🐘🦣', 'a\tb\nc', 'quote \' " \\ back', '\u0001\u007f\u200b', 'x'.repeat(10000)]

const steps = []

function step(name, work) {
  steps.push([name, work])
}

function print(...values) {
  console.log(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '))
}

async function expecting(work, show = (error) => [error.code, error.message]) {
  try {
    await work()
    print('no error')
  } catch (error) {
    print(error.constructor.name, show(error))
  }
}

// Of an installed package; not every one lets its package.json be required.
function versionOf(name) {
  const [before] = require.resolve(name).split(`/node_modules/${name}/`)
  return JSON.parse(fs.readFileSync(`${before}/node_modules/${name}/package.json`)).version
}

async function run(name) {
  const watchdog = setTimeout(() => {
    console.error('stuck')
    process.exit(1)
  }, STUCK_MS)
  print('# ' + versionOf(name))
  for (const [name, work] of steps) {
    print('== ' + name)
    try {
      await work()
    } catch (error) {
      print('FAILED', error.constructor.name, String(error.message))
    }
  }
  clearTimeout(watchdog)
}

// `work(0)` to `work(count - 1)`, all at once
async function atOnce(count, work) {
  const results = await Promise.allSettled(Array.from({ length: count }, (_, number) => work(number)))
  return results.map((result) => (result.status === 'fulfilled' ? result.value : 'FAILED ' + result.reason))
}

// The promise of what takes long, with `cancel` called until it has ended.
async function canceling(cancel, promise) {
  const timer = setInterval(cancel, 200)
  try {
    await expecting(() => promise)
  } finally {
    clearInterval(timer)
  }
}

module.exports = { UNICODE, atOnce, canceling, expecting, print, run, step }
