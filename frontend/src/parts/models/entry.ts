// Checkpoints and every other installed file as one kind of thing, for cards and filters.

import type { AssetKind, ModelCard, Shelf } from '../../lib/types'
import { studio } from '../../state/studio.svelte'
import { t } from '../../text'

export interface Entry {
  kind: AssetKind
  name: string
  title: string
  family: string
  licence: string
  note: string
  file: string
  /** Bytes; 0 for what is built in. */
  size: number
  sha256: string | null
  words: string[]
  scale: number | null
  /** What a checkpoint recommends; null for other files. */
  model: ModelCard | null
  has_preview: boolean
}

export function entriesOf(shelf: Shelf): Entry[] {
  const models = shelf.models.map((model): Entry => ({
    ...model,
    kind: 'checkpoint',
    name: model.id,
    title: model.name,
    words: model.trigger_words,
    scale: null,
    model,
  }))
  const known = new Set(shelf.models.flatMap((model) => [model.id, model.file]))
  const assets = shelf.assets
    .filter((asset) => asset.kind !== 'checkpoint' || !(known.has(asset.name) || known.has(asset.file)))
    .map((asset): Entry => ({ ...asset, family: asset.family ?? '', words: asset.trigger_words, model: null }))
  return [...models, ...assets]
}

/** Entries that are of this kind and family and hold every word; an empty filter lets everything through. */
export function matching(entries: readonly Entry[], text: string, kind: string, family: string): Entry[] {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== '')
  return entries.filter((entry) => {
    if ((kind !== '' && entry.kind !== kind) || (family !== '' && entry.family !== family)) return false
    const all = [entry.name, entry.title, entry.family, entry.note, entry.file, ...entry.words].join(' ').toLowerCase()
    return words.every((word) => all.includes(word))
  })
}

/** Puts words behind the prompt, with a comma, once. */
export function addToPrompt(words: string): void {
  const prompt = studio.draft.prompt.trimEnd()
  if (!prompt.includes(words)) studio.draft.prompt = prompt === '' ? words : `${prompt.replace(/,$/, '')}, ${words}`
  studio.announcement = t.models.added(words)
}
