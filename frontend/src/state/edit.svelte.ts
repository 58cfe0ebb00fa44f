// What the Edit screen works on.

import { api } from '../lib/api'
import type { Picture, PictureRef, Settings } from '../lib/types'
import { problemOf, studio } from './studio.svelte'

/** The picture that is worked on. */
export interface Source {
  ref: PictureRef
  /** Where the browser finds it: on the server, or a `blob:` of a dropped file. */
  url: string
  name: string
  width: number
  height: number
  settings: Partial<Settings> | null
}

export type EditMode = 'redraw' | 'paint' | 'extend' | 'enlarge'

class Edit {
  source = $state.raw<Source | null>(null)
  mode = $state<EditMode>('redraw')

  openPicture(picture: Picture, mode: EditMode = this.mode): void {
    this.take({
      ref: `output:${picture.id}`,
      url: picture.url,
      name: picture.settings?.prompt || picture.id,
      width: picture.width,
      height: picture.height,
      settings: picture.settings,
    }, mode)
  }

  /** Sends a file of this person to the server and works on it. */
  async openFile(file: File, mode: EditMode = this.mode): Promise<void> {
    try {
      const [upload, facts] = await Promise.all([api.upload(file), api.read(file).catch(() => null)])
      this.take({ ref: upload.picture, url: URL.createObjectURL(file), name: file.name, width: upload.width, height: upload.height, settings: facts?.settings ?? null }, mode)
    } catch (error) {
      studio.problem = problemOf(error)
    }
  }

  private take(source: Source, mode: EditMode): void {
    if (this.source?.url.startsWith('blob:')) URL.revokeObjectURL(this.source.url)
    this.source = source
    this.mode = mode
  }
}

export const edit = new Edit()
