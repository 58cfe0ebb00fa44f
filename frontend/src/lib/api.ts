// Calls to the server that sent this page; there is no other.

import {
  parseAsset,
  parseJob,
  parseJobs,
  parseLan,
  parseLine,
  parseManyDone,
  parsePicture,
  parsePictureFacts,
  parsePictures,
  parseProblem,
  parseSeal,
  parseSelfTest,
  parseShelf,
  parseStatus,
  parseSystem,
  parseTask,
  parseUpload,
} from './parse'
import type { Asset, AssetKind, Job, JobState, Lan, Line, ManyDone, Picture, PictureFacts, PicturePage, PictureQuery, Problem, Seal, SelfTest, Shelf, Status, System, Task, Upload } from './types'

/** The server answered, and the answer is no. */
export class Refused extends Error {
  readonly status: number
  readonly problem: Problem
  constructor(status: number, problem: Problem) {
    super(problem.message)
    this.status = status
    this.problem = problem
  }
}

/** No answer: the server is gone or the connection broke. */
export class Unreachable extends Error {}

/** Sends JSON, or a file as it is. */
async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const request: RequestInit = { method, headers: { accept: 'application/json' }, cache: 'no-store' }
  if (body instanceof Blob) {
    request.headers = { accept: 'application/json', 'content-type': body.type.startsWith('image/') ? body.type : 'application/octet-stream' }
    request.body = body
  } else if (body !== undefined) {
    request.headers = { accept: 'application/json', 'content-type': 'application/json' }
    request.body = JSON.stringify(body)
  }
  let response: Response
  let answer: unknown = null
  try {
    response = await fetch(`/api/v1/${path}`, request)
    const text = await response.text()
    if (text !== '') answer = JSON.parse(text)
  } catch (cause) {
    throw new Unreachable(String(cause))
  }
  if (!response.ok) throw new Refused(response.status, problemIn(answer, response.status, response.statusText))
  return answer
}

function problemIn(answer: unknown, status: number, words: string): Problem {
  return parseProblem(answer) ?? { code: 'http', message: `${status} ${words}`, hint: null }
}

/** Sends a large file and tells how far it is; `fetch` cannot. */
function send(path: string, file: Blob, onprogress: (sent: number, total: number) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest()
    call.open('POST', `/api/v1/${path}`)
    call.setRequestHeader('content-type', 'application/octet-stream')
    call.upload.onprogress = (event) => onprogress(event.loaded, event.total)
    call.onerror = () => reject(new Unreachable('the connection broke'))
    call.onload = () => {
      let answer: unknown = null
      try {
        if (call.responseText !== '') answer = JSON.parse(call.responseText)
      } catch {
        answer = null
      }
      if (call.status >= 200 && call.status < 300) resolve(answer)
      else reject(new Refused(call.status, problemIn(answer, call.status, call.statusText)))
    }
    call.send(file)
  })
}

const part = encodeURIComponent

function must<T>(value: T | null): T {
  if (value === null) throw new Unreachable('the answer was not what this page expects')
  return value
}

const taskOf = (answer: unknown): string | null => {
  const task = (answer as { task?: unknown } | null)?.task
  return typeof task === 'string' || typeof task === 'number' ? String(task) : null
}

export const api = {
  status: async (): Promise<Status> => parseStatus(await ask('GET', 'status')),

  // --- drawing

  /** Settings with `count`, or `{orders: […]}` for several at once: all or none. */
  generate: async (body: unknown): Promise<Job[]> => parseJobs(await ask('POST', 'generate', body)).jobs,

  jobs: async (states: JobState[], limit: number, before: string | null = null): Promise<{ jobs: Job[]; more: boolean }> => {
    const query = new URLSearchParams({ limit: String(limit) })
    if (states.length > 0) query.set('state', states.join(','))
    if (before !== null) query.set('before', before)
    return parseJobs(await ask('GET', `jobs?${query}`))
  },

  job: async (id: string): Promise<Job | null> => parseJob(await ask('GET', `jobs/${part(id)}`)),

  /** Takes a waiting job out of the line, or stops the one that is drawn; the next one follows. */
  cancel: async (id: string): Promise<Job | null> => parseJob(await ask('DELETE', `jobs/${part(id)}`)),

  cancelBatch: async (batch: string): Promise<void> => {
    await ask('DELETE', `batches/${part(batch)}`)
  },

  /** `position` 1 is the next to be drawn. */
  move: async (id: string, position: number): Promise<void> => {
    await ask('POST', `jobs/${part(id)}/move`, { position })
  },

  pause: async (): Promise<Line> => parseLine(await ask('POST', 'queue/pause')),
  resume: async (): Promise<Line> => parseLine(await ask('POST', 'queue/resume')),

  /** Cancels everything that waits. */
  clearQueue: async (): Promise<void> => {
    await ask('DELETE', 'queue')
  },

  // --- pictures

  pictures: async (asked: PictureQuery): Promise<PicturePage> => {
    const query = new URLSearchParams({ limit: String(asked.limit) })
    if (asked.before) query.set('before', asked.before)
    if (asked.q) query.set('q', asked.q)
    if (asked.model) query.set('model', asked.model)
    if (asked.starred) query.set('starred', '1')
    if (asked.deleted) query.set('deleted', '1')
    return parsePictures(await ask('GET', `pictures?${query}`))
  },

  picture: async (id: string): Promise<Picture | null> => parsePicture(await ask('GET', `pictures/${part(id)}`)),

  star: async (id: string, starred: boolean): Promise<Picture | null> => parsePicture(await ask('PATCH', `pictures/${part(id)}`, { starred })),

  /** Into the trash, from where `restore` brings it back. */
  remove: async (id: string): Promise<void> => {
    await ask('DELETE', `pictures/${part(id)}`)
  },

  restore: async (id: string): Promise<Picture | null> => parsePicture(await ask('POST', `pictures/${part(id)}/restore`)),

  removeMany: async (ids: string[]): Promise<ManyDone> => parseManyDone(await ask('POST', 'pictures/delete', { ids })),
  restoreMany: async (ids: string[]): Promise<ManyDone> => parseManyDone(await ask('POST', 'pictures/restore', { ids })),

  /** Removes for good what is deleted. */
  emptyTrash: async (): Promise<void> => {
    await ask('DELETE', 'trash')
  },

  upload: async (file: Blob): Promise<Upload> => must(parseUpload(await ask('POST', 'uploads', file))),

  /** What a picture file says about how it was made; the server does not keep it. */
  read: async (file: Blob): Promise<PictureFacts> => parsePictureFacts(await ask('POST', 'read', file)),

  // --- models

  shelf: async (): Promise<Shelf> => parseShelf(await ask('GET', 'models')),

  /** Address of the preview picture of a model that has one. */
  previewOf: (kind: string, name: string): string => `/api/v1/models/${part(kind)}/${part(name)}/preview`,

  /** Starts comparing a file with its digest; the id of the task that does it. */
  checkModel: async (kind: string, name: string): Promise<string> => must(taskOf(await ask('POST', `models/${part(kind)}/${part(name)}/check`))),

  task: async (id: string): Promise<Task> => parseTask(await ask('GET', `tasks/${part(id)}`)),

  /** An empty `kind` leaves it to the file's content. */
  addModel: async (kind: AssetKind | '', file: File, onprogress: (sent: number, total: number) => void): Promise<Asset> =>
    must(parseAsset(await send(`models?${new URLSearchParams({ kind, name: file.name })}`, file, onprogress))),

  /** `path` on the server's machine, inside what the sealed server may read. */
  addModelAt: async (path: string, kind: AssetKind | ''): Promise<Asset> => must(parseAsset(await ask('POST', 'models', kind === '' ? { path } : { path, kind }))),

  // --- system

  system: async (): Promise<System> => parseSystem(await ask('GET', 'system')),

  lan: async (): Promise<Lan> => parseLan(await ask('GET', 'lan')),

  newPairingCode: async (): Promise<Lan> => parseLan(await ask('POST', 'lan/code')),

  /** The device has to be paired again. */
  forgetDevice: async (id: string): Promise<void> => {
    await ask('DELETE', `lan/devices/${part(id)}`)
  },

  seal: async (): Promise<Seal | null> => parseSeal(await ask('GET', 'seal')),

  /** Null when no self-test has been run yet. */
  selfTest: async (): Promise<SelfTest | null> => {
    try {
      return parseSelfTest(await ask('GET', 'self-test'))
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return null
      throw error
    }
  },

  /** Draws the self-test picture again, inside the sealed server. */
  runSelfTest: async (): Promise<Job[]> => parseJobs(await ask('POST', 'self-test')).jobs,

  /** Lets this browser in on a server that other machines may reach. */
  pair: async (code: string): Promise<void> => {
    await ask('POST', 'pair', { code })
  },
}
