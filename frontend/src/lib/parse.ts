// Makes the page's nouns from JSON. Nothing that arrives is trusted to have its shape: a field that
// is missing or of another type becomes an empty value, a thing without an id becomes null.

import type { Attempt, Job, JobState, Limits, Mechanism, ModelCard, Picture, Problem, Progress, Seal, SelfTest, Settings, Status } from './types'

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
    note: text(it.note),
    is_default: it.is_default === true,
  }
}

export function parseSettings(value: unknown): Settings | null {
  if (!isFields(value)) return null
  return {
    model: text(value.model),
    prompt: text(value.prompt),
    negative_prompt: text(value.negative_prompt),
    width: number(value.width),
    height: number(value.height),
    steps: number(value.steps),
    cfg_scale: number(value.cfg_scale),
    seed: number(value.seed, -1),
    sampler: text(value.sampler),
  }
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
    state,
    settings,
    step: number(it.step),
    steps: number(it.steps, settings.steps),
    picture: textOrNull(it.picture),
    error: parseProblem(it.error),
    position: number(it.position),
  }
}

export function parseQueue(value: unknown): { running: Job | null; waiting: Job[] } {
  const it = fields(value)
  return { running: parseJob(it.running), waiting: list(it.waiting, parseJob) }
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
    width: number(it.width),
    height: number(it.height),
    created: text(it.created),
    settings: parseSettings(it.settings),
    infotext: textOrNull(it.infotext),
  }
}

export function parsePictures(value: unknown): { pictures: Picture[]; more: boolean } {
  const it = fields(value)
  return { pictures: list(it.pictures, parsePicture), more: it.more === true }
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
    ...parseQueue(it.queue),
    limits: parseLimits(it.limits),
    seal_level: textOrNull(it.seal_level),
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

const namedInSeal = new Set(['level', 'sentence', 'mechanisms', 'attempts'])

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
