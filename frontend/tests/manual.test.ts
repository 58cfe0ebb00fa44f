import { expect, it } from 'vitest'
import { manual as german } from '../src/text/de/manual'
import { manual as english } from '../src/text/en/manual'

const server = import.meta.glob<string>('../../crates/server/src/**/*.rs', { query: '?raw', import: 'default', eager: true })

/** Every code that the server's source gives to an error; what stands below `mod tests` does not count. */
function codes(): string[] {
  const found = new Set<string>()
  for (const [file, text] of Object.entries(server)) {
    // The dialects answer in the words of those whose programs they serve.
    if (/src\/(sdapi|openai|comfy)/.test(file)) continue
    const source = text.split('#[cfg(test)]')[0] ?? ''
    for (const [, code] of source.matchAll(/(?:ApiError::new\(\s*\d+,\s*|Self::new\(\s*\d+,\s*|\bcode:\s*|\b(?:bad|refuse|refused|unknown|unfit)\(\s*)"([a-z]+(?:_[a-z]+)*)"/g)) {
      if (code !== undefined) found.add(code)
    }
  }
  return [...found].sort()
}

it('every error code of the server has an answer, in every language', () => {
  const all = codes()
  expect(all.length).toBeGreaterThan(30)
  expect(all).toContain('queue_full')
  for (const manual of [english, german]) expect(all.filter((code) => !Object.hasOwn(manual.errors, code))).toEqual([])
})

it('the manual is equally long in every language', () => {
  expect(german.topics.length).toBe(english.topics.length)
  expect(Object.keys(german.errors)).toEqual(Object.keys(english.errors))
})
