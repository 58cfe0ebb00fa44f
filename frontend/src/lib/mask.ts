// A mask as the list of what was done to it, so that every step can be undone; drawn anew on a canvas.

export interface Point {
  x: number
  y: number
  /** 0 to 1, from a pen; 1 from anything else. */
  pressure: number
}

export type MaskStep =
  | { kind: 'stroke'; erase: boolean; size: number; points: Point[] }
  | { kind: 'rectangle'; erase: boolean; x: number; y: number; width: number; height: number }
  | { kind: 'invert' }
  | { kind: 'clear' }

/** What was done, and what was undone and can be done again. */
export interface MaskHistory {
  readonly done: readonly MaskStep[]
  readonly undone: readonly MaskStep[]
}

export const noSteps: MaskHistory = { done: [], undone: [] }

export const withStep = (history: MaskHistory, step: MaskStep): MaskHistory => ({ done: [...history.done, step], undone: [] })

export function undone(history: MaskHistory): MaskHistory {
  const last = history.done.at(-1)
  return last === undefined ? history : { done: history.done.slice(0, -1), undone: [...history.undone, last] }
}

export function redone(history: MaskHistory): MaskHistory {
  const last = history.undone.at(-1)
  return last === undefined ? history : { done: [...history.done, last], undone: history.undone.slice(0, -1) }
}

/** Masked is opaque in `colour`, the rest transparent. */
export function drawMask(canvas: HTMLCanvasElement, steps: readonly MaskStep[], colour: string): void {
  const pen = canvas.getContext('2d')
  if (pen === null) return
  pen.globalCompositeOperation = 'source-over'
  pen.clearRect(0, 0, canvas.width, canvas.height)
  pen.fillStyle = colour
  pen.strokeStyle = colour
  pen.lineCap = 'round'
  pen.lineJoin = 'round'
  for (const step of steps) drawStep(pen, canvas, step)
}

function drawStep(pen: CanvasRenderingContext2D, { width, height }: { width: number; height: number }, step: MaskStep): void {
  if (step.kind === 'clear') return pen.clearRect(0, 0, width, height)
  if (step.kind === 'invert') {
    pen.globalCompositeOperation = 'xor'
    return pen.fillRect(0, 0, width, height)
  }
  pen.globalCompositeOperation = step.erase ? 'destination-out' : 'source-over'
  if (step.kind === 'rectangle') return pen.fillRect(step.x, step.y, step.width, step.height)
  step.points.forEach((point, index) => {
    const from = step.points[index - 1] ?? point
    pen.lineWidth = Math.max(1, step.size * point.pressure)
    pen.beginPath()
    pen.moveTo(from.x, from.y)
    // A line without length would be no dot in some browsers.
    pen.lineTo(point.x + 0.01, point.y)
    pen.stroke()
  })
}

/** The share of the picture that is masked, 0 to 1, from a small copy. */
export function maskedShare(mask: HTMLCanvasElement): number {
  const small = document.createElement('canvas')
  small.width = small.height = 128
  const pen = small.getContext('2d', { willReadFrequently: true })
  if (pen === null || mask.width === 0 || mask.height === 0) return 0
  pen.drawImage(mask, 0, 0, 128, 128)
  const { data } = pen.getImageData(0, 0, 128, 128)
  let masked = 0
  for (let at = 3; at < data.length; at += 4) masked += data[at] ?? 0
  return masked / (255 * 128 * 128)
}

/** White where masked, black elsewhere, as the server wants it. */
export async function maskFile(steps: readonly MaskStep[], width: number, height: number): Promise<Blob | null> {
  const white = document.createElement('canvas')
  const file = document.createElement('canvas')
  white.width = file.width = width
  white.height = file.height = height
  drawMask(white, steps, '#fff')
  const pen = file.getContext('2d')
  if (pen === null) return null
  pen.fillStyle = '#000'
  pen.fillRect(0, 0, width, height)
  pen.drawImage(white, 0, 0)
  return new Promise((resolve) => file.toBlob(resolve, 'image/png'))
}
