import { describe, expect, it } from 'vitest'
import { de } from '../src/text/de'
import { en } from '../src/text/en'
import { formats } from '../src/text/format'
import { bestLanguage } from '../src/text/language'

/** Every leaf with its path; functions count by their number of parameters, lists as one leaf. */
function leaves(value: unknown, path = ''): [string, string][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`))
  }
  return [[path, Array.isArray(value) ? `list of ${value.length}` : typeof value]]
}

function empty(value: unknown, path: string): string[] {
  if (typeof value === 'string') return value.trim() === '' ? [path] : []
  if (typeof value === 'object' && value !== null) return Object.entries(value).flatMap(([key, inner]) => empty(inner, `${path}.${key}`))
  return []
}

describe('the translations', () => {
  it('have the same keys, of the same kind', () => {
    expect(Object.fromEntries(leaves(de))).toEqual(Object.fromEntries(leaves(en)))
  })

  it('leave nothing empty', () => {
    expect([...empty(en, 'en'), ...empty(de, 'de')]).toEqual([])
  })

  it('are chosen as the browser wishes', () => {
    expect([['de-AT', 'en'], ['fr', 'de'], ['EN-gb', 'de'], ['ja'], []].map(bestLanguage)).toEqual(['de', 'de', 'en', 'en', 'en'])
  })
})

describe('numbers', () => {
  const [english, german] = [formats('en'), formats('de')]

  it('are written as the language does', () => {
    expect([english.number(12345.678, 1), german.number(12345.678, 1)]).toEqual(['12,345.7', '12.345,7'])
    expect([english.percent(0.654), german.percent(0.654)]).toEqual(['65%', '65\u00a0%'])
  })

  it('choose their plural', () => {
    const forms = { one: '# picture', other: '# pictures' }
    expect([0, 1, 2, 20_000].map((count) => english.plural(count, forms))).toEqual(['0 pictures', '1 picture', '2 pictures', '20,000 pictures'])
  })

  it('say sizes and times', () => {
    expect([0, 1023, 1024, 1_900_000, 4_265_146_304].map(english.bytes)).toEqual(['0 B', '1,023 B', '1 KiB', '1.8 MiB', '4 GiB'])
    expect([0, 59, 61, 3600, 90_061].map(english.duration)).toEqual(['0 sec', '59 sec', '1 min 1 sec', '1 hr', '1 day 1 hr'])
    expect(english.moment('no date')).toBe('no date')
  })
})
