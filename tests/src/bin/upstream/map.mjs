// The work of `main.rs`, as one writes it in Node.
//
// Usage: map.mjs FEED FILE SECONDS. Plays the recording again and again for so long; prints {"frames", "cpu", "events"}: the
// frames that were worked off and the seconds of CPU time that it took, without reading the file and a second of warming up;
// and how many events one pass makes.

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

const [feed, file, seconds] = process.argv.slice(2)

// What a token of a topic cannot hold.
const escaped = c => [...Buffer.from(c)].map(b => `~${b.toString(16).toUpperCase().padStart(2, '0')}`).join('')
const token = text => (/[.*>,~\s]/.test(text) ? text.replace(/[.*>,~\s]/g, escaped) : text)

const TOPICS = { match: 'trades', last_match: 'trades', ticker: 'tickers', snapshot: 'books', l2update: 'books' }

const MAPPINGS = {
  coinbase(frame, emit) {
    const topic = TOPICS[frame.type]
    if (!topic) return
    const product = frame.product_id
    emit({
      topic: `${topic}.${token(product)}`,
      key: topic === 'books' ? undefined : product,
      id: topic === 'trades' ? `${product}:${frame.trade_id}` : undefined,
      ts: frame.time ? Date.parse(frame.time) : undefined,
      data: frame,
    })
  },
  kraken(frame, emit) {
    if (!Array.isArray(frame)) return
    const pair = frame.at(-1)
    const channel = frame.at(-2)
    if (channel === 'trade') {
      for (const [price, qty, time, side] of frame[1]) {
        const data = { price, qty, side: side === 'b' ? 'buy' : 'sell' }
        emit({ topic: `trades.${token(pair)}`, key: pair, ts: Math.floor(Number(time) * 1000), data })
      }
    } else if (channel === 'ticker') {
      const { b, a, c } = frame[1]
      emit({ topic: `tickers.${token(pair)}`, key: pair, data: { bid: b[0], ask: a[0], last: c[0] } })
    } else if (channel.startsWith('book')) {
      for (const data of frame.slice(1, -2)) emit({ topic: `books.${token(pair)}`, data })
    }
  },
  okx(frame, emit) {
    if (!frame.data) return
    const { channel, instId: instrument } = frame.arg
    for (const data of frame.data) {
      emit({
        topic: `${channel}.${token(instrument)}`,
        key: channel === 'books' ? undefined : instrument,
        id: data.tradeId ? `${instrument}:${data.tradeId}` : undefined,
        ts: Number(data.ts),
        data,
      })
    }
  },
  wikipedia(frame, emit) {
    const { user, page, comment, delta, added, deleted, isRobot: robot } = frame
    emit({
      topic: `edits.${token(frame.channel)}`,
      key: page,
      ts: Date.parse(frame.time),
      data: { user, page, comment, delta, added, deleted, robot },
    })
  },
}

// Captures have an envelope; other lines are frames themselves.
const lines = gunzipSync(readFileSync(file)).toString().split('\n').filter(Boolean)
const rows = lines.map(line => ({ line, row: JSON.parse(line) }))
const isCapture = rows[0].row.t !== undefined
const frames = isCapture
  ? rows.filter(({ row }) => row.t === 'recv').sort((a, b) => a.row.ts - b.row.ts).map(({ row }) => row.data)
  : lines

const LOG = 100_000
const IDS = 10_000
const log = new Array(LOG)
let ids = new Set()
const order = new Array(IDS)
let seq = 0
let count = 0

function append(event) {
  if (event.id !== undefined) {
    if (ids.has(event.id)) return
    ids.add(event.id)
    const place = count++ % IDS
    if (order[place] !== undefined) ids.delete(order[place])
    order[place] = event.id
  }
  const { topic, key, id, ts, data } = event
  seq += 1
  log[seq % LOG] = JSON.stringify({ op: 'event', seq, topic, key, id, ts, source: feed, data })
}

function pass() {
  const map = MAPPINGS[feed]
  // As at each beginning of a replay.
  ids = new Set()
  order.fill(undefined)
  for (const frame of frames) map(JSON.parse(frame), append)
}

pass()
const events = seq
const work = lasting => {
  let worked = 0
  for (const end = performance.now() + lasting; performance.now() < end; worked += frames.length) pass()
  return worked
}
if (seconds > 0) work(1000)
const before = process.cpuUsage()
const worked = work(seconds * 1000)
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ frames: worked, cpu: (user + system) / 1e6, events }))
