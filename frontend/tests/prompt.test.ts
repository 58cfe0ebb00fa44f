import { describe, expect, it } from 'vitest'
import { lorasIn, withLora, withStyles } from '../src/lib/prompt'
import { weigh } from '../src/lib/weigh'

/** The text after, with the selection in square brackets. */
function after(marked: string, up: boolean): string | null {
  const start = marked.indexOf('[')
  const end = marked.indexOf(']') - 1
  const text = marked.replace('[', '').replace(']', '')
  const it = weigh(text, start, end, up)
  if (it === null) return null
  const next = text.slice(0, it.from) + it.insert + text.slice(it.to)
  return `${next.slice(0, it.start)}[${next.slice(it.start, it.end)}]${next.slice(it.end)}`
}

describe('weights', () => {
  it('are put around the selection or the word at the cursor', () => {
    expect(after('a [red fox] in snow', true)).toBe('a ([red fox]:1.1) in snow')
    expect(after('a re[]d fox', false)).toBe('a ([red]:0.9) fox')
    expect(after('a [red ]fox', true)).toBe('a ([red]:1.1) fox')
  })

  it('grow, shrink, and go away at one', () => {
    expect(after('a ([red]:1.1) fox', true)).toBe('a ([red]:1.2) fox')
    expect(after('a (re[]d fox:1.1)', false)).toBe('a [red fox]')
    expect(after('a ([red])', true)).toBe('a ([red]:1.2)')
    expect(after('a [(red:1.3)] fox', true)).toBe('a [(red:1.4)] fox')
  })

  it('know tags and escaped brackets', () => {
    expect(after('fox <lora:ti[]ny:0.8>', true)).toBe('fox <[lora:tiny]:0.85>')
    expect(after('fox <lora:ti[]ny>', false)).toBe('fox <[lora:tiny]:0.95>')
    expect(after('\\(a[]\\)', true)).toBe('\\(([a]:1.1)\\)')
  })

  it('need something to weigh', () => {
    expect([after('[]', true), after('a , [] b', true)]).toEqual([null, null])
  })
})

describe('LoRAs', () => {
  it('are read from the prompt', () => {
    expect(lorasIn('a fox <lora:one:0.8> <lora:two>')).toEqual([
      { name: 'one', weight: 0.8 },
      { name: 'two', weight: 1 },
    ])
  })

  it('are called once, changed, and taken out', () => {
    expect(withLora('a fox', 'one', 0.8)).toBe('a fox <lora:one:0.8>')
    expect(withLora('a fox <lora:one:0.8>, red <lora:one:1>', 'one', 0.5)).toBe('a fox <lora:one:0.5>, red')
    expect(withLora('a fox <lora:one:0.8>', 'one', null)).toBe('a fox')
  })
})

describe('styles', () => {
  const styles = [
    { name: 'ink', prompt: 'ink drawing of {prompt}', negative_prompt: 'photo' },
    { name: 'sharp', prompt: 'sharp', negative_prompt: '' },
  ]

  it('stand around the prompt', () => {
    expect(withStyles('a fox', '', ['sharp', 'ink'], styles)).toEqual({ prompt: 'ink drawing of a fox, sharp', negative: 'photo' })
    expect(withStyles('a fox', 'blur', ['gone'], styles)).toEqual({ prompt: 'a fox', negative: 'blur' })
  })
})
