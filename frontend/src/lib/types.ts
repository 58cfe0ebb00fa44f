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
  /** Null leaves the choice to the sampler. */
  scheduler: string | null
  note: string
  is_default: boolean
  /** Empty for a built-in model. */
  file: string
  /** Bytes. */
  size: number
  sha256: string | null
  trigger_words: string[]
  /** A picture lies beside the file. */
  has_preview: boolean
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
  scheduler?: string | undefined
  /** 1 to 12. */
  clip_skip?: number | undefined
  /** Where the noise comes from: `CPU` or `NV`. */
  noise?: string | undefined
  eta?: number | undefined
  variation?: Variation | undefined
  init?: Init | undefined
  inpaint?: Inpaint | undefined
  hires?: Hires | undefined
  refiner?: Refiner | undefined
  controls?: Control[] | undefined
  /** Name of an upscaler that enlarges the result. */
  upscale?: string | undefined
  /** A picture that is only enlarged. */
  enlarge?: PictureRef | undefined
}

/** `upload:` and the SHA-256 of a file, or `output:` and the id of a picture. */
export type PictureRef = string

/** A second seed that the noise is turned towards: 0 is the first one's, 1 the second's. */
export interface Variation {
  seed: number
  strength: number
}

export interface Init {
  picture: PictureRef
  /** 0 keeps the picture, 1 keeps nothing of it. */
  strength: number
  resize_mode: string
}

/** Pixels to draw beyond each edge. */
export interface Extend {
  left: number
  right: number
  top: number
  bottom: number
}

export interface Inpaint {
  /** White is drawn anew. */
  mask?: PictureRef | undefined
  invert: boolean
  /** Pixels. */
  mask_blur: number
  fill: string
  /** Pixels around the masked part, which is then drawn alone at full size. */
  only_masked?: number | undefined
  extend?: Extend | undefined
}

export interface Hires {
  scale: number
  size?: [number, number] | undefined
  upscaler: string
  strength: number
  steps?: number | undefined
  cfg_scale?: number | undefined
  sampler?: string | undefined
  scheduler?: string | undefined
  prompt?: string | undefined
  negative_prompt?: string | undefined
}

export interface Refiner {
  model: string
  /** Share of the steps after which it takes over. */
  switch_at: number
}

export interface Control {
  net: string
  picture: PictureRef
  preprocess: string
  weight: number
  start: number
  end: number
}

export type AssetKind = 'checkpoint' | 'lora' | 'embedding' | 'vae' | 'upscaler' | 'controlnet' | 'other'

/** An installed file that requests can name besides checkpoints. */
export interface Asset {
  kind: AssetKind
  name: string
  title: string
  file: string
  /** Model family it fits, when known. */
  family: string | null
  licence: string
  /** Bytes. */
  size: number
  sha256: string | null
  trigger_words: string[]
  /** A picture lies beside the file. */
  has_preview: boolean
  /** How much larger an upscaler makes a picture. */
  scale: number | null
  note: string
}

/** Words that are put around a prompt. */
export interface Style {
  name: string
  prompt: string
  negative_prompt: string
}

/** Everything installed. */
export interface Shelf {
  models: ModelCard[]
  assets: Asset[]
  styles: Style[]
}

/** Work in the background, such as checking a file's digest. */
export interface Task {
  state: string
  /** Bytes. */
  done: number
  total: number
  verdict: { matches: boolean; sha256: string; expected: string | null } | null
  error: Problem | null
}

/** A picture that the server keeps because it was sent. */
export interface Upload {
  picture: PictureRef
  width: number
  height: number
}

/** What a picture file says about how it was made. */
export interface PictureFacts {
  width: number
  height: number
  /** What was understood. */
  settings: Partial<Settings> | null
  infotext: string | null
  remarks: string[]
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
  /** The same for jobs that were ordered together. */
  batch: string
  /** The dialect it came in: `page`, `sdapi`, `openai` or `comfyui`. */
  source: string
  state: JobState
  settings: Settings
  step: number
  steps: number
  /** Id of the finished picture. */
  picture: string | null
  error: Problem | null
  /** What was done otherwise than asked, one sentence each. */
  remarks: string[]
  /** 1 for the next to run; 0 when it no longer waits. */
  position: number
  /** RFC 3339, UTC. */
  created: string
  finished: string | null
}

/** What is drawn and what waits. */
export interface Line {
  running: Job | null
  waiting: Job[]
  paused: boolean
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
  /** Address of a small version; the picture itself where the server has none. */
  thumbnail: string
  width: number
  height: number
  /** RFC 3339, UTC. */
  created: string
  starred: boolean
  settings: Settings | null
  infotext: string | null
  model_hash: string | null
}

/** Which pictures of the history are asked for. */
export interface PictureQuery {
  limit: number
  before?: string | null | undefined
  /** Words that prompts must hold. */
  q?: string | undefined
  starred?: boolean | undefined
  model?: string | undefined
  deleted?: boolean | undefined
}

export interface PicturePage {
  pictures: Picture[]
  more: boolean
  /** How many there are in all; null when the server does not say. */
  total: number | null
  /** Files that could not be read. */
  unreadable: number
}

/** What became of several pictures at once. */
export interface ManyDone {
  done: string[]
  failed: { id: string; message: string }[]
}

/** How other devices reach the server. */
export interface Lan {
  on: boolean
  /** Whether this page is on the computer itself; only there are code and devices known. */
  here: boolean
  command: string
  /** `path` draws the dark modules of a square with `side` modules a side. */
  addresses: { url: string; qr: { side: number; path: string } | null }[]
  code: string | null
  /** Seconds. */
  expires_in: number | null
  devices: { id: string; name: string; address: string; seen: string }[]
}

/** Facts about the machine and the server, by name; `extra` holds those this page has no words for. */
export interface System {
  version: string
  home: string
  seal_level: string | null
  /** Bytes. */
  memory: { total: number | null; available: number | null; process: number | null }
  /** Bytes. */
  disk: { free: number | null; total: number | null }
  processor: string
  kernels: string
  precision: string
  threads: number | null
  /** Seconds. */
  uptime: number | null
  /** Whether ComfyUI's own page is installed, at /comfy/. */
  comfyFrontend: boolean
  extra: [string, string][]
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
  /** The first leaves the choice to the sampler. */
  schedulers: string[]
  queue: Line
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
  /** Where it can be reached; the first is for this machine alone. */
  listens_on: string[]
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
