// The arithmetic of a grid that draws only what is seen. All lengths in CSS pixels.

export interface GridShape {
  columns: number
  /** Side of a square cell. */
  side: number
  rows: number
  /** From one row's top to the next one's. */
  pitch: number
  /** Height of all rows together. */
  height: number
}

/** As many columns of at least `least` as fit beside each other, sharing the width evenly. */
export function gridShape(width: number, total: number, least: number, gap: number): GridShape {
  const columns = Math.max(1, Math.floor((width + gap) / (least + gap)))
  const side = Math.max(1, Math.floor((width - gap * (columns - 1)) / columns))
  const rows = Math.ceil(total / columns)
  const pitch = side + gap
  return { columns, side, rows, pitch, height: Math.max(0, rows * pitch - gap) }
}

/** The rows to draw: those in view and `spare` more on each side; `end` is not drawn. */
export function visibleRows(shape: GridShape, scrolled: number, viewHeight: number, spare: number): { start: number; end: number } {
  const first = Math.floor(Math.max(0, scrolled) / shape.pitch)
  const last = Math.ceil((Math.max(0, scrolled) + viewHeight) / shape.pitch)
  const start = Math.min(Math.max(0, first - spare), Math.max(0, shape.rows - 1))
  return { start, end: Math.min(shape.rows, Math.max(start, last + spare)) }
}

/** Where to scroll so that the cell `index` is wholly in view; the same place when it is already. */
export function scrollTo(shape: GridShape, index: number, scrolled: number, viewHeight: number): number {
  const top = Math.floor(index / shape.columns) * shape.pitch
  if (top < scrolled) return top
  const bottom = top + shape.side
  return bottom > scrolled + viewHeight ? bottom - viewHeight : scrolled
}

/** Where a key leads from `index`, or null when the key does not move. */
export function moved(key: string, index: number, shape: GridShape, total: number, viewHeight: number): number | null {
  const page = Math.max(1, Math.floor(viewHeight / shape.pitch)) * shape.columns
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -shape.columns,
    ArrowDown: shape.columns,
    PageUp: -page,
    PageDown: page,
    Home: -total,
    End: total,
  }
  const by = steps[key]
  if (by === undefined || total === 0) return null
  const target = index + by
  // Up and down keep their column: at the edge they stay where they are.
  if ((key === 'ArrowUp' && target < 0) || (key === 'ArrowDown' && target >= total)) return index
  return Math.min(total - 1, Math.max(0, target))
}
