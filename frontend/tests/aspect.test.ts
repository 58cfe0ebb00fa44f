import { describe, expect, it } from 'vitest'
import { ratios, sizeFor, snapSide } from '../src/lib/aspect'

const limits = { max_side: 2048, side_multiple: 8, min_side: 64, max_steps: 150 }
const all = (side: number) => ratios.map((ratio) => Object.values(sizeFor(ratio, { width: side, height: side }, limits)).join('x'))

describe('sizes of the shape buttons', () => {
  it('are those people use with SDXL', () => {
    expect(all(1024)).toEqual(['1024x1024', '1216x832', '832x1216', '1344x768', '768x1344'])
  })

  it('keep close to the area of a 512 pixel model, in steps of 64', () => {
    expect(all(512)).toEqual(['512x512', '576x384', '384x576', '704x384', '384x704'])
  })

  it('do not go below the smallest side for a 64 pixel model', () => {
    expect(all(64)).toEqual(['64x64', '96x64', '64x96', '112x64', '64x112'])
  })

  it('are within the limits and multiples of the step for any native size', () => {
    for (const side of [64, 72, 128, 256, 320, 512, 640, 768, 1024, 1536, 2048]) {
      for (const ratio of ratios) {
        const { width, height } = sizeFor(ratio, { width: side, height: side }, limits)
        for (const length of [width, height]) {
          expect(length % limits.side_multiple).toBe(0)
          expect(length).toBeGreaterThanOrEqual(limits.min_side)
          expect(length).toBeLessThanOrEqual(limits.max_side)
        }
      }
    }
  })

  it('turn when the ratio turns', () => {
    const wide = sizeFor('16:9', { width: 768, height: 768 }, limits)
    const tall = sizeFor('9:16', { width: 768, height: 768 }, limits)
    expect([tall.height, tall.width]).toEqual([wide.width, wide.height])
  })
})

describe('a typed side', () => {
  it('goes to the nearest allowed one', () => {
    expect([1, 65, 69, 513, 99999, Number.NaN].map((side) => snapSide(side, limits))).toEqual([64, 64, 72, 512, 2048, 64])
  })
})
