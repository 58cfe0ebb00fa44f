// What the Edit screen works on.

import { api } from '../lib/api'
import { snapSide } from '../lib/aspect'
import { requestBody } from '../lib/draft'
import { maskFile, type MaskHistory, noSteps } from '../lib/mask'
import type { Extend, Picture, PictureRef, Settings } from '../lib/types'
import { t } from '../text'
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

export const editModes = ['redraw', 'paint', 'extend', 'enlarge'] as const
export type EditMode = (typeof editModes)[number]

const noExtend: Extend = { left: 0, right: 0, top: 0, bottom: 0 }

class Edit {
  source = $state.raw<Source | null>(null)
  mode = $state<EditMode>('redraw')
  prompt = $state('')
  /** Per mode: new room holds nothing worth keeping. */
  strengths = $state.raw({ redraw: 0.6, paint: 0.75, extend: 1, enlarge: 0 })
  mask = $state.raw<MaskHistory>(noSteps)
  /** Pixels of softened edge. */
  feather = $state(8)
  fill = $state('original')
  /** Pixels around the masked part that is drawn alone; null draws the whole picture. */
  padding = $state<number | null>(null)
  extend = $state<Extend>({ ...noExtend })
  upscaler = $state('')
  /** Id of the job that was ordered last. */
  private ordered = $state<string | null>(null)
  job = $derived(studio.batch.find((job) => job.id === this.ordered) ?? null)
  result = $derived(this.job?.picture ? (studio.pictures.find((picture) => picture.id === this.job?.picture) ?? null) : null)

  /** Size of the picture to come, in pixels. */
  size = $derived.by(() => {
    const { source, mode, extend } = this
    const limits = studio.status?.limits
    if (source === null || limits === undefined) return null
    const grown = mode === 'extend' ? extend : noExtend
    const width = source.width + grown.left + grown.right
    const height = source.height + grown.top + grown.bottom
    const fit = Math.min(1, limits.max_side / Math.max(width, height))
    return { width: snapSide(width * fit, limits), height: snapSide(height * fit, limits) }
  })

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

  /** Orders what the table says. */
  async start(): Promise<void> {
    const { source, mode, size } = this
    const { model, status } = studio
    if (source === null || size === null || model === null || status === null) return
    const empty = { left: 0, right: 0, top: 0, bottom: 0 }
    if (mode === 'paint' && this.mask.done.length === 0) return this.say(t.make.table.noMask)
    if (mode === 'extend' && Object.values(this.extend).every((side) => side === 0)) return this.say(t.make.table.noExtend)
    try {
      if (mode === 'enlarge') {
        const upscaler = this.upscaler || studio.upscalers[0]?.name
        if (upscaler === undefined) return this.say(t.make.table.noUpscaler)
        await this.order({ prompt: this.prompt, enlarge: source.ref, upscale: upscaler })
        return
      }
      const draft = { ...studio.draft, prompt: this.prompt, count: 1, extra: { ...studio.draft.extra, hires: undefined, controls: undefined } }
      const body = requestBody(draft, model, status.limits, studio.shelf.styles)
      Object.assign(body, size, { init: { picture: source.ref, strength: this.strengths[mode], resize_mode: 'stretch' } })
      if (mode === 'paint') {
        const file = await maskFile(this.mask.done, source.width, source.height)
        if (file === null) return
        const mask = await api.upload(file)
        body.inpaint = { mask: mask.picture, mask_blur: this.feather, fill: this.fill, ...(this.padding === null ? {} : { only_masked: this.padding }), extend: empty }
      } else if (mode === 'extend') {
        body.inpaint = { mask_blur: this.feather, fill: 'fill', extend: { ...this.extend } }
      }
      await this.order(body)
    } catch (error) {
      studio.problem = problemOf(error)
    }
  }

  private async order(body: unknown): Promise<void> {
    if (await studio.order(body)) this.ordered = studio.batch[0]?.id ?? null
  }

  private say(message: string): void {
    studio.problem = { code: 'table', message, hint: null }
  }

  /** Puts the result on the table. */
  keep(): void {
    if (this.result !== null) this.openPicture(this.result)
  }

  /** Back to the picture, leaving the result in the history. */
  dropResult(): void {
    this.ordered = null
  }

  private take(source: Source, mode: EditMode): void {
    if (this.source?.url.startsWith('blob:')) URL.revokeObjectURL(this.source.url)
    this.source = source
    this.mode = mode
    this.ordered = null
    this.mask = noSteps
    // As wide on a small picture as on a large one.
    this.feather = Math.min(64, Math.max(1, Math.round(Math.min(source.width, source.height) / 64)))
    this.extend = { ...noExtend }
    this.prompt = source.settings?.prompt || this.prompt || studio.draft.prompt
  }
}

export const edit = new Edit()
