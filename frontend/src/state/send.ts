// Takes a picture from anywhere to where something is done with it.

import type { Picture } from '../lib/types'
import { edit, type EditMode } from './edit.svelte'
import { route } from './route.svelte'
import { studio } from './studio.svelte'

export const send = {
  /** Opens Create with the picture's settings. */
  toCreate(picture: Picture, what: 'all' | 'prompt' | 'seed' = 'all'): void {
    if (picture.settings !== null) {
      if (what === 'all') studio.useAll(picture.settings)
      else if (what === 'prompt') studio.usePrompt(picture.settings)
      else studio.useSeed(picture.settings)
    }
    studio.show(picture)
    route.go('create')
  },

  /** Opens Edit with the picture on its table. */
  toEdit(picture: Picture, mode?: EditMode): void {
    edit.openPicture(picture, mode)
    route.go('edit')
  },

  /** The same for a file from this person's disk. */
  async fileToEdit(file: File, mode?: EditMode): Promise<void> {
    route.go('edit')
    await edit.openFile(file, mode)
  },
}
