// A stand-in for the server while working on the page: serves dist and answers /api/v1 from memory.
//
//   node mock/serve.mjs [--port 7861] [--pictures DIR] [--history N] [--seal S2] [--step-ms 120]
//
// DIR holds PNG files named for their prompt (`a_banana.png`); without it every picture is a plain gradient.

import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { crc32, deflateSync } from 'node:zlib'

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '7861' },
    pictures: { type: 'string' },
    history: { type: 'string', default: '0' },
    seal: { type: 'string', default: 'S2' },
    'step-ms': { type: 'string', default: '120' },
  },
})
const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')

const models = [
  { id: 'spark', name: 'spark', family: 'sd1', has_preview: false, size: 19_023_206, licence: 'MIT AND Apache-2.0', width: 64, height: 64, steps: 20, cfg_scale: 5, sampler: 'Euler', note: 'Tiny (19 MB): draws small emoji-like pictures of single things.', is_default: true },
  { id: 'sd15', name: 'Stable Diffusion 1.5', family: 'sd1', has_preview: false, file: 'sd15.safetensors', size: 2_132_625_894, licence: 'CreativeML Open RAIL-M', width: 512, height: 512, steps: 25, cfg_scale: 7, sampler: 'DPM++ 2M Karras', note: '', is_default: false },
]
const assets = [
  { kind: 'lora', name: 'ink', title: 'Ink drawings', file: 'ink.safetensors', family: 'sd1', licence: 'CC0', size: 9_400_000, trigger_words: ['inkstyle'], note: '' },
  { kind: 'upscaler', name: 'RealESRGAN_x2', title: 'RealESRGAN x2', file: 'x2.safetensors', licence: 'BSD-3-Clause', size: 67_000_000, scale: 2, note: '' },
  { kind: 'controlnet', name: 'canny', title: 'Canny edges', file: 'canny.safetensors', family: 'sd1', licence: 'OpenRAIL', size: 720_000_000, note: '' },
]
for (const asset of assets) asset.has_preview = false
const styles = [
  { name: 'Watercolour', prompt: 'watercolour of {prompt}', negative_prompt: 'photo' },
  { name: 'Photograph', prompt: '{prompt}, photograph, natural light', negative_prompt: 'drawing' },
]
const samplers = ['Euler', 'Euler a', 'DPM++ 2M Karras', 'DDIM']
const limits = { max_side: 2048, side_multiple: 8, min_side: 64, max_steps: 150 }

// --- pictures

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const out = Buffer.alloc(body.length + 8)
  out.writeUInt32BE(data.length, 0)
  body.copy(out, 4)
  out.writeUInt32BE(crc32 ? crc32(body) : 0, body.length + 4)
  return out
}

function gradient(width, height, seed, noise) {
  const rows = Buffer.alloc((width * 3 + 1) * height)
  const hue = (shift) => ((seed * 2654435761) >>> shift) & 255
  for (let y = 0, at = 0; y < height; y++) {
    at++
    for (let x = 0; x < width; x++) {
      for (const shift of [0, 8, 16]) {
        const clean = (hue(shift) * x) / width + (hue(shift + 3) * 0.6 * y) / height + 40
        rows[at++] = Math.min(255, clean * (1 - noise) + Math.random() * 255 * noise)
      }
    }
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 2, 0, 0, 0], 8)
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

const drawn = new Map()
if (options.pictures) {
  for (const file of readdirSync(options.pictures)) {
    if (file.endsWith('.png')) drawn.set(file.slice(0, -4).replaceAll('_', ' '), readFileSync(join(options.pictures, file)))
  }
}
const draw = (settings) => (settings.model === 'spark' && drawn.get(settings.prompt)) || gradient(settings.width, settings.height, settings.seed, 0)

let counter = 0
const pictures = new Map()
const trash = new Map()
const files = new Map()

function addPicture(settings, when) {
  const stamp = when.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
  const id = `${stamp}-${String(++counter).padStart(4, '0')}`
  const bytes = draw(settings)
  files.set(id, bytes)
  const picture = { id, url: `/outputs/${id}.png`, thumbnail: `/outputs/${id}.png`, starred: false, width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), created: when.toISOString(), settings, infotext: settings.prompt }
  pictures.set(id, picture)
  return picture
}

const names = drawn.size > 0 ? [...drawn.keys()] : ['a banana', 'a rocket', 'a cat face']
for (let n = Number(options.history); n > 0; n--) {
  const settings = { model: 'spark', prompt: names[n % names.length], negative_prompt: '', width: 64, height: 64, steps: 20, cfg_scale: 5, seed: n * 7919, sampler: 'Euler' }
  addPicture(settings, new Date(Date.now() - n * 61_000))
}

// --- events and the queue

const listeners = new Set()
const say = (event, data) => listeners.forEach((to) => to.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
setInterval(() => listeners.forEach((to) => to.write(': alive\n\n')), 15_000).unref()

const jobs = new Map()
let running = null
let waiting = []
let paused = false
const queue = () => ({ running, waiting, paused })

/** Work in the background: how often it was asked for, and when it is over. */
const tasks = new Map()
const lan = {
  on: true,
  here: true,
  command: 'fieldforge serve --lan',
  addresses: [{ url: 'http://192.0.2.7:7860', qr: null }],
  code: '271828',
  expires_in: 600,
  devices: [{ id: 'd1', name: 'a phone', address: '192.0.2.9', seen: '2026-01-01T00:00:00Z' }],
}

function place() {
  waiting.forEach((job, index) => (job.position = index + 1))
  say('line', queue())
}

function next() {
  if (paused || running !== null || waiting.length === 0) return
  running = waiting.shift()
  running.state = 'running'
  place()
  say('job', running)
  tick(running)
}

function end(job, state, more = {}) {
  Object.assign(job, { state, finished: new Date().toISOString(), position: 0 }, more)
  if (running === job) running = null
  say('job', job)
  next()
}

function tick(job) {
  if (job.state !== 'running') return
  job.step++
  const preview = gradient(Math.min(64, job.settings.width), Math.min(64, job.settings.height), job.settings.seed, 1 - job.step / job.steps)
  const left = ((job.steps - job.step) * Number(options['step-ms'])) / 1000
  say('progress', { id: job.id, step: job.step, steps: job.steps, seconds_left: left, preview: `data:image/png;base64,${preview.toString('base64')}` })
  if (job.step < job.steps) return void setTimeout(tick, Number(options['step-ms']), job)
  if (job.settings.prompt.includes('fail')) {
    return end(job, 'failed', { error: { code: 'failed', message: 'the prompt asked for a failure', hint: 'leave the word `fail` out' } })
  }
  const picture = addPicture(job.settings, new Date())
  say('picture', picture)
  end(job, 'done', { picture: picture.id })
}

function generate(body) {
  const made = []
  const batch = `b${jobs.size + 1}`
  for (const order of body.orders ?? [body]) {
    const { count = 1, ...asked } = order
    const model = models.find((card) => card.id === (asked.model ?? 'spark'))
    if (!model) return [400, problem('unknown_model', `there is no model \`${asked.model}\``, 'choose one of the list')]
    const seed = Number.isInteger(asked.seed) && asked.seed >= 0 ? asked.seed : Math.floor(Math.random() * 2 ** 32)
    for (let n = 0; n < count; n++) {
      const settings = { negative_prompt: '', width: model.width, height: model.height, steps: model.steps, cfg_scale: model.cfg_scale, sampler: model.sampler, ...asked, model: model.id, seed: seed + n }
      const job = { id: `j${jobs.size + 1}`, batch, source: 'page', state: 'waiting', settings, step: 0, steps: settings.steps, picture: null, error: null, remarks: [], created: new Date().toISOString(), finished: null, position: waiting.length + 1 }
      jobs.set(job.id, job)
      waiting.push(job)
      made.push({ ...job })
      say('job', job)
    }
  }
  setTimeout(next, 5)
  return [202, { jobs: made }]
}

// --- answers

const problem = (code, message, hint = null) => ({ error: { code, message, hint } })

const seal = {
  level: options.seal,
  sentence: 'Sealed: the kernel refuses this process every way to open a connection.',
  mechanisms: [
    { name: 'seccomp', enforced: ['S2', 'S3'].includes(options.seal), detail: 'a filter on all threads refuses connect, sendto and new sockets; seen to refuse a probe' },
    { name: 'network namespace', enforced: options.seal === 'S3', detail: options.seal === 'S3' ? 'only a loopback of its own' : 'a server must be reachable on this machine, so it stays in the machine’s network' },
    { name: 'Landlock files', enforced: options.seal !== 'S0', detail: 'writes only below the home folder' },
    { name: 'no new privileges', enforced: options.seal !== 'S0', detail: 'set and read back' },
  ],
  kernel: 'Linux 6.12.43 #1 SMP',
  architecture: 'x86_64',
  filter_sha256: 'dc416b77b1f4cb2b6c9998a7acbe040c0cfcf802e55293853a7df01fc8d0214d',
  network_namespace: null,
  attempts: [],
}
const selfTest = {
  verdict: 'passed',
  seal: { level: 'S3', sentence: '', mechanisms: [] },
  attempts: [
    { what: 'open a TCP connection to 192.0.2.1', refused: true, detail: 'the kernel answered: operation not permitted' },
    { what: 'send a datagram to 198.51.100.1', refused: true, detail: 'the kernel answered: operation not permitted' },
    { what: 'look up a name', refused: true, detail: 'no socket could be made' },
    { what: 'send with MSG_FASTOPEN', refused: true, detail: 'the kernel answered: operation not permitted' },
  ],
  picture: { prompt: 'a banana', seconds: 2.1, comparison: 'equal bytes' },
  picture_url: '/api/v1/self-test/picture.png',
}

function remove(id) {
  trash.set(id, pictures.get(id))
  pictures.delete(id)
  say('removed', { id })
}

function restore(id) {
  pictures.set(id, trash.get(id))
  trash.delete(id)
  say('picture', pictures.get(id))
  return pictures.get(id)
}

const system = () => ({
  version: '0.1.0',
  seal_level: options.seal,
  memory: { total: 16e9, available: 9e9, process: 3e8 },
  disk: { free: 4e10, total: 25e10 },
  processor: 'a processor of the mock',
  kernels: 'AVX2',
  precision: 'f32',
  threads: 4,
  comfy_frontend: true,
  uptime: Math.round(process.uptime()),
})

function answer(method, url, body) {
  const path = url.pathname.replace('/api/v1/', '')
  const [kind, id, verb] = path.split('/')
  if (path === 'status') return [200, { version: '0.1.0', models, samplers, schedulers: ['Automatic', 'Karras'], queue: queue(), limits, seal_level: options.seal }]
  if (path === 'models' && method === 'GET') return [200, { models, assets, styles }]
  if (kind === 'batches' && method === 'DELETE') {
    const ended = waiting.filter((job) => job.batch === id)
    waiting = waiting.filter((job) => job.batch !== id)
    ended.forEach((job) => end(job, 'cancelled'))
    if (running?.batch === id) end(running, 'cancelled')
    return [204, null]
  }
  if (path === 'generate' && method === 'POST') return generate(body)
  if (path === 'seal') return [200, seal]
  if (path === 'self-test' && method === 'POST') return generate({ prompt: 'a banana', seed: 5 })
  if (path === 'self-test') return [200, selfTest]
  if (path === 'healthz') return [200, { ok: true }]
  if (kind === 'jobs') {
    if (id === undefined) {
      const states = url.searchParams.get('state')?.split(',')
      const found = [...jobs.values()].filter((job) => states === undefined || states.includes(job.state)).reverse()
      return [200, { jobs: found.slice(0, Number(url.searchParams.get('limit') ?? 60)), more: false }]
    }
    const job = jobs.get(id)
    if (!job) return [404, problem('unknown_job', `there is no job \`${id}\``)]
    if (method === 'GET') return [200, job]
    if (verb === 'move') {
      if (job.state !== 'waiting') return [409, problem('over', 'the job does not wait any more')]
      waiting = waiting.filter((other) => other !== job)
      waiting.splice(Math.max(0, body.position - 1), 0, job)
      place()
      return [200, job]
    }
    if (!['waiting', 'running'].includes(job.state)) return [409, problem('over', 'the job is already over')]
    waiting = waiting.filter((other) => other !== job)
    end(job, 'cancelled')
    return [200, job]
  }
  if (kind === 'pictures' && id === undefined) {
    const asked = url.searchParams
    const before = asked.get('before')
    const limit = Number(asked.get('limit') ?? 60)
    const starts = (asked.get('q') ?? '').toLowerCase().split(/\s+/).filter((word) => word !== '')
    const fits = ({ settings, starred }) =>
      (!asked.get('starred') || starred) && (!asked.get('model') || settings.model === asked.get('model')) && starts.every((start) => settings.prompt.toLowerCase().split(/\W+/).some((word) => word.startsWith(start)))
    const all = [...(asked.get('deleted') ? trash : pictures).values()].sort((a, b) => (a.id < b.id ? 1 : -1)).filter(fits)
    const rest = all.filter((picture) => before === null || picture.id < before)
    return [200, { pictures: rest.slice(0, limit), more: rest.length > limit, total: all.length, unreadable: [] }]
  }
  if (kind === 'pictures' && (id === 'delete' || id === 'restore')) {
    const known = id === 'delete' ? pictures : trash
    const done = body.ids.filter((one) => known.has(one))
    done.forEach(id === 'delete' ? remove : restore)
    return [200, { done, failed: body.ids.filter((one) => !done.includes(one)).map((one) => ({ id: one, message: `there is no picture \`${one}\`` })) }]
  }
  if (kind === 'pictures' && verb === 'restore' && trash.has(id)) return [200, restore(id)]
  if (kind === 'pictures' && pictures.has(id)) {
    if (method === 'DELETE') return remove(id), [204, null]
    if (method === 'PATCH') {
      Object.assign(pictures.get(id), { starred: body.starred === true })
      say('picture', pictures.get(id))
    }
    return [200, pictures.get(id)]
  }
  if (path === 'trash' && method === 'DELETE') return trash.clear(), [204, null]
  if (path === 'queue/pause' || path === 'queue/resume') {
    paused = path.endsWith('pause')
    place()
    next()
    return [200, queue()]
  }
  if (path === 'queue' && method === 'DELETE') {
    const ended = waiting
    waiting = []
    ended.forEach((job) => end(job, 'cancelled'))
    place()
    return [204, null]
  }
  if (path === 'system') return [200, system()]
  if (path === 'lan/code' && method === 'POST') return (lan.code = String(Math.floor(1e5 + Math.random() * 9e5))), [200, lan]
  if (path === 'lan') return [200, lan]
  if (path === `lan/devices/${verb}` && method === 'DELETE') return (lan.devices = lan.devices.filter((one) => one.id !== verb)), [204, null]
  if (path === 'models' && method === 'POST') {
    const name = (body.path ?? url.searchParams.get('name')).split('/').at(-1)
    const asset = { kind: body.kind || url.searchParams.get('kind') || 'lora', name: name.replace(/\.safetensors$/, ''), title: name, file: name, family: 'sd1', licence: 'unknown', size: 9_400_000, sha256: 'ab'.repeat(32), note: '', has_preview: false }
    assets.push(asset)
    return [201, asset]
  }
  if (kind === 'models' && path.endsWith('/check')) {
    tasks.set(`t${tasks.size + 1}`, 0)
    return [202, { task: `t${tasks.size}` }]
  }
  if (kind === 'tasks' && tasks.has(id)) {
    const done = Math.min(4, tasks.get(id) + 1)
    tasks.set(id, done)
    return [200, { state: done < 4 ? 'running' : 'done', done, total: 4, verdict: done < 4 ? null : { matches: true, sha256: 'ab'.repeat(32), expected: 'ab'.repeat(32) }, error: null }]
  }
  return [404, problem('not_found', `there is nothing at \`${url.pathname}\``)]
}

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png' }
const policy = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'"

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://127.0.0.1')
  response.setHeader('Content-Security-Policy', policy)
  const png = (bytes) => response.writeHead(200, { 'Content-Type': 'image/png' }).end(bytes)
  if (url.pathname === '/api/v1/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(`event: hello\ndata: ${JSON.stringify(queue())}\n\n`)
    listeners.add(response)
    request.on('close', () => listeners.delete(response))
  } else if (url.pathname === '/api/v1/self-test/picture.png') {
    png(drawn.get('a banana') ?? gradient(64, 64, 5, 0))
  } else if (url.pathname.startsWith('/api/')) {
    const parts = []
    for await (const part of request) parts.push(part)
    const sent = Buffer.concat(parts)
    const isFile = /\/(uploads|read)$/.test(url.pathname)
    const isJson = (request.headers['content-type'] ?? '').includes('json')
    const side = (at) => (sent.length > 24 ? sent.readUInt32BE(at) : 0)
    const facts = { width: side(16), height: side(20) }
    const [status, data] = !isFile
      ? answer(request.method, url, isJson && sent.length > 0 ? JSON.parse(sent) : {})
      : url.pathname.endsWith('read')
        ? [200, { ...facts, settings: { prompt: 'a rocket', seed: 7, steps: 12 }, infotext: 'a rocket', remarks: ['the model `dream` is not installed here'] }]
        : [201, { picture: `upload:${createHash('sha256').update(sent).digest('hex')}`, ...facts }]

    response.writeHead(status, { 'Content-Type': 'application/json' }).end(data === null ? '' : JSON.stringify(data))
  } else if (url.pathname.startsWith('/outputs/')) {
    const bytes = files.get(url.pathname.slice(9, -4))
    bytes ? png(bytes) : response.writeHead(404).end()
  } else {
    const path = normalize(join(dist, url.pathname === '/' ? 'index.html' : url.pathname))
    if (!path.startsWith(dist) || !existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end()
    else response.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path))
  }
}).listen(Number(options.port), '127.0.0.1', () => console.log(`http://127.0.0.1:${options.port}/`))
