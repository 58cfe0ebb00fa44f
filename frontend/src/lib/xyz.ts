// An X/Y/Z grid: every combination of the values of up to three settings, as orders for the server.

import type { Limits } from './types'

export const gridSettings = ['steps', 'cfg_scale', 'seed', 'sampler', 'scheduler', 'model', 'prompt', 'width', 'height', 'clip_skip'] as const
export type GridSetting = (typeof gridSettings)[number]

export interface Axis {
  /** Empty: this axis varies nothing. */
  setting: GridSetting | ''
  /** One value a line. */
  values: string
}

/** Most pictures of one grid. */
export const mostCells = 400

export interface Choices {
  samplers: string[]
  schedulers: string[]
  models: string[]
  limits: Limits
}

export const linesOf = (values: string): string[] => [...new Set(values.split('\n').map((line) => line.trim()).filter((line) => line !== ''))]

/** What a line means for a setting; null when it does not fit. */
export function valueOf(setting: GridSetting, line: string, choices: Choices): string | number | null {
  const among = (names: string[]): string | null => names.find((name) => name.toLowerCase() === line.toLowerCase()) ?? null
  const whole = (least: number, most: number, multiple = 1): number | null => {
    const value = Number(line)
    return Number.isInteger(value) && value >= least && value <= most && value % multiple === 0 ? value : null
  }
  const { limits } = choices
  switch (setting) {
    case 'steps':
      return whole(1, limits.max_steps)
    case 'seed':
      return whole(0, Number.MAX_SAFE_INTEGER)
    case 'width':
    case 'height':
      return whole(limits.min_side, limits.max_side, limits.side_multiple)
    case 'clip_skip':
      return whole(1, 12)
    case 'cfg_scale': {
      const value = Number(line.replace(',', '.'))
      return Number.isFinite(value) && value >= 0 && value <= 30 ? value : null
    }
    case 'sampler':
      return among(choices.samplers)
    case 'scheduler':
      return among(choices.schedulers)
    case 'model':
      return among(choices.models)
    case 'prompt':
      return line
  }
}

/** Lines that do not fit their setting. */
export function unfit(axes: readonly Axis[], prompt: string, choices: Choices): string[] {
  return axes.flatMap(({ setting, values }) => {
    if (setting === '') return []
    const lines = linesOf(values)
    const first = lines[0]
    if (setting === 'prompt' && first !== undefined && !prompt.includes(first)) return [first]
    return lines.filter((line) => valueOf(setting, line, choices) === null)
  })
}

/** The labels of an axis; one empty label when it varies nothing. */
export function labels(axis: Axis): string[] {
  const lines = axis.setting === '' ? [] : linesOf(axis.values)
  return lines.length > 0 ? lines : ['']
}

/** How many pictures the axes ask for. */
export const cellCount = (axes: readonly Axis[]): number => axes.reduce((count, axis) => count * labels(axis).length, 1)

/** One order per cell: columns change fastest, then rows, then sheets. */
export function orders(base: Record<string, unknown>, axes: readonly [Axis, Axis, Axis], choices: Choices): Record<string, unknown>[] {
  const [x, y, z] = axes
  const apply = (order: Record<string, unknown>, axis: Axis, line: string): Record<string, unknown> => {
    if (axis.setting === '' || line === '') return order
    const value = valueOf(axis.setting, line, choices)
    if (axis.setting !== 'prompt') return { ...order, [axis.setting]: value }
    return { ...order, prompt: String(order.prompt).replaceAll(labels(axis)[0] ?? '', line) }
  }
  return labels(z).flatMap((sheet) => labels(y).flatMap((row) => labels(x).map((column) => apply(apply(apply({ ...base, count: 1 }, z, sheet), y, row), x, column))))
}
