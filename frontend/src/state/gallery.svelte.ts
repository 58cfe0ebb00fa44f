// What the gallery shows: one list from the server, by search, stars, model or the trash; what is chosen in it.
// Pages come from the server as they are scrolled to; events keep what is loaded true.

import { SvelteSet } from 'svelte/reactivity'
import { api } from '../lib/api'
import { type ServerEvent, watchEvents } from '../lib/events'
import { mergePictures } from '../lib/history'
import type { Picture, PictureQuery, Problem } from '../lib/types'
import { say, t } from '../text'
import { problemOf } from './studio.svelte'

/** A screen full at first, so that a search is there at once; more at a time behind it. */
const firstPage = 100
const pageSize = 200
const typingPause = 150

class Gallery {
  query = $state('')
  starred = $state(false)
  model = $state('')
  trash = $state(false)

  pictures = $state.raw<Picture[]>([])
  /** How many there are in all, loaded or not. */
  total = $state(0)
  loaded = $state(false)
  /** What is shown answers a search or a filter. */
  searched = $state(false)
  problem = $state.raw<Problem | null>(null)
  announcement = $state('')

  /** Index of the picture that has the tab stop. */
  at = $state(0)
  selected = new SvelteSet<string>()
  /** Every click or Space adds to the choice, for fingers and for keyboards. */
  choosing = $state(false)
  /** What the last deletion took, to bring it back. */
  deleted = $state.raw<string[]>([])

  private anchor = 0
  private more = false
  private asked = 0
  private fetching: Promise<void> | null = null
  private timer = 0

  current = $derived<Picture | null>(this.pictures[this.at] ?? null)
  /** The pictures that a command means, in their order. */
  chosen = $derived(this.pictures.filter((picture) => this.selected.has(picture.id)))
  filtered = $derived(this.query.trim() !== '' || this.starred || this.model !== '')

  start(): () => void {
    void this.reload()
    return watchEvents((event) => this.handle(event))
  }

  private page(before: string | null): PictureQuery {
    return { limit: before === null ? firstPage : pageSize, before, q: this.query.trim(), starred: this.starred, model: this.model, deleted: this.trash }
  }

  /** Asks again from the top. What was chosen stays chosen where it is still there. */
  async reload(): Promise<void> {
    const turn = ++this.asked
    try {
      const searched = this.filtered
      const page = await api.pictures(this.page(null))
      if (turn !== this.asked) return
      this.searched = searched
      this.pictures = page.pictures
      this.more = page.more
      this.total = Math.max(page.total ?? 0, page.pictures.length)
      this.loaded = true
      this.problem = null
      const there = new Set(page.pictures.map((picture) => picture.id))
      for (const id of [...this.selected]) if (!there.has(id)) this.selected.delete(id)
      this.at = Math.min(this.at, Math.max(0, this.pictures.length - 1))
    } catch (error) {
      if (turn === this.asked) this.problem = problemOf(error)
    }
  }

  /** After a change of search or filter: from the top, nothing chosen. */
  refilter(): void {
    window.clearTimeout(this.timer)
    this.timer = window.setTimeout(() => {
      this.selected.clear()
      this.at = 0
      void this.reload().then(() => (this.announcement = t.gallery.found(this.total)))
    }, typingPause)
  }

  show(trash: boolean): void {
    if (this.trash === trash) return
    this.trash = trash
    this.query = ''
    this.starred = false
    this.model = ''
    this.choosing = false
    this.selected.clear()
    this.pictures = []
    this.total = 0
    this.loaded = false
    this.at = 0
    void this.reload()
  }

  /** Loads on until the picture `index` is there, or the end. */
  async want(index: number): Promise<void> {
    while (this.more && this.pictures.length <= index) {
      this.fetching ??= this.next().finally(() => (this.fetching = null))
      const before = this.pictures.length
      await this.fetching
      if (this.pictures.length === before) return
    }
  }

  private async next(): Promise<void> {
    const oldest = this.pictures.at(-1)
    if (oldest === undefined) return
    const turn = this.asked
    try {
      const page = await api.pictures(this.page(oldest.id))
      if (turn !== this.asked) return
      this.pictures = [...this.pictures, ...page.pictures]
      this.more = page.more && page.pictures.length > 0
      this.total = this.more ? Math.max(this.total, this.pictures.length) : this.pictures.length
    } catch (error) {
      this.problem = problemOf(error)
    }
  }

  private handle(event: ServerEvent): void {
    if (event.kind === 'picture') {
      const known = this.pictures.some((picture) => picture.id === event.picture.id)
      if (known && !this.trash) this.pictures = this.pictures.map((picture) => (picture.id === event.picture.id ? event.picture : picture))
      else if (this.trash || this.filtered) this.later()
      else this.add([event.picture])
    } else if (event.kind === 'removed') {
      if (this.trash) this.later()
      else this.drop([event.id])
    }
  }

  /** A change that only the server can place: ask again, once for many. */
  private later(): void {
    window.clearTimeout(this.timer)
    this.timer = window.setTimeout(() => void this.reload(), 400)
  }

  /** The tab stop stays on its picture when others come before it. */
  private add(arrived: Picture[]): void {
    const here = this.current?.id
    const before = this.pictures.length
    this.pictures = mergePictures(this.pictures, arrived)
    this.total += this.pictures.length - before
    if (here !== undefined && this.at > 0) this.at = Math.max(0, this.pictures.findIndex((picture) => picture.id === here))
  }

  private drop(ids: readonly string[]): void {
    const gone = new Set(ids)
    const before = this.pictures.length
    const ahead = this.pictures.slice(0, this.at).filter((picture) => gone.has(picture.id)).length
    this.pictures = this.pictures.filter((picture) => !gone.has(picture.id))
    this.total = Math.max(this.pictures.length, this.total - (before - this.pictures.length))
    for (const id of ids) this.selected.delete(id)
    this.at = Math.max(0, Math.min(this.at - ahead, this.pictures.length - 1))
  }

  /** A click or a key on the picture `index`. */
  choose(index: number, how: 'only' | 'toggle' | 'range' | 'focus'): void {
    const picture = this.pictures[index]
    if (picture === undefined) return
    this.at = index
    if (how === 'focus') return
    if (how === 'range') {
      const [low, high] = [Math.min(this.anchor, index), Math.max(this.anchor, index)]
      this.selected.clear()
      for (const one of this.pictures.slice(low, high + 1)) this.selected.add(one.id)
      this.announcement = t.gallery.chosen(this.selected.size)
      return
    }
    this.anchor = index
    if (how === 'toggle') {
      if (!this.selected.delete(picture.id)) this.selected.add(picture.id)
      this.announcement = t.gallery.chosen(this.selected.size)
      return
    }
    this.selected.clear()
    this.selected.add(picture.id)
  }

  async chooseAll(): Promise<void> {
    await this.want(this.total)
    for (const picture of this.pictures) this.selected.add(picture.id)
    this.announcement = t.gallery.chosen(this.selected.size)
  }

  chooseNone(): void {
    this.selected.clear()
    this.choosing = false
  }

  /** Stars what has none; when all have one, takes them away. Shown at once, so that the next press knows. */
  async star(pictures: readonly Picture[]): Promise<void> {
    const starred = !pictures.every((picture) => picture.starred)
    const changed = pictures.filter((picture) => picture.starred !== starred)
    const show = (id: string, starred: boolean) => {
      this.pictures = this.pictures.map((one) => (one.id === id ? { ...one, starred } : one))
    }
    for (const { id } of changed) show(id, starred)
    this.announcement = starred ? t.gallery.starred : t.gallery.unstarred
    for (const { id } of changed) {
      try {
        await api.star(id, starred)
      } catch (error) {
        show(id, !starred)
        this.problem = problemOf(error)
      }
    }
    if (this.starred && !starred) this.later()
  }

  async remove(pictures: readonly Picture[]): Promise<void> {
    if (pictures.length === 0) return
    // All at once, before the server takes one after the other: none of them is shown in between.
    this.drop(pictures.map((picture) => picture.id))
    try {
      const { done, failed } = await api.removeMany(pictures.map((picture) => picture.id))
      this.add(pictures.filter((picture) => !done.includes(picture.id)))
      this.deleted = done
      if (done.length > 0) this.announcement = t.gallery.deleted(done.length)
      this.complain(failed, t.gallery.notDeleted(failed.length))
    } catch (error) {
      this.add([...pictures])
      this.problem = problemOf(error)
    }
  }

  async undo(): Promise<void> {
    const ids = this.deleted
    this.deleted = []
    await this.restore(ids)
    if (!this.trash) await this.reload()
  }

  async restore(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    try {
      const { done, failed } = await api.restoreMany([...ids])
      if (this.trash) this.drop(done)
      if (done.length > 0) this.announcement = t.gallery.restored(done.length)
      this.complain(failed, t.gallery.notRestored(failed.length))
    } catch (error) {
      this.problem = problemOf(error)
    }
  }

  async emptyTrash(): Promise<void> {
    try {
      await api.emptyTrash()
      this.deleted = []
      await this.reload()
      this.announcement = t.gallery.trashEmpty
    } catch (error) {
      this.problem = problemOf(error)
    }
  }

  private complain(failed: readonly { id: string; message: string }[], message: string): void {
    const first = failed[0]
    if (first !== undefined) this.problem = { code: 'some_failed', message, hint: `\`${first.id}\`: ${first.message}` }
  }

  /** What is said below the search. */
  summary = $derived.by(() => {
    if (this.selected.size > 1 || this.choosing) return t.gallery.chosen(this.selected.size)
    return this.searched ? t.gallery.found(this.total) : say.plural(this.total, t.gallery.count)
  })
}

export const gallery = new Gallery()
