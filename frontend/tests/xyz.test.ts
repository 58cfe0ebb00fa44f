import { describe, expect, it } from 'vitest'
import { type Axis, cellCount, orders, unfit } from '../src/lib/xyz'

const choices = { samplers: ['Euler', 'Euler a'], schedulers: ['Automatic', 'Karras'], models: ['spark'], limits: { max_side: 2048, side_multiple: 8, min_side: 64, max_steps: 150 } }
const axes: [Axis, Axis, Axis] = [
  { setting: 'steps', values: '10\n20\n20\n' },
  { setting: 'sampler', values: 'Euler\neuler A' },
  { setting: 'prompt', values: 'red\nblue' },
]

describe('an X/Y/Z grid', () => {
  it('orders every combination, columns fastest', () => {
    const made = orders({ prompt: 'a red fox', seed: 7 }, axes, choices)
    expect(cellCount(axes)).toBe(8)
    expect(made.length).toBe(8)
    expect(made.slice(0, 3)).toEqual([
      { prompt: 'a red fox', seed: 7, count: 1, steps: 10, sampler: 'Euler' },
      { prompt: 'a red fox', seed: 7, count: 1, steps: 20, sampler: 'Euler' },
      { prompt: 'a red fox', seed: 7, count: 1, steps: 10, sampler: 'Euler a' },
    ])
    expect(made[7]).toEqual({ prompt: 'a blue fox', seed: 7, count: 1, steps: 20, sampler: 'Euler a' })
  })

  it('says which values do not fit', () => {
    expect(unfit(axes, 'a red fox', choices)).toEqual([])
    expect(unfit([{ setting: 'steps', values: '0\n20\nx\n151' }, { setting: 'width', values: '65\n64' }, { setting: 'prompt', values: 'green\nred' }], 'a red fox', choices)).toEqual(['0', 'x', '151', '65', 'green'])
  })
})
