// Makes the page's nouns from JSON. Nothing that arrives is trusted to have its shape: a field that
// is missing or of another type becomes an empty value, a thing without an id becomes null.

import type {
  Asset,
  AssetKind,
  Attempt,
  Control,
  Extend,
  Hires,
  Init,
  Inpaint,
  Job,
  JobState,
  Lan,
  Limits,
  Line,
  ManyDone,
  Mechanism,
  ModelCard,
  Picture,
  PictureFacts,
  PicturePage,
  Problem,
  Progress,
  Refiner,
  Seal,
  SelfTest,
  Settings,
  Shelf,
  Status,
  Style,
  System,
  Task,
  Upload,
  Variation,
} from './types'

type Fields = Record<string, unknown>

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)
const fields = (value: unknown): Fields => (isFields(value) ? value : {})
const text = (value: unknown, otherwise = ''): string => (typeof value === 'string' ? value : otherwise)
const textOrNull = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)
const number = (value: unknown, otherwise = 0): number => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise)
const numberOrNull = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

function list<T>(value: unknown, each: (item: unknown) => T | null): T[] {
  if (!Array.isArray(value)) return []
  return value.map(each).filter((item): item is T => item !== null)
}

/** An address on this server; anything else is dropped. */
function ownUrl(value: unknown): string | null {
  const url = textOrNull(value)
  return url !== null && /^\/(?!\/)/.test(url) ? url : null
}

export function parseModel(value: unknown): ModelCard | null {
  const it = fields(value)
  const id = textOrNull(it.id)
  if (id === null) return null
  return {
    id,
    name: text(it.name, id),
    family: text(it.family),
    licence: text(it.licence),
    width: number(it.width, 512),
    height: number(it.height, 512),
    steps: number(it.steps, 20),
    cfg_scale: number(it.cfg_scale, 7),
    sampler: text(it.sampler),
    scheduler: textOrNull(it.scheduler),
    note: text(it.note),
    is_default: it.is_default === true,
    file: text(it.file),
    size: number(it.size),
    sha256: textOrNull(it.sha256),
    trigger_words: list(it.trigger_words, textOrNull),
    has_preview: it.has_preview === true,
  }
}

/** Leaves out what is undefined, so that an absent field stays absent. */
function present<T extends object>(value: T): T {
  for (const [name, field] of Object.entries(value)) if (field === undefined) delete (value as Fields)[name]
  return value
}

const textIf = (value: unknown): string | undefined => textOrNull(value) ?? undefined
const numberIf = (value: unknown): number | undefined => numberOrNull(value) ?? undefined

function parseVariation(value: unknown): Variation | undefined {
  return isFields(value) ? { seed: number(value.seed), strength: number(value.strength) } : undefined
}

function parseInit(value: unknown): Init | undefined {
  const picture = textIf(fields(value).picture)
  if (!isFields(value) || picture === undefined) return undefined
  return { picture, strength: number(value.strength, 0.75), resize_mode: text(value.resize_mode, 'stretch') }
}

function parseExtend(value: unknown): Extend | undefined {
  if (!isFields(value)) return undefined
  return { left: number(value.left), right: number(value.right), top: number(value.top), bottom: number(value.bottom) }
}

function parseInpaint(value: unknown): Inpaint | undefined {
  if (!isFields(value)) return undefined
  return present({
    mask: textIf(value.mask),
    invert: value.invert === true,
    mask_blur: number(value.mask_blur, 4),
    fill: text(value.fill, 'original'),
    only_masked: numberIf(value.only_masked),
    extend: parseExtend(value.extend),
  })
}

function parseHires(value: unknown): Hires | undefined {
  if (!isFields(value)) return undefined
  const [width, height] = Array.isArray(value.size) ? value.size.map((side) => number(side)) : []
  return present({
    scale: number(value.scale, 2),
    size: width !== undefined && height !== undefined ? ([width, height] as [number, number]) : undefined,
    upscaler: text(value.upscaler, 'Latent'),
    strength: number(value.strength, 0.7),
    steps: numberIf(value.steps),
    cfg_scale: numberIf(value.cfg_scale),
    sampler: textIf(value.sampler),
    scheduler: textIf(value.scheduler),
    prompt: textIf(value.prompt),
    negative_prompt: textIf(value.negative_prompt),
  })
}

function parseRefiner(value: unknown): Refiner | undefined {
  const model = textIf(fields(value).model)
  return model === undefined ? undefined : { model, switch_at: number(fields(value).switch_at, 0.8) }
}

function parseControl(value: unknown): Control | null {
  const it = fields(value)
  const net = textOrNull(it.net)
  const picture = textOrNull(it.picture)
  if (net === null || picture === null) return null
  return { net, picture, preprocess: text(it.preprocess, 'none'), weight: number(it.weight, 1), start: number(it.start), end: number(it.end, 1) }
}

/** The fields that are there and make sense; the others stay absent. */
export function parsePartialSettings(value: unknown): Partial<Settings> | null {
  if (!isFields(value)) return null
  const controls = list(value.controls, parseControl)
  return present({
    model: textIf(value.model),
    prompt: typeof value.prompt === 'string' ? value.prompt : undefined,
    negative_prompt: typeof value.negative_prompt === 'string' ? value.negative_prompt : undefined,
    width: numberIf(value.width),
    height: numberIf(value.height),
    steps: numberIf(value.steps),
    cfg_scale: numberIf(value.cfg_scale),
    seed: numberIf(value.seed),
    sampler: textIf(value.sampler),
    scheduler: textIf(value.scheduler),
    clip_skip: numberIf(value.clip_skip),
    noise: textIf(value.noise),
    eta: numberIf(value.eta),
    variation: parseVariation(value.variation),
    init: parseInit(value.init),
    inpaint: parseInpaint(value.inpaint),
    hires: parseHires(value.hires),
    refiner: parseRefiner(value.refiner),
    controls: controls.length > 0 ? controls : undefined,
    upscale: textIf(value.upscale),
    enlarge: textIf(value.enlarge),
  }) as Partial<Settings>
}

export function parseSettings(value: unknown): Settings | null {
  const it = parsePartialSettings(value)
  if (it === null) return null
  return { model: '', prompt: '', negative_prompt: '', width: 0, height: 0, steps: 0, cfg_scale: 0, seed: -1, sampler: '', ...it }
}

/** Accepts `{"error": {…}}` and the bare inner object. */
export function parseProblem(value: unknown): Problem | null {
  if (!isFields(value)) return null
  const it = isFields(value.error) ? value.error : value
  const message = textOrNull(it.message)
  if (message === null) return null
  return { code: text(it.code), message, hint: textOrNull(it.hint) }
}

const states: readonly JobState[] = ['waiting', 'running', 'done', 'failed', 'cancelled']

export function parseJob(value: unknown): Job | null {
  const it = fields(value)
  const id = textOrNull(it.id)
  const state = states.find((name) => name === it.state)
  const settings = parseSettings(it.settings)
  if (id === null || state === undefined || settings === null) return null
  return {
    id,
    batch: text(it.batch, id),
    source: text(it.source, 'page'),
    state,
    settings,
    step: number(it.step),
    steps: number(it.steps, settings.steps),
    picture: textOrNull(it.picture),
    error: parseProblem(it.error),
    remarks: list(it.remarks, textOrNull),
    position: number(it.position),
    created: text(it.created),
    finished: textOrNull(it.finished),
  }
}

export function parseJobs(value: unknown): { jobs: Job[]; more: boolean } {
  const it = fields(value)
  return { jobs: list(it.jobs, parseJob), more: it.more === true }
}

export function parseLine(value: unknown): Line {
  const it = fields(value)
  return { running: parseJob(it.running), waiting: list(it.waiting, parseJob), paused: it.paused === true }
}

export function parseProgress(value: unknown): Progress | null {
  const it = fields(value)
  const id = textOrNull(it.id)
  if (id === null) return null
  const preview = textOrNull(it.preview)
  return {
    id,
    step: number(it.step),
    steps: number(it.steps),
    seconds_left: numberOrNull(it.seconds_left),
    preview: preview !== null && preview.startsWith('data:image/') ? preview : null,
  }
}

export function parsePicture(value: unknown): Picture | null {
  const it = fields(value)
  const id = textOrNull(it.id)
  const url = ownUrl(it.url)
  if (id === null || url === null) return null
  return {
    id,
    url,
    thumbnail: ownUrl(it.thumbnail) ?? url,
    width: number(it.width),
    height: number(it.height),
    created: text(it.created),
    starred: it.starred === true,
    settings: parseSettings(it.settings),
    infotext: textOrNull(it.infotext),
    model_hash: textOrNull(it.model_hash),
  }
}

export function parsePictures(value: unknown): PicturePage {
  const it = fields(value)
  return { pictures: list(it.pictures, parsePicture), more: it.more === true, total: numberOrNull(it.total), unreadable: number(it.unreadable) }
}

export function parseManyDone(value: unknown): ManyDone {
  const it = fields(value)
  const failed = list(it.failed, (item) => {
    const id = textOrNull(fields(item).id)
    return id === null ? null : { id, message: text(fields(item).message) }
  })
  return { done: list(it.done, textOrNull), failed }
}

export function parseUpload(value: unknown): Upload | null {
  const it = fields(value)
  const picture = textOrNull(it.picture)
  return picture === null ? null : { picture, width: number(it.width), height: number(it.height) }
}

export function parsePictureFacts(value: unknown): PictureFacts {
  const it = fields(value)
  return {
    width: number(it.width),
    height: number(it.height),
    settings: parsePartialSettings(it.settings),
    infotext: textOrNull(it.infotext),
    remarks: list(it.remarks, textOrNull),
  }
}

const kinds: readonly AssetKind[] = ['checkpoint', 'lora', 'embedding', 'vae', 'upscaler', 'controlnet', 'other']

export function parseAsset(value: unknown): Asset | null {
  const it = fields(value)
  const name = textOrNull(it.name)
  if (name === null) return null
  return {
    kind: kinds.find((kind) => kind === it.kind) ?? 'other',
    name,
    title: text(it.title) || name,
    file: text(it.file),
    family: textOrNull(it.family),
    licence: text(it.licence),
    size: number(it.size),
    sha256: textOrNull(it.sha256),
    trigger_words: list(it.trigger_words, textOrNull),
    has_preview: it.has_preview === true,
    scale: numberOrNull(it.scale),
    note: text(it.note),
  }
}

function parseStyle(value: unknown): Style | null {
  const it = fields(value)
  const name = textOrNull(it.name)
  return name === null ? null : { name, prompt: text(it.prompt), negative_prompt: text(it.negative_prompt) }
}

export function parseShelf(value: unknown): Shelf {
  const it = fields(value)
  return { models: list(it.models, parseModel), assets: list(it.assets, parseAsset), styles: list(it.styles, parseStyle) }
}

export function parseTask(value: unknown): Task {
  const it = fields(value)
  const verdict = isFields(it.verdict) ? it.verdict : null
  return {
    state: text(it.state),
    done: number(it.done),
    total: number(it.total),
    verdict: verdict && { matches: verdict.matches === true, sha256: text(verdict.sha256), expected: textOrNull(verdict.expected) },
    error: parseProblem(it.error),
  }
}

const namedInSystem = new Set(['version', 'home', 'seal_level', 'memory', 'disk', 'processor', 'kernels', 'precision', 'threads', 'uptime', 'comfy_frontend'])
const plain = (value: unknown): value is string | number | boolean => ['string', 'number', 'boolean'].includes(typeof value)

export function parseSystem(value: unknown): System {
  const it = fields(value)
  const memory = fields(it.memory)
  const disk = fields(it.disk)
  const said = (fact: unknown): string => (plain(fact) ? String(fact) : Array.isArray(fact) ? fact.filter(plain).join(', ') : '')
  return {
    version: text(it.version),
    home: text(it.home),
    seal_level: textOrNull(it.seal_level),
    memory: { total: numberOrNull(memory.total), available: numberOrNull(memory.available), process: numberOrNull(memory.process) },
    disk: { free: numberOrNull(disk.free), total: numberOrNull(disk.total) },
    processor: said(it.processor),
    kernels: said(it.kernels),
    precision: said(it.precision),
    threads: numberOrNull(it.threads),
    uptime: numberOrNull(it.uptime),
    comfyFrontend: it.comfy_frontend === true,
    extra: Object.entries(it)
      .filter(([name, fact]) => !namedInSystem.has(name) && said(fact) !== '')
      .map(([name, fact]): [string, string] => [name, said(fact)]),
  }
}

function parseLimits(value: unknown): Limits {
  const it = fields(value)
  return {
    max_side: number(it.max_side, 2048),
    side_multiple: Math.max(1, number(it.side_multiple, 8)),
    min_side: number(it.min_side, 64),
    max_steps: number(it.max_steps, 150),
  }
}

export function parseStatus(value: unknown): Status {
  const it = fields(value)
  return {
    version: text(it.version),
    models: list(it.models, parseModel),
    samplers: list(it.samplers, textOrNull),
    schedulers: list(it.schedulers, textOrNull),
    queue: parseLine(it.queue),
    limits: parseLimits(it.limits),
    seal_level: textOrNull(it.seal_level),
  }
}

export function parseLan(value: unknown): Lan {
  const it = fields(value)
  return {
    on: it.on === true,
    here: it.here === true,
    command: text(it.command),
    addresses: list(it.addresses, (item) => {
      const { url, qr } = fields(item)
      const { side, path } = fields(qr)
      return { url: text(url), qr: typeof path === 'string' ? { side: number(side), path } : null }
    }),
    code: textOrNull(it.code),
    expires_in: numberOrNull(it.expires_in),
    devices: list(it.devices, (item) => {
      const device = fields(item)
      return { id: text(device.id), name: text(device.name), address: text(device.address), seen: text(device.seen) }
    }),
  }
}

function parseMechanism(value: unknown): Mechanism | null {
  const it = fields(value)
  const name = textOrNull(it.name)
  return name === null ? null : { name, enforced: it.enforced === true, detail: text(it.detail) }
}

function parseAttempt(value: unknown): Attempt | null {
  const it = fields(value)
  const what = textOrNull(it.what)
  return what === null ? null : { what, refused: it.refused === true, detail: text(it.detail) }
}

const namedInSeal = new Set(['level', 'sentence', 'mechanisms', 'attempts', 'listens_on'])

export function parseSeal(value: unknown): Seal | null {
  if (!isFields(value)) return null
  const facts: [string, string][] = []
  for (const [name, fact] of Object.entries(value)) {
    if (namedInSeal.has(name)) continue
    if (typeof fact === 'string' || typeof fact === 'number' || typeof fact === 'boolean') facts.push([name, String(fact)])
  }
  return {
    level: text(value.level),
    sentence: text(value.sentence),
    mechanisms: list(value.mechanisms, parseMechanism),
    attempts: list(value.attempts, parseAttempt),
    listens_on: list(value.listens_on, textOrNull),
    facts,
  }
}

/** The record holds the picture's settings and a comparison with its verdict; a summary holds plain words. Both are read. */
export function parseSelfTest(value: unknown): SelfTest | null {
  if (!isFields(value)) return null
  const picture = fields(value.picture)
  const drawn = fields(picture.settings)
  const compared = fields(picture.comparison)
  return {
    verdict: text(value.verdict),
    seal: parseSeal(value.seal),
    attempts: list(value.attempts, parseAttempt),
    prompt: text(picture.prompt, text(drawn.prompt)),
    seconds: numberOrNull(picture.seconds) ?? numberOrNull(picture.draw_seconds),
    comparison: text(picture.comparison, text(compared.text)),
    reasons: list(value.reasons, textOrNull),
    picture_url: ownUrl(value.picture_url),
  }
}
