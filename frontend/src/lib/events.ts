// One stream of server-sent events, kept alive: the browser reconnects by itself after a dropped
// connection; after a refused one it gives up, and then this file tries again with growing pauses.

import { parseJob, parseLine, parsePicture, parseProgress } from './parse'
import type { Job, Line, Picture, Progress } from './types'

export type ServerEvent =
  | { kind: 'hello'; line: Line }
  | { kind: 'line'; line: Line }
  | { kind: 'job'; job: Job }
  | { kind: 'progress'; progress: Progress }
  | { kind: 'picture'; picture: Picture }
  | { kind: 'removed'; id: string }

const names = ['hello', 'line', 'job', 'progress', 'picture', 'removed'] as const

/** One event from its name and data, or null when it is not one of ours or damaged. */
export function parseEvent(name: string, data: string): ServerEvent | null {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return null
  }
  switch (name) {
    case 'hello':
    case 'line':
      return { kind: name, line: parseLine(value) }
    case 'job': {
      const job = parseJob(value)
      return job && { kind: 'job', job }
    }
    case 'progress': {
      const progress = parseProgress(value)
      return progress && { kind: 'progress', progress }
    }
    case 'picture': {
      const picture = parsePicture(value)
      return picture && { kind: 'picture', picture }
    }
    case 'removed': {
      const id = (value as { id?: unknown } | null)?.id
      return typeof id === 'string' ? { kind: 'removed', id } : null
    }
    default:
      return null
  }
}

/** Pause before try `count` (from 0), in milliseconds: 0.5 s doubling up to 8 s. */
export function retryPause(count: number): number {
  return Math.min(8000, 500 * 2 ** Math.min(count, 10))
}

const watchers = new Set<(event: ServerEvent) => void>()

/** Also tells `watcher` every event of the stream that is open, until the returned function is called. */
export function watchEvents(watcher: (event: ServerEvent) => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

/** Listens until the returned function is called. */
export function listen(onEvent: (event: ServerEvent) => void, onLost: () => void): () => void {
  let source: EventSource | null = null
  let timer = 0
  let failures = 0
  let ended = false

  const open = (): void => {
    source = new EventSource('/api/v1/events')
    for (const name of names) {
      source.addEventListener(name, (message: MessageEvent<string>) => {
        failures = 0
        const event = parseEvent(name, message.data)
        if (event === null) return
        onEvent(event)
        for (const watcher of watchers) watcher(event)
      })
    }
    source.addEventListener('error', () => {
      if (ended) return
      onLost()
      source?.close()
      timer = window.setTimeout(open, retryPause(failures))
      failures += 1
    })
  }
  open()
  return () => {
    ended = true
    window.clearTimeout(timer)
    source?.close()
  }
}
