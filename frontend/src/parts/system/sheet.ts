// Puts a grid's pictures with their labels onto one canvas and saves it as a PNG file.

const label = 36
const gap = 8

async function load(id: string): Promise<HTMLImageElement> {
  const image = new Image()
  image.src = `/outputs/${encodeURIComponent(id)}.png`
  await image.decode()
  return image
}

/** `cells` are picture ids by row and column; null leaves a hole. A canvas is at most 16,384 pixels wide and high. */
export async function saveSheet(title: string, columns: readonly string[], rows: readonly string[], cells: readonly (readonly (string | null)[])[]): Promise<void> {
  const images = await Promise.all(cells.map((row) => Promise.all(row.map((id) => (id === null ? null : load(id))))))
  const all = images.flat().filter((image) => image !== null)
  const first = all[0]
  if (first === undefined) return
  const largest = all.reduce((side, image) => Math.max(side, image.naturalWidth, image.naturalHeight), 1)
  const side = Math.max(128, Math.min(largest, Math.floor(16_000 / Math.max(columns.length, rows.length)) - gap))
  const canvas = document.createElement('canvas')
  const pen = canvas.getContext('2d')
  if (pen === null) return
  const font = '600 16px system-ui, sans-serif'
  pen.font = font
  const left = Math.min(320, Math.max(0, ...rows.map((text) => Math.ceil(pen.measureText(text).width)))) + gap * 2
  const top = label + (title === '' ? 0 : label)
  canvas.width = left + columns.length * (side + gap)
  canvas.height = top + rows.length * (side + gap)
  pen.fillStyle = '#fff'
  pen.fillRect(0, 0, canvas.width, canvas.height)
  pen.fillStyle = '#222'
  pen.font = font
  pen.textBaseline = 'middle'
  if (title !== '') pen.fillText(title, gap, label / 2)
  rows.forEach((text, row) => pen.fillText(text, gap, top + row * (side + gap) + side / 2, left - gap * 2))
  pen.textAlign = 'center'
  columns.forEach((text, column) => pen.fillText(text, left + column * (side + gap) + side / 2, top - label / 2, side))
  images.forEach((row, y) =>
    row.forEach((image, x) => {
      if (image === null) return
      const scale = Math.min(side / image.naturalWidth, side / image.naturalHeight)
      pen.imageSmoothingEnabled = scale < 1
      pen.drawImage(image, left + x * (side + gap), top + y * (side + gap), image.naturalWidth * scale, image.naturalHeight * scale)
    }),
  )
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
  if (blob === null) return
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = 'grid.png'
  link.click()
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
