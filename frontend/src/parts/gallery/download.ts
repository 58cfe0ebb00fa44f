// Brings original files to the person's downloads folder.

import type { Picture } from '../../lib/types'

/** One file after the other; a browser asks once before it takes several. */
export function download(pictures: readonly Picture[]): void {
  for (const picture of pictures) {
    const link = document.createElement('a')
    link.href = `${picture.url}?download=1`
    link.download = `${picture.id}.png`
    link.click()
  }
}
