import { describe, expect, it } from 'vitest'
import { chosenModel, effective, emptyDraft, readDraft, requestBody, withAllSettings, withPrompt, withSeed } from '../src/lib/draft'
import type { ModelCard, Settings } from '../src/lib/types'

const limits = { max_side: 2048, side_multiple: 8, min_side: 64, max_steps: 150 }
const card = (id: string, side: number, is_default = false): ModelCard => ({
  id,
  name: id,
  family: 'sd1',
  licence: '',
  width: side,
  height: side,
  steps: 20,
  cfg_scale: 5,
  sampler: 'Euler',
  note: '',
  is_default,
  scheduler: null,
  file: '',
  size: 0,
  sha256: null,
  trigger_words: [],
  has_preview: false,
})
const spark = card('spark', 64, true)
const large = { ...card('large', 512), steps: 30, sampler: 'DDIM' }
const settings: Settings = {
  model: 'large',
  prompt: 'a fox',
  negative_prompt: 'snow',
  width: 704,
  height: 384,
  steps: 12,
  cfg_scale: 6.5,
  seed: 42,
  sampler: 'Euler a',
}

describe('a draft', () => {
  it('follows the model where nothing was chosen', () => {
    expect(effective(emptyDraft, spark, limits)).toEqual({ model: 'spark', width: 64, height: 64, steps: 20, cfgScale: 5, sampler: 'Euler' })
    expect(effective(emptyDraft, large, limits)).toMatchObject({ width: 512, steps: 30, sampler: 'DDIM' })
  })

  it('keeps its shape when the model changes', () => {
    const wide = { ...emptyDraft, size: { kind: 'ratio', ratio: '16:9' } as const }
    expect(effective(wide, spark, limits)).toMatchObject({ width: 112, height: 64 })
    expect(effective(wide, large, limits)).toMatchObject({ width: 704, height: 384 })
  })

  it('falls back to the default model when its own is gone', () => {
    expect(chosenModel({ ...emptyDraft, model: 'gone' }, [large, spark])?.id).toBe('spark')
    expect(chosenModel(emptyDraft, [])).toBeNull()
  })

  it('asks for a random seed unless one is fixed', () => {
    expect(requestBody({ ...emptyDraft, prompt: ' a car ' }, spark, limits)).toMatchObject({ prompt: 'a car', seed: -1, count: 1 })
    expect(requestBody({ ...emptyDraft, seedMode: 'fixed', seed: 7 }, spark, limits)).toMatchObject({ seed: 7 })
  })

  it('never asks for more than the limits', () => {
    const wild = { ...emptyDraft, steps: 9999, cfgScale: -3, count: 999, size: { kind: 'custom', width: 5, height: 1e9 } as const }
    expect(requestBody(wild, spark, limits)).toMatchObject({ steps: 150, cfg_scale: 1, count: 100, width: 64, height: 2048 })
  })
})

describe('settings of a picture', () => {
  it('are all taken over, shape and seed included', () => {
    const next = withAllSettings(emptyDraft, settings, [spark, large], limits)
    expect(next).toMatchObject({ model: 'large', size: { kind: 'ratio', ratio: '16:9' }, seedMode: 'fixed', seed: 42, steps: 12 })
    expect(requestBody(next, large, limits)).toEqual({ ...settings, count: 1 })
  })

  it('keep the present model when theirs is not installed', () => {
    expect(withAllSettings(emptyDraft, settings, [spark], limits)).toMatchObject({ model: 'spark', size: { kind: 'custom', width: 704, height: 384 } })
  })

  it('can be taken over in part', () => {
    expect(withSeed(emptyDraft, settings)).toMatchObject({ seedMode: 'fixed', seed: 42, prompt: '' })
    expect(withPrompt(emptyDraft, settings)).toMatchObject({ prompt: 'a fox', negativePrompt: 'snow', seedMode: 'random' })
  })
})

describe('a stored draft', () => {
  it('comes back as it was', () => {
    const draft = withAllSettings(emptyDraft, settings, [spark, large], limits)
    expect(readDraft(JSON.stringify(draft))).toEqual(draft)
  })

  it('is repaired where it does not fit', () => {
    expect(readDraft(null)).toEqual(emptyDraft)
    expect(readDraft('{')).toEqual(emptyDraft)
    expect(readDraft('[1]')).toEqual(emptyDraft)
    expect(readDraft('{"steps":"x","seed":-4,"size":{"kind":"ratio","ratio":"7:1"},"count":400}')).toEqual({ ...emptyDraft, count: 100 })
  })
})
