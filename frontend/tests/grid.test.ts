import { describe, expect, it } from 'vitest'
import { gridShape, moved, scrollTo, visibleRows } from '../src/lib/grid'

describe('a grid of 20,000 pictures', () => {
  const shape = gridShape(1000, 20_000, 150, 10)

  it('fills the width with columns', () => {
    expect(shape).toEqual({ columns: 6, side: 158, rows: 3334, pitch: 168, height: 3334 * 168 - 10 })
  })

  it('draws only what is seen, wherever it is scrolled to', () => {
    for (const scrolled of [-50, 0, 167, 168, 100_000, shape.height - 800, shape.height + 5000]) {
      const { start, end } = visibleRows(shape, scrolled, 800, 2)
      expect(end - start).toBeLessThanOrEqual(Math.ceil(800 / 168) + 1 + 4)
      expect(start).toBeGreaterThanOrEqual(0)
      expect(end).toBeLessThanOrEqual(shape.rows)
      expect(end).toBeGreaterThan(start)
    }
  })

  it('scrolls just as far as needed', () => {
    expect(scrollTo(shape, 0, 500, 800)).toBe(0)
    expect(scrollTo(shape, 7, 100, 800)).toBe(100)
    expect(scrollTo(shape, 60, 0, 800)).toBe(10 * 168 + 158 - 800)
  })

  it('is walked through by keys', () => {
    const go = (key: string, from: number): number | null => moved(key, from, shape, 20_000, 800)
    expect([go('ArrowRight', 0), go('ArrowDown', 0), go('ArrowUp', 3), go('ArrowLeft', 0), go('End', 3), go('Home', 900)]).toEqual([1, 6, 3, 0, 19_999, 0])
    expect([go('PageDown', 0), go('PageUp', 30), go('ArrowDown', 19_999), go('x', 3)]).toEqual([24, 6, 19_999, null])
  })
})

it('a grid without width or pictures has a shape, too', () => {
  expect(gridShape(0, 0, 150, 10)).toEqual({ columns: 1, side: 1, rows: 0, pitch: 11, height: 0 })
  expect(visibleRows(gridShape(0, 0, 150, 10), 0, 0, 2)).toEqual({ start: 0, end: 0 })
  expect(moved('End', 0, gridShape(320, 0, 150, 10), 0, 500)).toBeNull()
})
