// The draft: what a person has chosen so far. A choice that was not made stays null and follows the
// model's recommendation, so changing the model changes what was never touched.

import { type Ratio, ratios, type Size, sizeFor, snapSide } from './aspect'
import { parsePartialSettings } from './parse'
import { withStyles } from './prompt'
import type { Limits, ModelCard, Settings, Style } from './types'

export type SizeChoice = { kind: 'ratio'; ratio: Ratio } | { kind: 'custom'; width: number; height: number }

const extraNames = ['scheduler', 'clip_skip', 'noise', 'eta', 'variation', 'hires', 'refiner', 'controls', 'upscale'] as const

/** What most pictures do without; absent means the server's own way. */
export type Extra = Pick<Settings, (typeof extraNames)[number]>

function extraOf(settings: Partial<Settings> | null): Extra {
  return Object.fromEntries(extraNames.filter((name) => settings?.[name] !== undefined).map((name) => [name, settings?.[name]])) as Extra
}

export interface Draft {
  model: string | null
  prompt: string
  negativePrompt: string
  size: SizeChoice
  steps: number | null
  cfgScale: number | null
  sampler: string | null
  seedMode: 'random' | 'fixed'
  seed: number
  count: number
  /** Names of the styles put around the prompt. */
  styles: string[]
  extra: Extra
}

/** Seeds stay exact in JSON up to here. */
export const maxSeed = Number.MAX_SAFE_INTEGER
export const maxCount = 100
export const minCfgScale = 1
export const maxCfgScale = 30

export const emptyDraft: Draft = {
  model: null,
  prompt: '',
  negativePrompt: '',
  size: { kind: 'ratio', ratio: '1:1' },
  steps: null,
  cfgScale: null,
  sampler: null,
  seedMode: 'random',
  seed: 0,
  count: 1,
  styles: [],
  extra: {},
}

/** What will be asked of the server once the model's recommendations fill the gaps. */
export interface Effective extends Size {
  model: string
  steps: number
  cfgScale: number
  sampler: string
}

export function chosenModel(draft: Draft, models: ModelCard[]): ModelCard | null {
  return models.find((model) => model.id === draft.model) ?? models.find((model) => model.is_default) ?? models[0] ?? null
}

export function effective(draft: Draft, model: ModelCard, limits: Limits): Effective {
  const size =
    draft.size.kind === 'ratio'
      ? sizeFor(draft.size.ratio, model, limits)
      : { width: snapSide(draft.size.width, limits), height: snapSide(draft.size.height, limits) }
  return {
    ...size,
    model: model.id,
    steps: clamp(Math.round(draft.steps ?? model.steps), 1, limits.max_steps),
    cfgScale: clamp(draft.cfgScale ?? model.cfg_scale, minCfgScale, maxCfgScale),
    sampler: draft.sampler ?? model.sampler,
  }
}

/** The body of POST /api/v1/generate. */
export function requestBody(draft: Draft, model: ModelCard, limits: Limits, styles: readonly Style[] = []): Record<string, unknown> {
  const it = effective(draft, model, limits)
  const words = withStyles(draft.prompt.trim(), draft.negativePrompt.trim(), draft.styles, styles)
  const body: Record<string, unknown> = {
    model: it.model,
    prompt: words.prompt,
    negative_prompt: words.negative,
    width: it.width,
    height: it.height,
    steps: it.steps,
    cfg_scale: it.cfgScale,
    seed: draft.seedMode === 'fixed' ? cleanSeed(draft.seed) : -1,
    count: clamp(Math.round(draft.count), 1, maxCount),
  }
  if (it.sampler !== '') body.sampler = it.sampler
  if (model.scheduler !== null && draft.sampler === null) body.scheduler = model.scheduler
  Object.assign(body, extraOf(draft.extra))
  return body
}

export const presets = ['fast', 'balanced', 'best'] as const
export type Preset = (typeof presets)[number]

/** Steps of a preset: half, as recommended, and half as many again more. */
export function presetSteps(preset: Preset, model: ModelCard, limits: Limits): number {
  const factor = { fast: 0.5, balanced: 1, best: 1.6 }[preset]
  return clamp(Math.ceil(model.steps * factor), 1, limits.max_steps)
}

/** Shape button that a size belongs to, if any. */
export function sizeChoiceFor(size: Size, native: Size, limits: Limits): SizeChoice {
  for (const ratio of ratios) {
    const own = sizeFor(ratio, native, limits)
    if (own.width === size.width && own.height === size.height) return { kind: 'ratio', ratio }
  }
  return { kind: 'custom', width: size.width, height: size.height }
}

/** "Use all settings": the same picture again, seed included. What is not said, and a model that is gone, stay as they are. */
export function withAllSettings(draft: Draft, settings: Partial<Settings>, models: ModelCard[], limits: Limits): Draft {
  const model = models.find((card) => card.id === settings.model) ?? chosenModel(draft, models)
  const { width, height } = settings
  const size: SizeChoice | null =
    width === undefined || height === undefined ? null : model ? sizeChoiceFor({ width, height }, model, limits) : { kind: 'custom', width, height }
  const next: Draft = {
    ...draft,
    model: model?.id ?? draft.model,
    prompt: settings.prompt ?? draft.prompt,
    negativePrompt: settings.negative_prompt ?? draft.negativePrompt,
    size: size ?? draft.size,
    steps: settings.steps ?? null,
    cfgScale: settings.cfg_scale ?? null,
    sampler: settings.sampler || null,
    count: 1,
    styles: [],
    extra: extraOf(settings),
  }
  return withSeed(next, settings)
}

export function withSeed(draft: Draft, settings: Partial<Settings>): Draft {
  return settings.seed === undefined || settings.seed < 0 ? draft : { ...draft, seedMode: 'fixed', seed: cleanSeed(settings.seed) }
}

export function withPrompt(draft: Draft, settings: Settings): Draft {
  return { ...draft, prompt: settings.prompt, negativePrompt: settings.negative_prompt }
}

/** Reads what an earlier visit stored; whatever does not fit is left at its default. */
export function readDraft(stored: string | null): Draft {
  let it: Record<string, unknown> = {}
  try {
    const parsed: unknown = JSON.parse(stored ?? '{}')
    if (typeof parsed === 'object' && parsed !== null) it = parsed as Record<string, unknown>
  } catch {
    return { ...emptyDraft }
  }
  const numberOr = <T>(value: unknown, otherwise: T): number | T => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise)
  const textOr = <T>(value: unknown, otherwise: T): string | T => (typeof value === 'string' ? value : otherwise)
  return {
    model: textOr(it.model, null),
    prompt: textOr(it.prompt, ''),
    negativePrompt: textOr(it.negativePrompt, ''),
    size: readSize(it.size),
    steps: numberOr(it.steps, null),
    cfgScale: numberOr(it.cfgScale, null),
    sampler: textOr(it.sampler, null),
    seedMode: it.seedMode === 'fixed' ? 'fixed' : 'random',
    seed: cleanSeed(numberOr(it.seed, 0)),
    count: clamp(Math.round(numberOr(it.count, 1)), 1, maxCount),
    styles: Array.isArray(it.styles) ? it.styles.filter((name): name is string => typeof name === 'string') : [],
    extra: extraOf(parsePartialSettings(it.extra)),
  }
}

function readSize(value: unknown): SizeChoice {
  if (typeof value === 'object' && value !== null) {
    const it = value as Record<string, unknown>
    const ratio = ratios.find((name) => name === it.ratio)
    if (it.kind === 'ratio' && ratio !== undefined) return { kind: 'ratio', ratio }
    if (it.kind === 'custom' && typeof it.width === 'number' && typeof it.height === 'number') {
      return { kind: 'custom', width: it.width, height: it.height }
    }
  }
  return { kind: 'ratio', ratio: '1:1' }
}

export function cleanSeed(value: number): number {
  return Number.isFinite(value) ? clamp(Math.floor(value), 0, maxSeed) : 0
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
