// Order and merging of the history: newest first, every picture once.

import type { Picture } from './types'

/** Ids carry date, time and a running number, so their order is the order of making. */
function newestFirst(left: Picture, right: Picture): number {
  if (left.id === right.id) return 0
  return left.id < right.id ? 1 : -1
}

/** Adds or replaces pictures; the result is sorted and has no id twice. */
export function mergePictures(known: readonly Picture[], arrived: readonly Picture[]): Picture[] {
  const byId = new Map(known.map((picture) => [picture.id, picture]))
  for (const picture of arrived) byId.set(picture.id, picture)
  return [...byId.values()].sort(newestFirst)
}

/** The picture to show once `id` is gone: the next older one, else the next newer one. */
export function neighbour(pictures: readonly Picture[], id: string): string | null {
  const at = pictures.findIndex((picture) => picture.id === id)
  if (at < 0) return pictures[0]?.id ?? null
  return (pictures[at + 1] ?? pictures[at - 1])?.id ?? null
}
