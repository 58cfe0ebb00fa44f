// What a picture's settings say, as pairs for people; and what differs between two pictures.

import { say, t } from '../text'
import type { Picture, Settings } from './types'

/** Settings that have words of their own; the rest is shown by its name. */
const named = new Set(['model', 'prompt', 'negative_prompt', 'width', 'height', 'steps', 'cfg_scale', 'seed', 'sampler', 'scheduler'])

/** Name and value of the usual settings, in the order of their weight. Prompts are not among them. */
export function mainFacts(picture: Picture): [string, string][] {
  const it = picture.settings
  const facts: [string, string][] = [[t.gallery.size, `${picture.width}×${picture.height}`]]
  if (it !== null) {
    facts.push([t.gallery.steps, say.number(it.steps)], [t.gallery.cfg, say.number(it.cfg_scale, 2)], [t.gallery.sampler, it.sampler])
    if (it.scheduler) facts.push([t.gallery.scheduler, it.scheduler])
    // A seed is copied and compared, so it is written without separators.
    if (it.seed >= 0) facts.push([t.gallery.seed, String(it.seed)])
    facts.push([t.gallery.modelName, it.model])
  }
  facts.push([t.gallery.made, say.moment(picture.created)], [t.gallery.file, `${picture.id}.png`])
  return facts.filter(([, value]) => value !== '')
}

/** Everything else that was set, such as a second pass, each as one line of words and numbers. */
export function otherFacts(settings: Settings): [string, string][] {
  return Object.entries(settings)
    .filter(([name, value]) => !named.has(name) && value !== undefined && value !== null && value !== '')
    .map(([name, value]) => [spaced(name), flat(value)])
}

const spaced = (name: string): string => name.replaceAll('_', ' ')

function flat(value: unknown): string {
  if (Array.isArray(value)) return value.map(flat).join('; ')
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .filter(([, inner]) => inner !== undefined && inner !== null && inner !== '')
      .map(([name, inner]) => `${spaced(name)} ${flat(inner)}`)
      .join(', ')
  }
  return String(value)
}

/** Name and both values of what differs between two pictures' settings. */
export function differences(left: Picture, right: Picture): [string, string, string][] {
  const all = (picture: Picture): Map<string, string> => {
    const it = picture.settings
    const pairs: [string, string][] = it === null ? [] : [[t.gallery.prompt, it.prompt], [t.gallery.negative, it.negative_prompt]]
    for (const pair of mainFacts(picture)) if (pair[0] !== t.gallery.made && pair[0] !== t.gallery.file) pairs.push(pair)
    return new Map([...pairs, ...(it === null ? [] : otherFacts(it))])
  }
  const [one, other] = [all(left), all(right)]
  return [...new Set([...one.keys(), ...other.keys()])]
    .map((name): [string, string, string] => [name, one.get(name) ?? '', other.get(name) ?? ''])
    .filter(([, first, second]) => first !== second)
}
