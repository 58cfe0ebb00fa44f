// Everything the page knows: the server's status, the queue, the history, and the person's draft.
// Events from the server and clicks of the person both end here; the parts only show it.

import { api, Refused, Unreachable } from '../lib/api'
import { chosenModel, type Draft, effective, readDraft, requestBody, withAllSettings, withPrompt, withSeed } from '../lib/draft'
import { listen, type ServerEvent } from '../lib/events'
import { mergePictures, neighbour } from '../lib/history'
import { recall, remember } from '../lib/storage'
import type { Job, Line, Picture, Problem, Progress, Settings, Shelf, Status } from '../lib/types'
import { t } from '../text'

const pageSize = 60
const undoTime = 12_000
/** How far a variation turns from its picture. */
const varyStrength = 0.25
const varyCount = 4

export interface Removed {
  picture: Picture
  timer: number
}

/** A picture file that a person dropped, pasted or opened. */
export interface Brought {
  file: File
  /** Whether it carried settings. */
  found: boolean
  remarks: string[]
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Refused) return error.problem
  if (error instanceof Unreachable) return { code: 'unreachable', message: t.problem.unreachable, hint: t.problem.unreachableHint }
  return { code: 'page', message: String(error), hint: null }
}

class Studio {
  status = $state.raw<Status | null>(null)
  connection = $state<'connecting' | 'open' | 'lost'>('connecting')

  shelf = $state.raw<Shelf>({ models: [], assets: [], styles: [] })

  running = $state.raw<Job | null>(null)
  waiting = $state.raw<Job[]>([])
  paused = $state(false)
  progress = $state.raw<Progress | null>(null)
  /** The last preview of the running job; kept while the finished picture loads. */
  preview = $state.raw<string | null>(null)

  pictures = $state.raw<Picture[]>([])
  more = $state(false)
  loadingMore = $state(false)
  historyLoaded = $state(false)

  /** Id of the picture on the stage; null shows the newest. */
  selected = $state<string | null>(null)
  /** The stage shows the work in progress rather than the selected picture. */
  following = $state(true)

  /** The jobs ordered together last, shown as a grid when there are several. */
  batch = $state.raw<Job[]>([])
  gridOpen = $state(false)

  draft = $state<Draft>(readDraft(recall('draft')))
  problem = $state.raw<Problem | null>(null)
  removed = $state.raw<Removed | null>(null)
  /** What the live region says. */
  announcement = $state('')
  sending = $state(false)
  viewerOpen = $state(false)
  keysOpen = $state(false)
  /** A file whose settings were read, with what was not understood. */
  brought = $state.raw<Brought | null>(null)
  /** Shown on the stage until it is in the history. */
  private expected: string | null = null
  private spokenStep = 0

  model = $derived(this.status ? chosenModel(this.draft, this.status.models) : null)
  effective = $derived(this.status && this.model ? effective(this.draft, this.model, this.status.limits) : null)
  /** The picture that the stage shows when it does not follow work in progress. */
  shown = $derived(this.pictures.find((picture) => picture.id === this.selected) ?? (this.selected === null ? this.pictures[0] : undefined) ?? null)
  grid = $derived(this.gridOpen && this.batch.length > 1)
  /** What was done otherwise than asked, for the shown picture. */
  remarks = $derived(this.batch.find((job) => job.picture !== null && job.picture === this.shown?.id)?.remarks ?? [])
  live = $derived(this.following && this.running !== null)

  start(): () => void {
    void this.refresh()
    return listen(
      (event) => this.handle(event),
      () => (this.connection = 'lost'),
    )
  }

  /** Asks for status and the newest pictures again: at the start and after every reconnection. */
  async refresh(): Promise<void> {
    try {
      const [status, newest] = await Promise.all([api.status(), api.pictures({ limit: pageSize })])
      this.status = status
      // After a gap the server's newest page replaces what we believed of that range.
      const oldest = newest.pictures.at(-1)?.id
      const older = newest.more && oldest !== undefined ? this.pictures.filter((picture) => picture.id < oldest) : []
      this.pictures = mergePictures(older, newest.pictures)
      if (older.length === 0) this.more = newest.more
      this.historyLoaded = true
      this.shelf = await api.shelf().catch(() => this.shelf)
    } catch (error) {
      if (!(error instanceof Unreachable)) this.problem = problemOf(error)
    }
  }

  private handle(event: ServerEvent): void {
    switch (event.kind) {
      case 'hello': {
        const again = this.connection === 'lost'
        this.connection = 'open'
        if (this.problem?.code === 'unreachable') this.problem = null
        this.setLine(event.line)
        if (again || this.status === null) void this.refresh()
        break
      }
      case 'line':
        this.setLine(event.line)
        break
      case 'job':
        this.takeJob(event.job)
        break
      case 'progress':
        this.takeProgress(event.progress)
        break
      case 'picture':
        this.pictures = mergePictures(this.pictures, [event.picture])
        break
      case 'removed':
        this.drop(event.id)
        break
    }
  }

  setLine(line: Line): void {
    if (line.running?.id !== this.running?.id) this.forgetProgress()
    this.running = line.running
    this.waiting = line.waiting
    this.paused = line.paused
  }

  private takeJob(job: Job): void {
    if (this.batch.some((one) => one.id === job.id)) this.batch = this.batch.map((one) => (one.id === job.id ? job : one))
    this.waiting = this.waiting.filter((other) => other.id !== job.id)
    if (job.state === 'waiting') {
      this.waiting = [...this.waiting, job].sort((left, right) => left.position - right.position)
      return
    }
    if (job.state === 'running') {
      if (this.running?.id !== job.id) {
        this.forgetProgress()
        this.announcement = t.announce.started(job.settings.prompt)
      }
      this.running = job
      return
    }
    const ours = this.running?.id === job.id
    if (ours) this.running = null
    if (job.state === 'done' && job.picture !== null) {
      this.announcement = t.announce.ready(job.settings.prompt)
      if (this.following) {
        this.selected = job.picture
        this.expect(job.picture)
      }
    } else if (job.state === 'failed') {
      this.problem = job.error ?? { code: 'failed', message: t.problem.failedJob, hint: null }
    } else if (job.state === 'cancelled') {
      this.announcement = t.announce.stopped
      if (ours) this.preview = null
    }
  }

  /** The event with the picture may come a moment after the job's; if it never comes, ask. */
  private expect(id: string): void {
    this.expected = id
    window.setTimeout(() => {
      if (this.expected === id && !this.pictures.some((picture) => picture.id === id)) void this.refresh()
    }, 1500)
  }

  private takeProgress(progress: Progress): void {
    if (this.running !== null && this.running.id !== progress.id) return
    this.progress = progress
    if (progress.preview !== null) this.preview = progress.preview
    const quarter = Math.max(1, Math.floor(progress.steps / 4))
    if (progress.step >= this.spokenStep + quarter && progress.step < progress.steps) {
      this.spokenStep = progress.step
      this.announcement = t.announce.step(progress.step, progress.steps)
    }
  }

  private forgetProgress(): void {
    this.progress = null
    this.preview = null
    this.spokenStep = 0
  }

  private drop(id: string): void {
    if (!this.pictures.some((picture) => picture.id === id)) return
    if (this.shown?.id === id) this.selected = neighbour(this.pictures, id)
    this.pictures = this.pictures.filter((picture) => picture.id !== id)
  }

  /** Orders what the draft says. */
  async generate(): Promise<void> {
    if (this.status === null || this.model === null) {
      const missing = this.status !== null
      this.problem = missing
        ? { code: 'no_model', message: t.problem.noModel, hint: t.problem.noModelHint }
        : { code: 'unreachable', message: t.problem.unreachable, hint: t.problem.unreachableHint }
      return
    }
    await this.order(requestBody(this.draft, this.model, this.status.limits, this.shelf.styles))
  }

  /** Orders pictures and follows them on the stage. */
  async order(body: unknown): Promise<boolean> {
    if (this.sending) return false
    this.sending = true
    this.problem = null
    try {
      const jobs = await api.generate(body)
      this.following = true
      this.gridOpen = jobs.length > 1
      this.batch = jobs
      for (const job of jobs) {
        // Events may have overtaken this answer; then they know better.
        const known = this.running?.id === job.id ? this.running : this.waiting.find((other) => other.id === job.id)
        const now = known ?? (await api.job(job.id))
        if (now === null) continue
        if (known === undefined && (now.state === 'waiting' || now.state === 'running')) this.takeJob(now)
        this.batch = this.batch.map((one) => (one.id === now.id && (one.state === 'waiting' || one.state === 'running') ? now : one))
      }
      if (this.waiting.length > 0) this.announcement = t.announce.waiting(this.waiting.length)
      return true
    } catch (error) {
      this.problem = problemOf(error)
      return false
    } finally {
      this.sending = false
    }
  }

  /** Four pictures near this one. */
  async vary(settings: Settings): Promise<void> {
    const orders = Array.from({ length: varyCount }, () => ({
      ...settings,
      variation: { seed: Math.floor(Math.random() * 2 ** 32), strength: varyStrength },
    }))
    await this.order({ orders })
  }

  /** Enlarges a picture as it is; nothing is drawn. */
  async enlarge(picture: Picture, upscaler = this.upscalers[0]?.name): Promise<void> {
    if (upscaler === undefined) return
    const { prompt = '', negative_prompt = '' } = picture.settings ?? {}
    await this.order({ prompt, negative_prompt, enlarge: `output:${picture.id}`, upscale: upscaler })
  }

  upscalers = $derived(this.shelf.assets.filter((asset) => asset.kind === 'upscaler'))

  /** Stops a job and all that were ordered with it. */
  async stopBatch(job: Job): Promise<void> {
    const alone = !this.waiting.some((other) => other.batch === job.batch)
    if (alone) return this.cancel(job)
    try {
      await api.cancelBatch(job.batch)
    } catch (error) {
      if (!(error instanceof Refused && (error.status === 404 || error.status === 409))) this.problem = problemOf(error)
    }
  }

  async cancel(job: Job): Promise<void> {
    try {
      const after = await api.cancel(job.id)
      if (after !== null && after.state === 'cancelled') this.takeJob(after)
    } catch (error) {
      // 404 and 409: it is over already, which is what was wanted.
      if (!(error instanceof Refused && (error.status === 404 || error.status === 409))) this.problem = problemOf(error)
    }
  }

  async loadMore(): Promise<void> {
    const oldest = this.pictures.at(-1)
    if (this.loadingMore || !this.more || oldest === undefined) return
    this.loadingMore = true
    try {
      const page = await api.pictures({ limit: pageSize, before: oldest.id })
      this.pictures = mergePictures(this.pictures, page.pictures)
      this.more = page.more && page.pictures.length > 0
    } catch (error) {
      this.more = !(error instanceof Refused)
      if (error instanceof Refused) this.problem = problemOf(error)
    } finally {
      this.loadingMore = false
    }
  }

  show(picture: Picture): void {
    this.selected = picture.id
    this.following = false
    this.gridOpen = false
  }

  /** Moves the stage by `by` pictures; positive is older. */
  move(by: number): void {
    const at = this.pictures.findIndex((picture) => picture.id === this.shown?.id)
    const target = this.pictures[Math.min(this.pictures.length - 1, Math.max(0, at + by))]
    if (target !== undefined) this.show(target)
    if (at + by >= this.pictures.length - 4) void this.loadMore()
  }

  async remove(picture: Picture): Promise<void> {
    try {
      await api.remove(picture.id)
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) {
        this.problem = problemOf(error)
        return
      }
    }
    this.drop(picture.id)
    this.dismissRemoved()
    this.removed = { picture, timer: window.setTimeout(() => this.dismissRemoved(), undoTime) }
    this.announcement = t.announce.deleted
  }

  dismissRemoved(): void {
    if (this.removed !== null) window.clearTimeout(this.removed.timer)
    this.removed = null
  }

  async undo(): Promise<void> {
    const removed = this.removed
    if (removed === null) return
    this.dismissRemoved()
    try {
      const picture = (await api.restore(removed.picture.id)) ?? removed.picture
      this.pictures = mergePictures(this.pictures, [picture])
      this.show(picture)
      this.announcement = t.announce.restored
    } catch (error) {
      this.problem = problemOf(error)
    }
  }

  /** Brings back what a picture file says about how it was made. */
  async readFile(file: File): Promise<void> {
    try {
      const facts = await api.read(file)
      if (facts.settings !== null) this.useAll(facts.settings)
      this.brought = { file, found: facts.settings !== null, remarks: facts.remarks }
    } catch (error) {
      this.problem = problemOf(error)
    }
  }

  useAll(settings: Partial<Settings>): void {
    if (this.status === null) return
    this.draft = withAllSettings(this.draft, settings, this.status.models, this.status.limits)
    this.announcement = t.announce.applied
  }

  usePrompt(settings: Settings): void {
    this.draft = withPrompt(this.draft, settings)
    this.announcement = t.announce.applied
  }

  useSeed(settings: Settings): void {
    this.draft = withSeed(this.draft, settings)
    this.announcement = t.announce.applied
  }

  keepDraft(): void {
    remember('draft', JSON.stringify(this.draft))
  }
}

export const studio = new Studio()
