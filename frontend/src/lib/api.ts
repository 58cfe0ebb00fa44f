// Calls to the server that sent this page; there is no other.

import { parseJob, parsePicture, parsePictures, parseProblem, parseSeal, parseSelfTest, parseStatus } from './parse'
import type { Job, Picture, Problem, Seal, SelfTest, Status } from './types'

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

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const request: RequestInit = { method, headers: { accept: 'application/json' }, cache: 'no-store' }
  if (body !== undefined) {
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
  if (!response.ok) {
    const problem = parseProblem(answer) ?? { code: 'http', message: `${response.status} ${response.statusText}`, hint: null }
    throw new Refused(response.status, problem)
  }
  return answer
}

export const api = {
  status: async (): Promise<Status> => parseStatus(await ask('GET', 'status')),

  generate: async (body: unknown): Promise<Job[]> => {
    const answer = (await ask('POST', 'generate', body)) as { jobs?: unknown[] } | null
    return (answer?.jobs ?? []).map(parseJob).filter((job): job is Job => job !== null)
  },

  job: async (id: string): Promise<Job | null> => parseJob(await ask('GET', `jobs/${encodeURIComponent(id)}`)),

  cancel: async (id: string): Promise<Job | null> => parseJob(await ask('DELETE', `jobs/${encodeURIComponent(id)}`)),

  pictures: async (limit: number, before: string | null): Promise<{ pictures: Picture[]; more: boolean }> => {
    const query = new URLSearchParams({ limit: String(limit) })
    if (before !== null) query.set('before', before)
    return parsePictures(await ask('GET', `pictures?${query}`))
  },

  remove: async (id: string): Promise<void> => {
    await ask('DELETE', `pictures/${encodeURIComponent(id)}`)
  },

  restore: async (id: string): Promise<Picture | null> => parsePicture(await ask('POST', `pictures/${encodeURIComponent(id)}/restore`)),

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
}
