// Which language the page speaks: the chosen one, else the browser's first that there is, else English.

import { recall, remember } from '../lib/storage'

export const languages = { en: 'English', de: 'Deutsch' } as const
export type Language = keyof typeof languages

const isLanguage = (name: string): name is Language => Object.hasOwn(languages, name)

/** The first of `wanted` that there is; `de-AT` finds `de`. */
export function bestLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const name = tag.toLowerCase().split('-')[0] ?? ''
    if (isLanguage(name)) return name
  }
  return 'en'
}

const chosen = recall('language')

/** The language of this visit. */
export const language: Language =
  chosen !== null && isLanguage(chosen) ? chosen : bestLanguage(typeof navigator === 'undefined' ? [] : navigator.languages)

/** Remembers the choice and loads the page again; the draft is kept by the browser. */
export function speak(next: Language): void {
  remember('language', next)
  if (next !== language) location.reload()
}
