// The nouns of /api/v1 as the page uses them; `parse.ts` makes them from what the server sends.

export interface ModelCard {
  id: string
  name: string
  family: string
  licence: string
  /** Native size in pixels. */
  width: number
  height: number
  steps: number
  cfg_scale: number
  sampler: string
  note: string
  is_default: boolean
}

export interface Settings {
  model: string
  prompt: string
  negative_prompt: string
  width: number
  height: number
  steps: number
  cfg_scale: number
  seed: number
  sampler: string
}

/** What happened, and what to do now. */
export interface Problem {
  code: string
  message: string
  hint: string | null
}

export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'

export interface Job {
  id: string
  state: JobState
  settings: Settings
  step: number
  steps: number
  /** Id of the finished picture. */
  picture: string | null
  error: Problem | null
  /** Jobs ahead of this one. */
  position: number
}

export interface Progress {
  id: string
  step: number
  steps: number
  seconds_left: number | null
  /** A `data:image/png` address, or null when this step has no preview. */
  preview: string | null
}

export interface Picture {
  id: string
  url: string
  width: number
  height: number
  /** RFC 3339, UTC. */
  created: string
  settings: Settings | null
  infotext: string | null
}

/** Bounds of what may be asked, in pixels and steps. */
export interface Limits {
  max_side: number
  side_multiple: number
  min_side: number
  max_steps: number
}

export interface Status {
  version: string
  models: ModelCard[]
  samplers: string[]
  running: Job | null
  waiting: Job[]
  limits: Limits
  seal_level: string | null
}

export interface Mechanism {
  name: string
  enforced: boolean
  detail: string
}

export interface Attempt {
  what: string
  refused: boolean
  detail: string
}

export interface Seal {
  level: string
  sentence: string
  mechanisms: Mechanism[]
  attempts: Attempt[]
  /** Name and value of every other fact in the report, in its order. */
  facts: [string, string][]
}

export interface SelfTest {
  verdict: string
  seal: Seal | null
  attempts: Attempt[]
  prompt: string
  seconds: number | null
  comparison: string
  /** Why it failed; empty when it passed. */
  reasons: string[]
  picture_url: string | null
}
