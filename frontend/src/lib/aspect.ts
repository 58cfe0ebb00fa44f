// Sizes for the shape buttons, derived from the model's native size.

import type { Limits } from './types'

export const ratios = ['1:1', '3:2', '2:3', '16:9', '9:16'] as const
export type Ratio = (typeof ratios)[number]

export interface Size {
  width: number
  height: number
}

function ratioValue(ratio: Ratio): number {
  const [across, down] = ratio.split(':').map(Number)
  return (across ?? 1) / (down ?? 1)
}

/** Large models were trained on sides that are multiples of 64; small ones take the server's own step. */
function sideStep(native: Size, limits: Limits): number {
  const step = Math.max(1, limits.side_multiple)
  return Math.min(native.width, native.height) >= 512 && 64 % step === 0 ? 64 : step
}

const shapeTolerance = Math.log(1.05)

/**
 * The size of one shape: sides are multiples of the model's step within the limits, the shape is met
 * within 5 % where possible, and the area stays close to the native one, rather below than above.
 */
export function sizeFor(ratio: Ratio, native: Size, limits: Limits): Size {
  const wanted = ratioValue(ratio)
  if (wanted === 1 && native.width === native.height) return { width: native.width, height: native.height }
  const step = sideStep(native, limits)
  const area = native.width * native.height
  const longest = Math.min(limits.max_side, Math.ceil((2 * Math.max(native.width, native.height)) / step) * step)
  const first = Math.ceil(limits.min_side / step) * step
  let best: Size = { width: native.width, height: native.height }
  let bestCost = Number.POSITIVE_INFINITY
  for (let width = first; width <= longest; width += step) {
    for (let height = first; height <= longest; height += step) {
      const shapeError = Math.abs(Math.log(width / height / wanted))
      const areaError = Math.log((width * height) / area)
      const outside = shapeError > shapeTolerance ? 100 * shapeError : 0
      const cost = outside + 2 * shapeError + (areaError > 0 ? 3 * areaError : -areaError)
      if (cost < bestCost - 1e-9) {
        bestCost = cost
        best = { width, height }
      }
    }
  }
  return best
}

/** Nearest allowed side for a number a person typed. */
export function snapSide(value: number, limits: Limits): number {
  const step = Math.max(1, limits.side_multiple)
  const low = Math.ceil(limits.min_side / step) * step
  const high = Math.floor(limits.max_side / step) * step
  if (!Number.isFinite(value)) return low
  return Math.min(high, Math.max(low, Math.round(value / step) * step))
}
